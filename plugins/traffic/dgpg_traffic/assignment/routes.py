"""At most K routes for each pair: those that user equilibrium and system optimum use at several levels of demand.

Those that are merely short miss the optimum. docs/traffic.md has what these lose.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dgpg.errors import ConfigError
from dgpg.files import cache as store
from dgpg_traffic.arrays import FloatArray, IntArray
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM, USER_EQUILIBRIUM
from dgpg_traffic.assignment.equilibrium import Solution, solve
from dgpg_traffic.network.incidence import Routes, pack, stack_rows, unpack
from dgpg_traffic.network.network import Network
from dgpg_traffic.network.paths import cheapest

__all__ = ["LEVELS", "MOST", "Routes", "generate"]

VERSION = 2
"""Changes with the method, so that a cached result of an older one is not used."""
LEVELS = (0.6, 0.8, 1.0, 1.2)
"""Demand in shares of the network's own."""
MOST = 6
"""Routes of a pair, K."""
TOLERANCE = 1e-5
"""Gap of the solutions: what the routes lose is measured afterwards, by `fitness`."""
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
        cache: folder of earlier results; `dgpg.files.cache.folder("traffic")` if None.

    Raises:
        ConfigError: `most` or a level is not above 0.
        SolverError: a solution was not found.
    """
    if most < 1 or not levels or not min(levels) > 0:
        message = f"most is {most} and levels are {levels}, expected at least 1 route and levels above 0: correct them"
        raise ConfigError(f"{network.name}: routes: {message}")
    folder = store.folder("traffic") if cache is None else cache
    path = folder / f"routes-{_key(network, most, levels)}.npz"
    cached = store.read(path, ("values",))
    if cached is not None and _fits(network, cached["values"], most):
        return Routes(cached["values"])
    found = _best(network, *_met(network, levels), most)
    store.write(path, {"values": found.links})
    return found


def _met(network: Network, levels: tuple[float, ...]) -> tuple[Routes, FloatArray]:
    """All routes of the solutions at all levels, and the mean share of their pair's demand, `[N, K]`."""
    found: list[tuple[IntArray, IntArray, FloatArray]] = []
    for objective in (USER_EQUILIBRIUM, SYSTEM_OPTIMUM):
        last: Solution | None = None
        for level in levels:
            at_level = network.scaled(demand=level)
            last = solve(at_level, objective, start=last, tolerance=TOLERANCE)
            found.append(unpack(last.routes, last.route_flow / at_level.demand[:, None] / (2 * len(levels))))
    pairs, links, shares = zip(*found, strict=True)
    return pack(np.concatenate(pairs), stack_rows(links), np.concatenate(shares))


def _best(network: Network, routes: Routes, share: FloatArray, most: int) -> Routes:
    """The routes to keep, in their order."""
    # One scale for all: the shortest is above any, used ones are above 0, and the others, by their time, below.
    pair, links, score = unpack(routes, np.where(share > UNUSED, share, -routes.times(network.free_time)))
    _, shortest = cheapest(network.graph(), network.free_time, network.origin, network.destination)
    pairs = np.concatenate([np.arange(network.num_pairs), pair])
    scores = np.concatenate([np.full(network.num_pairs, np.inf), score])
    kept, _ = pack(pairs, stack_rows([shortest, links]), scores, most)
    return kept


def _fits(network: Network, links: IntArray, most: int) -> bool:
    """Does an array have the type and the shape of routes of the network, and do they lead where they should."""
    if links.dtype != np.int64:
        return False
    shape = links.ndim == 3 and len(links) == network.num_pairs and 1 <= links.shape[1] <= most and links.size > 0
    return bool(shape and links.min() >= -1 and links.max() < network.num_links) and _leads(network, links)


def _leads(network: Network, links: IntArray) -> bool:
    """Does each pair have a route, and each of them `[N, K, P]` lead without a gap from origin to destination."""
    used, first = links >= 0, links[..., 0] >= 0
    rising = used[..., 1:] & ~used[..., :-1]
    broken = used[..., 1:] & (network.tail[links[..., 1:]] != network.head[links[..., :-1]])
    last = np.take_along_axis(links, np.maximum(used.sum(-1) - 1, 0)[..., None], -1)[..., 0]
    begins = network.tail[links[..., 0]] == network.origin[:, None]
    ends = network.head[last] == network.destination[:, None]
    return bool(first[:, 0].all() and not rising.any() and not broken.any() and (begins & ends)[first].all())


def _key(network: Network, most: int, levels: tuple[float, ...]) -> str:
    """Hash of everything that the result depends on."""
    arrays = (
        *(network.through, network.tail, network.head, network.capacity, network.free_time, network.b, network.power),
        *(network.origin, network.destination, network.demand),
    )
    return store.key(f"{VERSION} {most} {levels!r}", arrays)
