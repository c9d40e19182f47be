"""Cheapest paths between many pairs at once, none of which crosses a node closed to through traffic.

Dijkstra's algorithm of SciPy from all origins in one call; the links of all paths are then read off together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from dgpg_traffic.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Graph:
    """Links as the entries of a sparse matrix of V' = V + closed nodes.

    A closed node is there twice: links end at its number and start at its copy, so no path leads through it.

    Attributes:
        size: V'.
        start: where paths from a node start, `[V]`: the node or its copy.
        first: position of the first entry of each row, `[V' + 1]`.
        column: column of each entry, `[L]`.
        link: link of each entry, `[L]`.
        key: row V' + column of each entry, ascending, `[L]`.
    """

    size: int
    start: IntArray
    first: IntArray
    column: IntArray
    link: IntArray
    key: IntArray


def make_graph(tail: IntArray, head: IntArray, through: BoolArray) -> Graph:
    """The graph of links from `tail` to `head`, `[L]`; routes may pass the nodes where `through`, `[V]`, is true."""
    closed = np.flatnonzero(~through)
    start = np.arange(len(through))
    start[closed] = len(through) + np.arange(len(closed))
    size = len(through) + len(closed)
    key = start[tail] * size + head
    link = np.argsort(key)
    rows = np.bincount(start[tail], minlength=size)
    return Graph(size, start, np.concatenate([[0], rows.cumsum()]), head[link], link, key[link])


def cheapest(graph: Graph, cost: FloatArray, origin: IntArray, destination: IntArray) -> tuple[FloatArray, IntArray]:
    """Cost `[N]` and links `[N, P]` in order of travel, then -1, of the cheapest path of each pair.

    Where there is none the cost is inf and all links are -1.

    Args:
        graph: the links.
        cost: of each link, at least 0, `[L]`.
        origin: node, `[N]`.
        destination: another node, `[N]`.
    """
    starts, row = np.unique(graph.start[origin], return_inverse=True)
    # An entry of 0 stays a link of cost 0: SciPy drops zeros of dense matrices only.
    matrix = csr_array((cost[graph.link], graph.column, graph.first), shape=(graph.size, graph.size))
    distance, before = dijkstra(matrix, indices=starts, return_predecessors=True)
    return distance[row, destination], _walk_back(graph, before.astype(np.int64), row, destination)


def _walk_back(graph: Graph, before: IntArray, row: IntArray, node: IntArray) -> IntArray:
    """Links of the paths to `node` in the trees `before[row]`, one step of all paths at a time."""
    steps = []
    while True:
        previous = before[row, node]
        moving = previous >= 0  # SciPy marks the start of a tree, and what it does not reach, by -9999
        if not moving.any():
            break
        entry = np.searchsorted(graph.key, np.where(moving, previous * graph.size + node, 0))
        steps.append(np.where(moving, graph.link[entry], -1))
        node = np.where(moving, previous, node)
    if not steps:
        return np.full((len(row), 1), -1)
    links = np.stack(steps[::-1], axis=1)
    order = np.argsort(links < 0, axis=1, kind="stable")
    ordered: IntArray = np.take_along_axis(links, order, axis=1)
    return ordered
