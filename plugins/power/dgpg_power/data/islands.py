"""Islands of a case: what its lines in service connect. DC optimal power flow of several is one of each by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dgpg.errors import DataError
from dgpg_power.network import BoolArray, IntArray

from .case import Case, positions

BUS, TYPE, FROM, TO, ON, ISOLATED = 0, 1, 0, 1, 10, 4
"""Columns of mpc.bus and mpc.branch, from 0, and the type of a bus that takes no part."""


def labels(count: int, one: IntArray, other: IntArray, on: BoolArray) -> IntArray:
    """Number of the island of each of `count` buses; lines between rows `one` and `other` connect where `on`."""
    graph = coo_array((np.ones(int(on.sum())), (one[on], other[on])), shape=(count, count))
    found: IntArray = connected_components(graph, directed=False)[1].astype(np.int64)
    return found


def island(case: Case, bus: int) -> Case:
    """The case with all buses isolated that no line in service connects with a bus, by its number.

    Raises:
        DataError: there is no such bus, or it is isolated itself.
    """
    buses, branch = case.bus.array(13), case.branch.array(13)
    if not np.isfinite(buses[:, BUS]).all():
        return case  # what is wrong with it is said where rows are checked
    number, live = buses[:, BUS].astype(np.int64), buses[:, TYPE] != ISOLATED
    (at,) = positions(number, np.array([float(bus)]))
    if at < 0 or not live[at]:
        what = "not in mpc.bus" if at < 0 else f"isolated (type {ISOLATED})"
        raise DataError(f"{case.bus.place}: island = {bus}: this bus is {what}: name a bus of the island to take")
    ends = [positions(number, branch[:, end]) for end in (FROM, TO)]
    on = (branch[:, ON] > 0) & (ends[0] >= 0) & (ends[1] >= 0)
    on = on & live[ends[0]] & live[ends[1]]
    label = labels(len(buses), ends[0], ends[1], on)
    rows = tuple(
        row if label[k] == label[at] else (*row[:TYPE], float(ISOLATED), *row[TYPE + 1 :])
        for k, row in enumerate(case.bus.rows)
    )
    return replace(case, bus=replace(case.bus, rows=rows))
