"""Observations as other libraries read them: numpy arrays by field, or one vector an agent."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from dgpg.domain import Decision, Observation

Arrays = dict[str, NDArray[Any]]
FIELDS = ("agent", "choices", "mask", "central")


def filled(space: spaces.Dict) -> spaces.Dict:
    """The fields that hold numbers: continuous actions have choices without features, which no library takes."""
    return spaces.Dict({name: space[name] for name in FIELDS if np.prod(space[name].shape or (0,))})


def arrays(decision: Decision, space: spaces.Dict) -> Arrays:
    """Observations of B environments as numpy arrays of the space's fields and types."""
    seen = decision.observation
    return {
        name: getattr(seen, name).cpu().numpy().astype(space[name].dtype) for name in FIELDS if name in space.spaces
    }


def pick(batch: Arrays, b: int) -> Arrays:
    """Environment b of a batch."""
    return {name: array[b] for name, array in batch.items()}


def vectors(seen: Observation) -> Tensor:
    """What each agent sees in one vector, `[B, N, F + K C]`: its own features, then those of its choices in order."""
    return torch.cat([seen.agent, seen.choices.flatten(-2)], -1)


def vector_spaces(space: spaces.Dict) -> list[spaces.Box]:
    """The space of each agent's vector."""
    bounds = []
    for end in ("low", "high"):
        agent, choices = getattr(space["agent"], end), getattr(space["choices"], end)
        bounds.append(np.concatenate([agent, choices.reshape(len(agent), -1)], -1))
    return [spaces.Box(low, high, dtype=np.float32) for low, high in zip(*bounds, strict=True)]
