"""Where and when routes meet: edges in windows of time, by a timetable that does not depend on the day.

A timetable makes what a choice adds to the state known before the day is played, and the state a sum: the day itself
says what the cells cost. Edges take their mean time of people's last days there, or their time without traffic.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dgpg_traffic.sumo.instance import Instance
from dgpg_traffic.sumo.network import Floats, Ints

ENOUGH = 5
"""Passages of an edge that its mean time is taken of."""
CARS, COUNTED, CROSSING = range(3)
"""Coordinates of a block: cars that enter, those of them who count, cars on other edges to the junction."""


@dataclass(frozen=True, eq=False)
class Cells:
    """C cells, which the fleet may enter or in which somebody is counted; then a block for each of N K routes."""

    edge: Ints
    """Of each cell, `[C]`."""
    of: Ints
    """Cell that each driver enters on each route at each place, -1 where it is none of the C, `[n, K, L]`."""
    people: Floats
    """What all drivers beside the fleet add, `[G, 3]`."""
    index: Ints
    """Blocks that each route of the fleet touches, distinct, `[N, K, P]`."""
    value: Floats
    """What it adds to them, `[N, K, P, 3]`."""

    @property
    def num_blocks(self) -> int:
        """G."""
        return len(self.people)


@dataclass(frozen=True, eq=False)
class Timetable:
    """When each driver is expected to enter each edge of each route."""

    window: Ints
    """`[n, K, L]`."""
    entry: Ints
    """Edge and window as one number, -1 behind the last edge, `[n, K, L]`."""
    junction: Ints
    """The same of the junction that the edge leads to, `[n, K, L]`."""
    span: int
    """Number of windows."""


def mean_times(instance: Instance) -> Floats:
    """Seconds of each edge in people's last days, or without traffic, `[E]`."""
    people, edges = instance.humans, instance.days.edges
    count, total = np.zeros(len(instance.network.edges)), np.zeros(len(instance.network.edges))
    for choice, passed in zip(people.choices, people.passed, strict=True):
        taken = edges[np.arange(len(choice)), choice]
        seen = ~np.isnan(passed)
        np.add.at(count, taken[seen], 1)
        np.add.at(total, taken[seen], passed[seen])
    return np.where(count >= ENOUGH, total / np.maximum(count, 1), instance.network.free_time)


def timetable(instance: Instance, window_s: float) -> Timetable:
    """Of all drivers."""
    edges = instance.days.edges
    there = edges >= 0
    takes = np.where(there, mean_times(instance)[edges], 0.0)
    enters = instance.days.depart[:, None, None] + takes.cumsum(-1) - takes
    window = (enters // window_s).astype(np.int64)
    span = int(window.max()) + 1
    entry = np.where(there, edges * span + window, -1)
    junction = np.where(there, instance.network.head[edges] * span + window, -1)
    return Timetable(window, entry, junction, span)


def load(table: Timetable, choice: Ints, drivers: Ints, size: int) -> tuple[Floats, Floats]:
    """Cars in each entry and each junction's window, if `drivers` `[d]` take routes `choice` `[d]`.

    Args:
        table: when they enter.
        choice: of them.
        drivers: which.
        size: edges or junctions, whichever are more.
    """
    return (
        np.bincount(entry[entry >= 0], minlength=size * table.span).astype(float)
        for entry in (table.entry[drivers, choice], table.junction[drivers, choice])
    )  # type: ignore[return-value]


@lru_cache(maxsize=4)
def make(instance: Instance, window_s: float) -> Cells:
    """Cells of an instance."""
    table = timetable(instance, window_s)
    everyone = np.arange(len(table.entry))
    people = np.setdiff1d(everyone, instance.fleet)
    watched = people[instance.counted[people]]
    entered = [table.entry[instance.fleet].ravel(), table.entry[watched, instance.humans.choice[watched]].ravel()]
    known = np.unique(np.concatenate(entered))
    known = known[known >= 0]
    at = np.searchsorted(known, table.entry).clip(max=len(known) - 1)
    of = np.where(known[at] == table.entry, at, -1)
    index, value = _influence(instance, table, known, of)
    base = np.zeros((len(known) + instance.mask.size, 3))
    base[: len(known)] = _of_people(instance, table, known, people, watched)
    return Cells(known // table.span, of, base, index, value)


def _of_people(instance: Instance, table: Timetable, known: Ints, people: Ints, watched: Ints) -> Floats:
    """What people `[p]` on their routes add to the cells, `[C, 3]`; of them the objective counts those `watched`."""
    choice, size = instance.humans.choice, len(instance.network.edges)
    cars, at_junction = load(table, choice[people], people, size)
    counted, _ = load(table, choice[watched], watched, size)
    junction = instance.network.head[known // table.span] * table.span + known % table.span
    return np.stack([cars[known], counted[known], at_junction[junction] - cars[known]], -1)


def _influence(instance: Instance, table: Timetable, known: Ints, of: Ints) -> tuple[Ints, NDArray[np.float64]]:
    """Blocks that each route of the fleet touches and what it adds there, padded with blocks that are added nothing."""
    number = {int(cell): n for n, cell in enumerate(known)}
    others, fleet, mask = instance.network.others, instance.fleet, instance.mask
    counts = [float(x) for x in instance.counted]
    touched: list[dict[int, list[float]]] = []
    for n, i in enumerate(fleet.tolist()):
        for k in range(mask.shape[1]):
            # The route's own block: a counted car, so that a bias is paid by who takes the route.
            blocks = {len(known) + n * mask.shape[1] + k: [0.0, float(mask[n, k]), 0.0]}
            touched.append(blocks)
            for edge, window, cell in zip(instance.days.edges[i, k], table.window[i, k], of[i, k], strict=True):
                if edge < 0:
                    break
                own = blocks.setdefault(int(cell), [0.0, 0.0, 0.0])
                own[CARS] += 1
                own[COUNTED] += counts[i]
                for other in others[int(edge)].tolist():
                    crossed = number.get(other * table.span + int(window))
                    if crossed is not None:
                        blocks.setdefault(crossed, [0.0, 0.0, 0.0])[CROSSING] += 1
    places = max(len(blocks) for blocks in touched)
    index, value = np.zeros((len(touched), places), np.int64), np.zeros((len(touched), places, 3))
    for row, blocks in enumerate(touched):
        index[row, : len(blocks)] = list(blocks)
        value[row, : len(blocks)] = list(blocks.values())
    return index.reshape(*mask.shape, places), value.reshape(*mask.shape, places, 3)
