"""A SUMO network as arrays: edges that cars may use, and which follows which."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.sax import SAXParseException

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from dgpg.errors import DataError
from dgpg_traffic.programs import sumolib

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Network:
    """E edges that cars may use; those within junctions are not among them."""

    path: Path
    edges: tuple[str, ...]
    free_time: Floats
    """Length over speed limit, seconds, `[E]`."""
    head: Ints
    """Junction that an edge leads to, `[E]`."""
    follows: tuple[NDArray[np.int64], NDArray[np.int64]]
    """Pairs of edges: from the first a car may go on to the second, `[C]` each."""

    @cached_property
    def number(self) -> dict[str, int]:
        """Of each edge."""
        return {edge: n for n, edge in enumerate(self.edges)}

    @cached_property
    def others(self) -> tuple[Ints, ...]:
        """By edge, the other edges that lead to the same junction."""
        by_head: dict[int, list[int]] = {}
        for edge, head in enumerate(self.head.tolist()):
            by_head.setdefault(head, []).append(edge)
        together = [by_head[head] for head in self.head.tolist()]
        return tuple(np.array([e for e in group if e != edge], np.int64) for edge, group in enumerate(together))

    def graph(self, time: Floats) -> csr_matrix:
        """Edges as nodes, going on to an edge costs its time, `[E, E]`; for times `[E]`."""
        first, second = self.follows
        # A stored zero is an arc to scipy, but a car does take a moment.
        cost = np.maximum(time[second], 1e-3)
        return csr_matrix((cost, (first, second)), shape=(len(self.edges), len(self.edges)))


def shapes(network: Network) -> list[Floats]:
    """Points of the line of each edge, metres, `[P, 2]` each."""
    net = sumolib().net.readNet(str(network.path))
    return [np.array(net.getEdge(name).getShape(), np.float64)[:, :2] for name in network.edges]


def read(path: Path) -> Network:
    """A network of a `.net.xml`.

    Raises:
        DataError: it is none, or cars may go nowhere in it.
    """
    reader = sumolib()
    try:
        net = reader.net.readNet(str(path))
    except (OSError, EOFError, zlib.error, SAXParseException, ValueError, KeyError, AttributeError) as error:
        raise DataError(
            f"network: {path} is no network of SUMO ({error}); expected a .net.xml, as netconvert writes"
        ) from None
    edges = sorted((e for e in net.getEdges(withInternal=False) if e.allows("passenger")), key=lambda e: e.getID())
    number = {edge.getID(): n for n, edge in enumerate(edges)}
    pairs = [
        (number[edge.getID()], number[after.getID()])
        for edge in edges
        for after in sorted(edge.getAllowedOutgoing("passenger"), key=lambda e: e.getID())
        if after.getID() in number
    ]
    if not pairs:
        raise DataError(f"network: {path} has {len(edges)} edges for cars and connects none; is it a .net.xml?")
    heads = {head: n for n, head in enumerate(sorted({edge.getToNode().getID() for edge in edges}))}
    follows = np.array(pairs, np.int64).T
    return Network(
        path=path,
        edges=tuple(number),
        free_time=np.array([edge.getLength() / edge.getSpeed() for edge in edges]),
        head=np.array([heads[edge.getToNode().getID()] for edge in edges], np.int64),
        follows=(follows[0], follows[1]),
    )
