"""Where one environment is, and all that leads there again."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dgpg.bridges.simulators.host import Tale
from dgpg.bridges.simulators.view import Array


@dataclass
class Story:
    """One environment: whose seed it has, which episode it is in and what happened in it so far."""

    make_seed: int
    episode: int = -1
    """None has begun at -1."""
    episode_seed: int = 0
    actions: list[Array] = field(default_factory=list)
    digests: list[int] = field(default_factory=list)

    def begin(self, episode: int, episode_seed: int, digest: int) -> None:
        """A new episode; what came before is forgotten."""
        self.episode, self.episode_seed = episode, episode_seed
        self.actions, self.digests = [], [digest]

    def tale(self, kind: tuple[str, tuple[int, ...]]) -> Tale:
        """What leads to where it is."""
        dtype, shape = kind
        actions = np.array(self.actions, dtype) if self.actions else np.zeros((0, *shape), dtype)
        return Tale(self.make_seed, self.episode_seed, actions, list(self.digests))
