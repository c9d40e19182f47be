"""At most K routes for each pair: those that user equilibrium and system optimum use at several levels of demand.

Routes that are only short miss the optimum: on Sioux Falls the six shortest without traffic cost 1.7 % more, these
under 0.001 % (docs/traffic.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgpg.errors import ConfigError

from . import cache as store
from .arrays import FloatArray, IntArray
from .assignment import SYSTEM_OPTIMUM, USER_EQUILIBRIUM
from .equilibrium import Solution, solve
from .incidence import Routes, pack, unpack
from .network import Network
from .paths import cheapest

__all__ = ["LEVELS", "MOST", "Routes", "generate"]

VERSION = 1
"""Changes with the method, so that a cached result of an older one is not used."""
LEVELS = (0.6, 0.8, 1.0, 1.2)
"""Demand in shares of the network's own."""
MOST = 6
"""Routes of a pair, K."""
TOLERANCE = 1e-6
"""Gap of the solutions."""
UNUSED = 1e-4
"""Mean share of a pair's demand up to which a route counts as not used."""


def generate(
    network: Network,
    *,
    most: int = MOST,
    levels: tuple[float, ...] = LEVELS,
    cache: Path | None = None,
) -> Routes:
    """Routes of every pair, `[N, K, P]` with K <= `most`.

    First the one that is shortest without traffic, then those that the solutions use, by their mean share, then
    others that column generation met, the shortest first. A pair that has fewer leaves its last slots empty. None
    crosses a node that may not be crossed.

    Args:
        network: with its demand.
        most: K.
        levels: of demand, in shares of the network's own.
        cache: folder of earlier results; `cache.cache_folder()` if None.

    Raises:
        ConfigError: `most` or a level is not above 0.
        SolverError: a solution was not found.
    """
    if most < 1 or not levels or not min(levels) > 0:
        message = f"most is {most} and levels are {levels}, expected at least 1 route and levels above 0: correct them"
        raise ConfigError(f"{network.name}: routes: {message}")
    path = (store.cache_folder() if cache is None else cache) / f"routes-{_key(network, most, levels)}.npz"
    cached = store.read(path)
    if cached is not None and _fits(network, cached, most):
        return Routes(cached)
    found = _best(network, _met(network, levels), most)
    store.write(path, found.links)
    return found


@dataclass(frozen=True, eq=False)
class _Met:
    """Rows of routes, each as often as a solution has it: pair `[R]`, links `[R, P]` and share `[R]`."""

    pair: IntArray
    links: IntArray
    share: FloatArray


def _met(network: Network, levels: tuple[float, ...]) -> _Met:
    """All routes of the solutions at all levels, each solution starting from the one before."""
    rows, last = [], dict.fromkeys((USER_EQUILIBRIUM, SYSTEM_OPTIMUM), None)
    found: dict[str, Solution | None] = {objective.name: None for objective in last}
    for level in levels:
        at_level = network.scaled(demand=level)
        for objective in (USER_EQUILIBRIUM, SYSTEM_OPTIMUM):
            solution = solve(at_level, objective, start=found[objective.name], tolerance=TOLERANCE)
            found[objective.name] = solution
            share = solution.route_flow / at_level.demand[:, None] / (2 * len(levels))
            rows.append(unpack(solution.routes, share))
    width = max(links.shape[1] for _, links, _ in rows)
    links = [np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=-1) for _, part, _ in rows]
    return _Met(np.concatenate([row[0] for row in rows]), np.concatenate(links), np.concatenate([r[2] for r in rows]))


def _best(network: Network, met: _Met, most: int) -> Routes:
    """The routes to keep, in their order."""
    routes, share = pack(met.pair, met.links, met.share)
    time = routes.times(network.free_time)
    # One scale for all: used routes are above 0, the others below, the shortest of all above any.
    score = np.where(share > UNUSED, share, -time)
    pair, links, score = unpack(routes, score)
    _, shortest = cheapest(network.graph(), network.free_time, network.origin, network.destination)
    width = max(links.shape[1], shortest.shape[1])
    parts = [np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=-1) for part in (shortest, links)]
    first = np.full(network.num_pairs, np.inf)
    everyone = np.arange(network.num_pairs)
    kept, _ = pack(np.concatenate([everyone, pair]), np.concatenate(parts), np.concatenate([first, score]), most)
    return kept


def _fits(network: Network, links: IntArray, most: int) -> bool:
    """Does an array have the shape and the range of routes of the network."""
    shape = links.ndim == 3 and len(links) == network.num_pairs and 1 <= links.shape[1] <= most and links.size > 0
    return bool(shape and links.min() >= -1 and links.max() < network.num_links)


def _key(network: Network, most: int, levels: tuple[float, ...]) -> str:
    """Hash of everything that the result depends on."""
    arrays = (
        *(network.through, network.tail, network.head, network.capacity, network.free_time, network.b, network.power),
        *(network.origin, network.destination, network.demand),
    )
    return store.key(f"{VERSION} {most} {levels!r}", arrays)
