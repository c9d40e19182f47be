"""How far equilibrium and optimum on given routes are from those over all routes, and routes that bring them nearer.

Both minimise a convex function of link flows, so the cheapest routes of all at the prices of a solution bound what
routes that are not there could save: f(y) >= f(x) - p (x - y), y all or nothing on the cheapest (M. Frank and P. Wolfe,
An algorithm for quadratic programming, Naval Research Logistics Quarterly 3, 1956). One such step is one shortest path
of each pair.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from dgpg_traffic.arrays import FloatArray, IntArray
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM, USER_EQUILIBRIUM, Objective, assign
from dgpg_traffic.network.bpr import Bpr
from dgpg_traffic.network.incidence import Incidence, Routes, pack, stack_rows, unpack
from dgpg_traffic.network.network import Network
from dgpg_traffic.network.paths import cheapest

FIT = 1e-3
"""Share by which a minimum on the routes may exceed that over all routes before routes are added, or it is said."""
TOLERANCE = 1e-5
"""Gap of the solutions, which counts as excess."""
ROUNDS = 12
OBJECTIVES = (USER_EQUILIBRIUM, SYSTEM_OPTIMUM)


@dataclass(frozen=True, eq=False)
class Occasions:
    """Q situations that routes must be fit for.

    Attributes:
        demand: of each pair, `[Q, N]`.
        capacity: of each link, `[Q, L]`.
    """

    demand: FloatArray
    capacity: FloatArray


@dataclass(frozen=True)
class Excess:
    """Most that the minimum on the routes is above that over all routes, as shares, the largest of all occasions."""

    user_equilibrium: float
    """Of Beckmann's function."""
    system_optimum: float
    """Of total travel time."""

    @property
    def most(self) -> float:
        """The larger of the two."""
        return max(self.user_equilibrium, self.system_optimum)


@dataclass(frozen=True, eq=False)
class _Priced:
    """One objective: bounds of occasions `[Q]`, splits `[Q, N, K]`, cheapest routes of all `[Q, N, P]`."""

    bound: FloatArray
    splits: FloatArray
    cheapest: list[IntArray]


def excess(network: Network, routes: Routes, occasions: Occasions) -> Excess:
    """Bounds for given routes; sound also where the solver did not come to its end."""
    return _excess([_priced(network, routes, occasions, objective) for objective in OBJECTIVES])


def fitted(network: Network, routes: Routes, occasions: Occasions, most: int) -> tuple[Routes, Excess]:
    """The routes, with those that equilibrium and optimum lack on an occasion, at most `most` a pair.

    Routes are added until all bounds are within `FIT`; a pair that has `most` loses those that are used least, never
    the first. Returns the best routes met, and how fit they are.
    """
    best: tuple[Routes, Excess] | None = None
    for _ in range(ROUNDS):
        found = [_priced(network, routes, occasions, objective) for objective in OBJECTIVES]
        now = _excess(found)
        if best is None or now.most < best[1].most:
            best = routes, now
        if now.most <= FIT:
            break
        grown = _grown(routes, found, most)
        if np.array_equal(grown.links, routes.links):
            break
        routes = grown
    assert best is not None
    return best


def _excess(found: list[_Priced]) -> Excess:
    return Excess(*(float(one.bound.max()) for one in found))


def _priced(network: Network, routes: Routes, occasions: Occasions, objective: Objective) -> _Priced:
    links = replace(Bpr.of(network), capacity=torch.from_numpy(occasions.capacity))
    demand = torch.from_numpy(occasions.demand)
    found = assign(links, Incidence(routes, network.num_links), demand, objective, tolerance=TOLERANCE)
    price, value = objective.price(links, found.flow).numpy(), objective.value(links, found.flow).numpy()
    graph = network.graph()
    least, new = zip(*(cheapest(graph, one, network.origin, network.destination) for one in price), strict=True)
    above = np.maximum((price * found.flow.numpy()).sum(-1) - (occasions.demand * np.stack(least)).sum(-1), 0.0)
    left = value - above  # a lower bound of the minimum over all routes
    bound = np.where(above > 0, above / np.where(left > 0, left, np.nan), 0.0)
    return _Priced(np.nan_to_num(bound, nan=np.inf), found.splits.numpy(), list(new))


def _grown(routes: Routes, found: list[_Priced], most: int) -> Routes:
    """The routes and those that are missing, the most used first behind the first; what is new counts as well used."""
    pair, links, share = unpack(routes, np.max([one.splits.max(0) for one in found], 0))
    first = np.zeros(routes.exists.shape, bool)
    first[:, 0] = True
    score = np.where(unpack(routes, first)[2] > 0, np.inf, share)
    new = [path for one in found for path, bound in zip(one.cheapest, one.bound, strict=True) if bound > FIT]
    rows = np.tile(np.arange(len(routes.links)), len(new))
    grown, _ = pack(
        np.concatenate([pair, rows]), stack_rows([links, *new]), np.concatenate([score, np.ones(len(rows))]), most
    )
    return grown
