"""Vehicles of a running SUMO follow a policy's splits: `dgpg_traffic.deploy` over TraCI or libsumo.

`pip install 'dgpg-plugin-traffic[sumo]'`. An example that runs: docs/traffic.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dgpg.deploy import Policy, Rows
from dgpg.errors import DataError
from dgpg_traffic.deploy.features import History, features
from dgpg_traffic.deploy.scales import Floats, Scales

Splits: TypeAlias = Callable[[Rows], NDArray[Any]]
"""Shares of an agent's routes, `[R, K]`, of what agents see: a policy or a rule."""
SAMPLE_S = 10.0
"""Between two looks at travel times, seconds."""


def greedy(policy: Policy) -> Splits:
    """A policy without chance."""
    return lambda rows: policy.run(rows, ("greedy",))[0]


def named(scales: Scales) -> list[str]:
    """Edges of links as "from-to" by node numbers, `[L]`."""
    return [f"{tail}-{head}" for tail, head in scales.links.tolist()]


@dataclass
class Router:
    """Gives each vehicle that departs a route of its pair, drawn by the splits of the period.

    Agents of a pair share its vehicles alike. Call `step` after every step of the simulation. Vehicles whose first and
    last edge are of no pair are left alone.
    """

    sumo: Any
    """`libsumo`, `traci` or a connection of it."""
    splits: Splits
    scales: Scales
    edges: list[str]
    """Edge of each link, `[L]`, see `named`."""
    period_s: float
    """Length of a period, seconds."""
    unit_s: float = 60.0
    """The network's unit of time, seconds."""
    sampled: float = 1.0
    """Vehicles that the simulation has for each one of the demand."""
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    routed: int = 0
    """Vehicles that were given another route."""

    def __post_init__(self) -> None:
        known = set(self.sumo.edge.getIDList())
        missing = [edge for edge in self.edges if edge not in known]
        if missing or len(self.edges) != len(self.scales.links):
            raise DataError(
                f"edges: expected one of the simulation's for each of {len(self.scales.links)} links, "
                + (f"it has no '{missing[0]}'" if missing else f"got {len(self.edges)}")
            )
        self._pair = {tuple(ends): n for n, ends in enumerate(self.scales.pairs.tolist())}
        self._link = {edge: n for n, edge in enumerate(self.edges)}
        usual = self.scales.demand.reshape(-1, self.scales.per_pair).sum(1)
        self._last, self._usual = usual * self.scales.usual[-1], usual
        self._count = np.zeros(len(usual), np.float32)
        self._time: list[Floats] = []
        self._period, self._sample = -1, -np.inf

    def step(self) -> None:
        """Look at the roads, decide where a period begins, and route who has departed."""
        now = self.sumo.simulation.getTime()
        if now >= self._sample + SAMPLE_S:
            self._sample = now
            self._time.append(np.array([self.sumo.edge.getTraveltime(edge) for edge in self.edges], np.float32))
        if int(now // self.period_s) > self._period:
            self._begin(int(now // self.period_s))
        for vehicle in self.sumo.simulation.getDepartedIDList():
            self._route(vehicle)

    def _begin(self, period: int) -> None:
        """Splits of a period: demand is expected to be what was counted, moved on along the usual day."""
        scales, day = self.scales, len(self.scales.usual)
        before, now = (float(scales.usual[(period - k) % day]) for k in (1, 0))
        last = self._last if self._period < 0 else self._count / self.sampled
        expected = last * now / before
        agent = np.arange(len(scales.demand))
        history = History(
            agent=agent,
            demand=np.repeat(expected / scales.per_pair, scales.per_pair),
            last_demand=np.repeat(last / scales.per_pair, scales.per_pair),
            link_time=np.mean(self._time, 0) / self.unit_s,
            period=period % day,
        )
        rows = features(scales, history)
        found = np.where(rows["mask"], self.splits(rows), 0.0)
        share = found.reshape(len(self._usual), scales.per_pair, -1).mean(1)
        self.share: NDArray[Any] = share / share.sum(-1, keepdims=True)
        self._period, self._time = period, self._time[-1:]
        self._count = np.zeros_like(self._count)

    def _route(self, vehicle: str) -> None:
        route = self.sumo.vehicle.getRoute(vehicle)
        pair = self._of(route)
        if pair is None:
            return
        self._count[pair] += 1
        links = self.scales.routes[pair, self.rng.choice(len(self.share[pair]), p=self.share[pair])]
        wished = [self.edges[link] for link in links[links >= 0]]
        onward = ahead(route, self.sumo.vehicle.getRouteIndex(vehicle), self.sumo.vehicle.getRoadID(vehicle), wished)
        if onward is not None and list(onward) != list(route[-len(onward) :]):
            self.sumo.vehicle.setRoute(vehicle, onward)
            self.routed += 1

    def _of(self, route: tuple[str, ...]) -> int | None:
        """The pair of a vehicle by the ends of its route."""
        first, last = (self._link.get(route[k]) for k in (0, -1))
        if first is None or last is None:
            return None
        return self._pair.get((int(self.scales.links[first, 0]), int(self.scales.links[last, 1])))


def ahead(route: tuple[str, ...], index: int, road: str, wished: list[str]) -> list[str] | None:
    """What is left of the wished route for a vehicle, from the edge that SUMO counts it on; None if it is not on it.

    On a junction (its roads begin with a colon) the edge behind counts, and the one ahead can no longer be changed.

    Args:
        route: that it has.
        index: of the edge that it is on, or was on before the junction.
        road: that it is on.
        wished: edges of the route that it should have.
    """
    fixed = list(route[index : index + (2 if road.startswith(":") else 1)])
    for start in range(len(wished) - len(fixed) + 1):
        if wished[start : start + len(fixed)] == fixed:
            return wished[start:]
    return None
