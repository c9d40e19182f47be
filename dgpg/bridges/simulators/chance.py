"""The global generators of Python, numpy and torch, one state for each simulator of a process."""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np

State = tuple[Any, Any, Any]


class Chances:
    """Simulators that draw from global generators draw from streams of their own, whoever shares their process.

    What was there before is nobody's: `switch(None)` puts it back.
    """

    def __init__(self) -> None:
        self._states: dict[int | None, State] = {}
        self._current: int | None = None

    def switch(self, place: int | None) -> None:
        """Let the generators be those of the simulator at that place from here on."""
        if place == self._current:
            return
        self._states[self._current] = _get()
        self._current = place
        if place in self._states:
            _set(self._states[place])

    def seed(self, seed: int) -> None:
        """Those of the current simulator."""
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch = sys.modules.get("torch")
        if torch is not None:
            torch.default_generator.manual_seed(seed)


def _get() -> State:
    torch = sys.modules.get("torch")
    return random.getstate(), np.random.get_state(), None if torch is None else torch.get_rng_state()


def _set(state: State) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])
    if state[2] is not None:
        sys.modules["torch"].set_rng_state(state[2])
