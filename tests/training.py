"""Trainers run and compared."""

import io
from typing import Any

import torch

from dgpg.learning import ALGORITHMS, Trainer

UNGUIDED = {"start": 0.0, "end": 0.0}
NAMES = list(ALGORITHMS)


def run(trainer: Trainer, iterations: int) -> list[dict[str, float]]:
    return [trainer.iterate() for _ in range(iterations)]


def same(one: Any, other: Any) -> bool:
    """Equal number for number, through tables, lists and tensors."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one if k != "wall_s")
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def state(trainer: Trainer, *parts: str) -> dict[str, Any]:
    """A copy of (parts of) the trainer's state, by way of a file as a checkpoint would go."""
    file = io.BytesIO()
    torch.save(trainer.state_dict(), file)
    file.seek(0)
    whole = torch.load(file, weights_only=True)
    return {name: whole[name] for name in parts} if parts else whole
