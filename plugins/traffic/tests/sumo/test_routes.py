"""Routes that drivers choose among, against networkx."""

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

from dgpg_traffic.sumo import files, network, routes, trips
from dgpg_traffic.sumo.network import Network


@pytest.fixture(scope="module")
def grid() -> Network:
    return network.read(files.find(files.GRID, None).network)


def test_routes_lead_there_are_distinct_and_no_longer_than_allowed(grid: Network) -> None:
    who = trips.read(grid, None, None, 1.0, 0)
    found = routes.draw(grid, who, 4, 0.5, 1.6, 0)
    follows = set(zip(*(x.tolist() for x in grid.follows), strict=True))
    takes = found.total(grid.free_time)
    assert found.kept.all() and 300 < found.exists.sum() < 480
    for i, (first, last) in enumerate(who.ends.tolist()):
        paths = [
            tuple(e for e in path if e >= 0)
            for path, there in zip(found.edges[i].tolist(), found.exists[i], strict=True)
            if there
        ]
        assert len(set(paths)) == len(paths)
        for path in paths:
            assert path[0] == first and path[-1] == last
            assert all(step in follows for step in pairwise(path))
    assert (takes <= 1.6 * takes[:, :1] + 1e-9)[found.exists].all()


def test_the_first_route_is_the_fastest(grid: Network) -> None:
    who = trips.read(grid, None, None, 1.0, 1)
    found = routes.draw(grid, who, 2, 0.5, 2.0, 0)
    graph = nx.DiGraph()
    for a, b in zip(*(x.tolist() for x in grid.follows), strict=True):
        graph.add_edge(a, b, weight=grid.free_time[b])
    for i, (first, last) in enumerate(who.ends.tolist()[:40]):
        expected = grid.free_time[first] + nx.shortest_path_length(graph, first, last, "weight")
        assert found.total(grid.free_time)[i, 0] == pytest.approx(expected)


def test_they_depend_on_the_seed_alone(grid: Network) -> None:
    who = trips.read(grid, None, None, 1.0, 0)
    one, same, other = (routes.draw(grid, who, 4, 0.5, 2.0, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.edges, same.edges)
    assert one.edges.shape != other.edges.shape or (one.edges != other.edges).any()
