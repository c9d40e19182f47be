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
    """Links as the E entries of a sparse matrix of V' = V + closed nodes; those between the same nodes share one.

    A closed node is there twice: links end at its number and start at its copy, so no path leads through it.

    Attributes:
        size: V'.
        start: where paths from a node start, `[V]`: the node or its copy.
        first: position of the first entry of each row, `[V' + 1]`.
        column: column of each entry, `[E]`.
        key: row V' + column of each entry, ascending, `[E]`.
        link: links in the order of entries, those of an entry side by side, `[L]`.
        lead: position in `link` of the first link of each entry, `[E]`.
    """

    size: int
    start: IntArray
    first: IntArray
    column: IntArray
    key: IntArray
    link: IntArray
    lead: IntArray

    def best(self, cost: FloatArray) -> IntArray:
        """The cheapest link of each entry at costs `[L]`, the first of equal ones, `[E]`."""
        if len(self.lead) == len(self.link):
            return self.link
        entry = np.repeat(np.arange(len(self.lead)), np.diff(self.lead, append=len(self.link)))
        return self.link[np.lexsort((self.link, cost[self.link], entry))[self.lead]]


def make_graph(tail: IntArray, head: IntArray, through: BoolArray) -> Graph:
    """The graph of links from `tail` to `head`, `[L]`; routes may pass the nodes where `through`, `[V]`, is true."""
    closed = np.flatnonzero(~through)
    start = np.arange(len(through))
    start[closed] = len(through) + np.arange(len(closed))
    size = len(through) + len(closed)
    keys = start[tail] * size + head
    link = np.argsort(keys, kind="stable")
    key, lead = np.unique(keys[link], return_index=True)
    rows = np.bincount(key // size, minlength=size)
    return Graph(size, start, np.concatenate([[0], rows.cumsum()]), key % size, key, link, lead)


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
    best = graph.best(cost)
    # An entry of 0 stays a link of cost 0: SciPy drops zeros of dense matrices only.
    matrix = csr_array((cost[best], graph.column, graph.first), shape=(graph.size, graph.size))
    distance, before = dijkstra(matrix, indices=starts, return_predecessors=True)
    return distance[row, destination], _walk_back(graph, best, before.astype(np.int64), row, destination)


def _walk_back(graph: Graph, best: IntArray, before: IntArray, row: IntArray, node: IntArray) -> IntArray:
    """Links, by entry `best`, of the paths to `node` in the trees `before[row]`, one step of all paths at a time."""
    steps = []
    while True:
        previous = before[row, node]
        moving = previous >= 0  # SciPy marks the start of a tree, and what it does not reach, by -9999
        if not moving.any():
            break
        entry = np.searchsorted(graph.key, np.where(moving, previous * graph.size + node, 0))
        steps.append(np.where(moving, best[entry], -1))
        node = np.where(moving, previous, node)
    if not steps:
        return np.full((len(row), 1), -1)
    links = np.stack(steps[::-1], axis=1)
    order = np.argsort(links < 0, axis=1, kind="stable")
    ordered: IntArray = np.take_along_axis(links, order, axis=1)
    return ordered
