"""Cheapest paths against trying all, with nodes closed to through traffic, links of cost 0 and links side by side."""

from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dgpg_traffic.network.paths import cheapest, make_graph

NODES = 5
ARCS = list(permutations(range(NODES), 2))


def _all_paths(arcs: list[tuple[int, int]], through: list[bool], start: int, end: int) -> list[list[int]]:
    """Links of every simple path."""
    found: list[list[int]] = []

    def walk(node: int, seen: set[int], links: list[int]) -> None:
        if node == end:
            found.append(links)
        elif node == start or through[node]:
            for link, (tail, head) in enumerate(arcs):
                if tail == node and head not in seen:
                    walk(head, seen | {head}, [*links, link])

    walk(start, {start}, [])
    return found


@given(
    arcs=st.lists(st.sampled_from(ARCS), min_size=1, max_size=20),
    through=st.lists(st.booleans(), min_size=NODES, max_size=NODES),
    data=st.data(),
)
def test_no_path_is_cheaper(arcs: list[tuple[int, int]], through: list[bool], data: st.DataObject) -> None:
    cost = np.array([data.draw(st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5])) for _ in arcs])
    tail, head = np.array(arcs).T
    graph = make_graph(tail, head, np.array(through))
    pairs = np.array(ARCS)
    least, links = cheapest(graph, cost, pairs[:, 0], pairs[:, 1])
    for (start, end), price, row in zip(ARCS, least, links, strict=True):
        used = row[row >= 0].tolist()
        costs = [cost[path].sum() for path in _all_paths(arcs, through, start, end)]
        assert price == min(costs, default=np.inf)
        assert (row[len(used) :] == -1).all()
        if costs:
            assert used in _all_paths(arcs, through, start, end) and cost[used].sum() == price
        else:
            assert not used


def test_a_closed_zone_is_driven_around() -> None:
    tail, head = np.array([0, 1, 0, 3, 2]), np.array([1, 2, 3, 2, 1])
    cost = np.array([1.0, 1.0, 5.0, 5.0, 1.0])
    open_, closed = np.full(4, True), np.array([True, False, True, True])
    pairs = (np.array([0, 0, 1]), np.array([2, 1, 2]))
    least, links = cheapest(make_graph(tail, head, open_), cost, *pairs)
    assert least.tolist() == [2, 1, 1] and links.tolist() == [[0, 1], [0, -1], [1, -1]]
    least, links = cheapest(make_graph(tail, head, closed), cost, *pairs)
    assert least.tolist() == [10, 1, 1] and links.tolist() == [[2, 3], [0, -1], [1, -1]]  # may end and start there


def test_a_pair_without_a_path_has_no_links() -> None:
    graph = make_graph(np.array([0]), np.array([1]), np.full(2, True))
    least, links = cheapest(graph, np.array([1.0]), np.array([1]), np.array([0]))
    assert least.tolist() == [np.inf] and links.tolist() == [[-1]]
