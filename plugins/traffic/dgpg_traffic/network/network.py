"""A road network: nodes, directed links with their time as a function of flow, and demand between pairs of nodes.

Flow, capacity and demand share one unit (vehicles per hour, or per period), times another: the source's own.
Positions count from 0 and are not node numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgpg.errors import DataError
from dgpg_traffic.arrays import BoolArray, FloatArray, IntArray
from dgpg_traffic.network.paths import Graph, cheapest, make_graph

_NODES = ("node_number", "through", "place")
_LINKS = ("tail", "head", "capacity", "free_time", "b", "power", "length", "toll", "fixed")
_PAIRS = ("origin", "destination", "demand")
_TYPES: dict[str, type] = {"through": np.bool_} | dict.fromkeys(
    ("node_number", "tail", "head", "origin", "destination"), np.int64
)


@dataclass(frozen=True, eq=False)
class Network:
    """One road network. The arrays are copies and read-only; V nodes, L links, N pairs.

    The cost of a link is free_time (1 + b (flow / capacity)^power): its time, and what `weighed` adds to it.

    Attributes:
        name: name of the network.
        node_number: number of the node in its source, `[V]`.
        through: may routes pass through the node, `[V]`; a zone that may not be crossed has False.
        place: coordinates of the node, `[V, 2]`; NaN where the source has none.
        tail: position of the node where the link starts, `[L]`.
        head: position of the node where it ends, `[L]`.
        capacity: flow at which the time is free_time (1 + b), above 0, `[L]`; no limit on flow.
        free_time: cost without traffic, `[L]`: the time, and `fixed`.
        b: at least 0, `[L]`.
        power: at least 1, `[L]`.
        length: `[L]`.
        origin: position of the node where the pair's vehicles start, `[N]`.
        destination: position of the node where they go, `[N]`.
        demand: vehicles per unit of time, above 0, `[N]`.
        toll: `[L]`; zeros if left out.
        fixed: the part of `free_time` that is no time but tolls and lengths, `[L]`; zeros if left out.
        toll_factor: units of time that one unit of toll counts as, by the source; None where it does not say.
        distance_factor: the same of a unit of length.
        notes: what a user should know: demand within zones dropped, tolls not counted.
    """

    name: str
    node_number: IntArray
    through: BoolArray
    place: FloatArray
    tail: IntArray
    head: IntArray
    capacity: FloatArray
    free_time: FloatArray
    b: FloatArray
    power: FloatArray
    length: FloatArray
    origin: IntArray
    destination: IntArray
    demand: FloatArray
    toll: FloatArray = field(default_factory=lambda: np.zeros(0))
    fixed: FloatArray = field(default_factory=lambda: np.zeros(0))
    toll_factor: float | None = None
    distance_factor: float | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("toll", "fixed"):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.zeros(len(self.tail)))
        for group in (_NODES, _LINKS, _PAIRS):
            for name in group:
                values: NDArray[Any] = np.array(getattr(self, name), dtype=_TYPES.get(name, np.float64))
                values.flags.writeable = False
                object.__setattr__(self, name, values)
            lengths = {name: len(getattr(self, name)) for name in group}
            if len(set(lengths.values())) > 1:
                raise DataError(f"{self.name}: columns differ in length, expected one value a row, found {lengths}")
        if self.place.shape != (self.num_nodes, 2):
            raise DataError(f"{self.name}: place has the shape {self.place.shape}, expected (nodes, 2)")

    @property
    def num_nodes(self) -> int:
        """Number of nodes, V."""
        return len(self.node_number)

    @property
    def num_links(self) -> int:
        """Number of links, L."""
        return len(self.tail)

    @property
    def num_pairs(self) -> int:
        """Number of pairs, N."""
        return len(self.origin)

    def graph(self) -> Graph:
        """The links for `paths.cheapest`."""
        return make_graph(self.tail, self.head, self.through)

    def scaled(self, demand: float) -> Network:
        """A copy with every demand times `demand`."""
        return replace(self, demand=self.demand * demand)

    @property
    def cost_name(self) -> str:
        """What a link costs: "travel time", or "generalised cost" where tolls or lengths count."""
        return "generalised cost" if self.fixed.any() else "travel time"

    def link_name(self, link: int) -> str:
        """The link's nodes by number, as messages name it: "link 12 to 13"."""
        return f"link {self.node_number[self.tail[link]]} to {self.node_number[self.head[link]]}"

    def pair_name(self, pair: int) -> str:
        """The pair's nodes by number, as messages name it: "pair 1 to 24"."""
        return f"pair {self.node_number[self.origin[pair]]} to {self.node_number[self.destination[pair]]}"


