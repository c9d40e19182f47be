"""Whether an environment that was saved goes on as it would have: looked at once, before a training relies on it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dgpg.domain import Decision, Step, random
from dgpg.domain.types import map_tensors
from dgpg.learning import Trainer

CURE = "let state_dict hold all that the next step depends on, random streams included, and load_state_dict put it back"


def cannot_restore(trainer: Trainer) -> str | None:
    """Why a run could not be resumed; None where one step after a restored state is the same, number for number.

    The trainer is left where it was if it could; otherwise its environments have moved on.
    """
    grounds, before = trainer.grounds, [part.decision for part in trainer.parts]
    actions = [trainer.kind.anything(one.observation, random.generator(0)) for one in before]
    try:
        saved = _through_a_file(grounds.state_dicts())
        first = grounds.steps(actions)
        restored = grounds.load_state_dicts(_through_a_file(saved))
        second = grounds.steps(actions)
        trainer.stand(grounds.load_state_dicts(saved))
    except Exception as error:  # a plugin may raise anything
        return f"the environment cannot be saved and restored ({type(error).__name__}: {error}); {CURE}"
    if not _same(tuple(before), tuple(restored)):
        return f"the environment's load_state_dict returns another moment of decision than the saved one; {CURE}"
    if not _same(tuple(map(_shown, first)), tuple(map(_shown, second))):
        return f"the same action after a restored state has another outcome; {CURE}"
    return None


def _through_a_file(states: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """As a checkpoint would store and return it."""
    file = io.BytesIO()
    torch.save(list(states), file)
    file.seek(0)
    whole: list[dict[str, Any]] = torch.load(file, weights_only=True)
    return whole


def _shown(step: Step) -> tuple[Tensor, Tensor, Tensor, Tensor, Decision]:
    return step.reward, step.state, step.terminated, step.truncated, step.decision


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, tuple):
        return all(map(_same, one, other))
    equal: list[bool] = []

    def compare(x: Tensor, y: Tensor) -> Tensor:
        equal.append(torch.equal(x, y))
        return x

    map_tensors(compare, one, other)
    return all(equal)
