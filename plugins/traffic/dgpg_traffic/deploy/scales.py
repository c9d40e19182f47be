"""What features of a pair need of its network: `plain` of `policy.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dgpg.deploy import packed, unpacked

Floats: TypeAlias = NDArray[np.float32]
BOUND = 4.0
"""Features are bent to within this many deviations: roads that jam are very many off."""
LEVEL = 0.2
"""Unit of the usual demand as a feature: a third of the daily profile's range."""


@dataclass(frozen=True, eq=False)
class Scales:
    """Numbers of the network that a policy was trained on; N agents, K routes each, L links, T periods of a day.

    Times are in the network's own unit, demand in vehicles a period.
    """

    per_pair: int
    """Agents that share a pair's vehicles."""
    pairs: NDArray[np.int64]
    """Nodes by number, from and to, `[N / per_pair, 2]`."""
    links: NDArray[np.int64]
    """Nodes by number, from and to, `[L, 2]`."""
    routes: NDArray[np.int64]
    """Links of each pair's routes in order, filled up with -1, `[N / per_pair, K, P]`."""
    free_time: Floats
    """Of each link, `[L]`."""
    power: Floats
    """Of its delay function, `[L]`."""
    first: Floats
    """Splits that the policy began at, `[N, K]`."""
    route_time: Floats
    """Mean and deviation, `[2, N, K]`."""
    route_marginal: Floats
    """The same of what one more vehicle costs all, `[2, N, K]`."""
    congestion: Floats
    """The same of the time over that of free flow, mean over links, `[2]`."""
    demand: Floats
    """Usual vehicles of each agent, those of the profile's 1, `[N]`."""
    noise: float
    """Deviation of demand, relative."""
    usual: Floats
    """Profile of a day, `[T]`."""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Scales:
        """From what the export wrote."""
        positions = {"pairs", "links", "routes"}
        lists = {name: x for name, x in told.items() if isinstance(x, list | dict)}
        arrays: dict[str, Any] = {
            name: unpacked(x, np.int64 if name in positions else np.float32) for name, x in lists.items()
        }
        return cls(per_pair=told["per_pair"], noise=told["noise"], **arrays)

    def json(self) -> dict[str, Any]:
        """As plain values; what a large network has thousands of is packed."""
        return {name: packed(x) if isinstance(x, np.ndarray) else x for name, x in asdict(self).items()}

    @cached_property
    def steepness(self) -> Floats:
        """power + 1, `[L]`."""
        return self.power + 1

    @cached_property
    def moments(self) -> tuple[Floats, Floats]:
        """Mean and deviation of route times, and of what one more vehicle costs all, `[2, N, K]` each."""
        both = np.stack([self.route_time, self.route_marginal], 1)
        return both[0], both[1]
