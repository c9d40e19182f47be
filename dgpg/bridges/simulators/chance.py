"""The global generators of Python, numpy and torch, for simulators that draw from them all the same.

They are seeded before each call of a simulator, from the seed of its episode and the step: who else is in the process,
and how a simulator was brought to where it is, changes nothing then.
"""

from __future__ import annotations

import random
import struct
import sys
import zlib
from typing import Any

import numpy as np

State = tuple[Any, Any, Any]


def seed(episode: int, step: int) -> None:
    """For one call: step -1 is the making of a simulator, 0 a reset, 1 the first step."""
    number = zlib.crc32(struct.pack("<qq", episode, step))
    random.seed(number)
    np.random.seed(number)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.manual_seed(number)


def state() -> State:
    """Of all of them, to be put back."""
    torch = sys.modules.get("torch")
    return random.getstate(), np.random.get_state(), None if torch is None else torch.get_rng_state()


def put_back(before: State) -> None:
    """What `state` returned."""
    random.setstate(before[0])
    np.random.set_state(before[1])
    if before[2] is not None:
        sys.modules["torch"].set_rng_state(before[2])