def weighed(network: Network, toll_factor: float | None = None, distance_factor: float | None = None) -> Network:
    """The network with the cost time + toll_factor toll + distance_factor length, None for what its source says.

    The cost has the form of a time: t0 (1 + b y) + f = (t0 + f) (1 + b t0 / (t0 + f) y). Tolls and lengths that do not
    count are noted, unless the source says so.
    """
    factors = {
        "toll": (network.toll, toll_factor, network.toll_factor),
        "length": (network.length, distance_factor, network.distance_factor),
    }
    fixed, notes, silent = np.zeros(network.num_links), list(network.notes), []
    for column, (values, wished, told) in factors.items():
        factor = told if wished is None else wished
        if values.any() and factor:
            fixed = fixed + factor * values
            notes.append(f"cost of a link: its time and {factor:g} for each unit of {column}")
        elif values.any() and factor is None:
            silent.append(column)
    if silent:
        wanted = " and ".join({"toll": "toll_factor", "length": "distance_factor"}[column] for column in silent)
        notes.append(f"{' and '.join(silent)} of links do not count: set {wanted} if they should")
    free_time = network.free_time + fixed
    b = np.where(fixed > 0, network.b * network.free_time / np.where(free_time > 0, free_time, 1.0), network.b)
    return replace(network, free_time=free_time, b=b, fixed=fixed, notes=tuple(notes))


_Problem = tuple[IntArray, Callable[[int], str]]
"""Rows that are wrong, and the message for one of them."""


def validate(network: Network, where: str = "", link_at: Sequence[str] = (), pair_at: Sequence[str] = ()) -> Network:
    """Return the network, or raise DataError for the first thing that makes it unusable.

    Args:
        network: to check.
        where: its source in a message; the network's name if empty.
        link_at: source of each link, such as "FILE:LINE"; `where` if empty.
        pair_at: source of each pair; `where` if empty.
    """
    where = where or network.name
    if problem := _check_nodes(network):
        raise DataError(f"{where}: {problem}")
    for at, check in ((link_at, _link_problems), (pair_at, _pair_problems)):
        for rows, message in check(network):
            for row in rows[:1]:
                raise DataError(f"{at[row] if at else where}: {message(int(row))}")
    cost, _ = cheapest(network.graph(), network.free_time, network.origin, network.destination)
    for row in np.flatnonzero(~np.isfinite(cost))[:1]:
        problem = f"no route leads along {network.pair_name(row)}: add links, or leave the pair out"
        closed = "; zones that may not be crossed count as closed" if not network.through.all() else ""
        raise DataError(f"{pair_at[row] if pair_at else where}: {problem}{closed}")
    return network


def _check_nodes(network: Network) -> str:
    for noun, count in (("link", network.num_links), ("pair with demand", network.num_pairs)):
        if not count:
            return f"no {noun}, expected at least one: check the files"
    number, times = np.unique(network.node_number, return_counts=True)
    if (times > 1).any():
        return (
            f"node number {number[times > 1][0]} occurs more than once, expected distinct numbers: renumber the nodes"
        )
    for noun in ("tail", "head", "origin", "destination"):
        at = getattr(network, noun)
        for row in np.flatnonzero((at < 0) | (at >= network.num_nodes))[:1]:
            return f"{noun} {row} is the node position {at[row]}, expected 0 to {network.num_nodes - 1}: correct it"
    return ""


def _link_problems(network: Network) -> list[_Problem]:
    def wrong(good: BoolArray, name: str, expected: str) -> _Problem:
        values = getattr(network, name)
        return np.flatnonzero(
            ~good
        ), lambda row: f"{network.link_name(row)} has {name} {values[row]:g}, expected {expected}: correct it"

    def within(name: str, least: float) -> BoolArray:
        values = getattr(network, name)
        good: BoolArray = np.isfinite(values) & (values >= least)
        return good

    loops = np.flatnonzero(network.tail == network.head)
    return [
        (loops, lambda row: f"{network.link_name(row)} leads from a node to itself: remove it"),
        wrong(within("capacity", 0) & (network.capacity > 0), "capacity", "a number above 0"),
        *(wrong(within(name, 0), name, "a number of 0 or more") for name in ("free_time", "b", "length", "toll")),
        wrong(within("power", 1), "power", "a number of 1 or more"),
    ]


def _pair_problems(network: Network) -> list[_Problem]:
    same = np.flatnonzero(network.origin == network.destination)
    again = _repeated(network.origin, network.destination, network.num_nodes)
    wrong = np.flatnonzero(~(np.isfinite(network.demand) & (network.demand > 0)))
    return [
        (same, lambda row: f"{network.pair_name(row)} starts where it ends: leave it out"),
        (again, lambda row: f"{network.pair_name(row)} occurs twice: add up the two"),
        (
            wrong,
            lambda row: f"{network.pair_name(row)} has demand {network.demand[row]:g}, expected a number above 0",
        ),
    ]


def _repeated(first: IntArray, second: IntArray, nodes: int) -> IntArray:
    """Rows whose two nodes are also those of an earlier row."""
    _, index = np.unique(first * nodes + second, return_index=True)
    return np.setdiff1d(np.arange(len(first)), index)
