"""Up to K routes of each driver: the fastest without traffic, and fastest ones where times are perceived with error.

Stochastic shortest paths, the simulation method (Sheffi and Powell 1982; Prato 2009, section 3.2): each draw multiplies
the free-flow time of every edge by a log-normal factor and takes the fastest path. The spread grows while draws find
too few.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra

from dgpg_traffic.sumo.network import Floats, Ints, Network
from dgpg_traffic.sumo.trips import Trips

DRAWS = 64
"""Most draws; pairs that have too few routes then have no more."""
GROWTH = 1.03
"""Of the spread, a draw."""


@dataclass(frozen=True)
class Routes:
    """Of n drivers, up to K each."""

    edges: Ints
    """`[n, K, L]`, -1 behind the last edge; the first route is the fastest without traffic."""
    exists: NDArray[np.bool_]
    """`[n, K]`."""
    kept: NDArray[np.bool_]
    """Drivers of the trips that have a route at all."""

    def total(self, time: Floats) -> Floats:
        """Sum of the times `[E]` of edges along each route, `[n, K]`."""
        found: Floats = np.where(self.edges >= 0, time[self.edges], 0.0).sum(-1)
        return found


def draw(network: Network, trips: Trips, most: int, spread: float, longest: float, seed: int) -> Routes:
    """Routes of all drivers; those of the same two edges have the same.

    Args:
        network: where they drive.
        trips: who drives.
        most: K.
        spread: deviation of the logarithm of perceived times, of the first draw.
        longest: routes that take more than this times the fastest are left out.
        seed: of the draws.
    """
    pairs, of_trip = np.unique(trips.ends, axis=0, return_inverse=True)
    origins, of_pair = np.unique(pairs[:, 0], return_inverse=True)
    found: list[list[tuple[int, ...]]] = [[] for _ in pairs]
    generator = np.random.default_rng([seed, 2])
    for n in range(DRAWS):
        wanted = [p for p in range(len(pairs)) if len(found[p]) < most and (n == 0 or found[p])]
        if not wanted:
            break
        factor = np.exp(generator.normal(0, spread * GROWTH**n, len(network.edges))) if n else 1.0
        _add(network, network.free_time * factor, pairs, origins, of_pair, wanted, found, longest)
    return _packed(found, of_trip.ravel(), most)


def _add(
    network: Network, time: Floats, pairs: Ints, origins: Ints, of_pair: Ints, wanted: list[int],
    found: list[list[tuple[int, ...]]], longest: float,
) -> None:  # fmt: skip
    """The fastest path of each wanted pair under these times, where it is new and no longer than allowed."""
    used = np.unique(of_pair[wanted])
    _, before = dijkstra(network.graph(time), indices=origins[used], return_predecessors=True)
    row = {int(origin): n for n, origin in enumerate(used)}
    for p in wanted:
        path = _back(before[row[int(of_pair[p])]], *pairs[p].tolist())
        if path is None or path in found[p]:
            continue
        fastest = found[p][0] if found[p] else path
        if _takes(network, path) <= longest * _takes(network, fastest):
            found[p].append(path)


def _takes(network: Network, path: tuple[int, ...]) -> float:
    return float(network.free_time[list(path)].sum())


def _back(before: NDArray[np.int32], origin: int, destination: int) -> tuple[int, ...] | None:
    path = [destination]
    while path[-1] != origin:
        path.append(int(before[path[-1]]))
        if path[-1] < 0:
            return None
    return tuple(reversed(path))


def _packed(found: list[list[tuple[int, ...]]], of_trip: Ints, most: int) -> Routes:
    kept = np.array([bool(found[p]) for p in of_trip])
    drivers = [found[p] for p in of_trip[kept]]
    length = max((len(path) for paths in drivers for path in paths), default=1)
    edges = np.full((len(drivers), most, length), -1, np.int64)
    for i, paths in enumerate(drivers):
        for k, path in enumerate(paths):
            edges[i, k, : len(path)] = path
    return Routes(edges, edges[..., 0] >= 0, kept)
