"""What every simulator is given to judge: the vehicles of a period, and how roads are made of links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgpg_traffic.arrays import FloatArray, IntArray
from dgpg_traffic.instance import Instance
from dgpg_traffic.judge.replay import Replay

PLATOON = 5
"""Vehicles that UXsim moves together."""
PLATOONS = 2000
"""Released in a period: flows and capacities are multiplied alike to make it so.

It changes no queue at a point. A link has a lane at least, so one of little capacity has room for more vehicles than
it should; with room in proportion to capacity Sioux Falls is gridlocked at any splits.
"""
PERIOD = 3600.0
"""Seconds in which the vehicles of a period set out."""
LIMIT = 4 * PERIOD
"""Seconds after which those who are still on the road are counted as they are."""
SPEED = 20.0
"""Of free flow, m/s; lengths follow from free-flow times."""
JAM = 0.2
"""Vehicles a metre on one lane that stands."""
LANE = 0.8
"""Vehicles a second that one lane can carry at most, of speed, jam density and a reaction time of 1 s."""
ROOM = 2.0
"""Flow that a link's lanes carry over what its end lets out, as at a signal: without, there is no room for a queue."""
MOST = 2 * PLATOONS * PLATOON / PERIOD
"""Vehicles a second above which a capacity is none: all of them on one link are half of it."""


@dataclass(frozen=True)
class Drive:
    """Vehicles of one period, by platoon."""

    time: FloatArray
    """On the road, minutes, `[V]`; those who did not arrive, until the end; tolls and lengths that count are added."""
    arrived: FloatArray
    """1 for those who did, `[V]`."""


@dataclass(frozen=True)
class Roads:
    """Links as roads, of which a lane lets so much through and holds so much."""

    rate: FloatArray
    """Vehicles a second that a link lets out, `[L]`."""
    lanes: IntArray
    """`[L]`."""
    length: FloatArray
    """Metres, `[L]`."""


def roads(instance: Instance, capacity: FloatArray) -> Roads:
    """Roads of links with so much capacity, vehicles an hour `[L]`."""
    network = instance.network
    rate = np.minimum(capacity / 3600, MOST)
    lanes = np.maximum(np.ceil(ROOM * rate / LANE), 1).astype(int)
    length = np.maximum((network.free_time - network.fixed) * instance.config.time_unit, PLATOON) * SPEED
    return Roads(rate, lanes, length)


def departures(platoons: FloatArray) -> list[tuple[int, int, float]]:
    """Agent, slot and second of each platoon, of so many a route `[N, K]`, spread evenly over the period.

    Whole numbers by rounding the running sum: no pair's vehicles, however few, are lost on the whole.
    """
    ends = np.rint(np.cumsum(platoons.reshape(-1))).astype(np.int64)
    counts: IntArray = np.diff(ends, prepend=0)
    found = []
    for place in np.flatnonzero(counts):
        agent, slot = divmod(int(place), platoons.shape[1])
        # Each route begins at another moment, by the golden ratio: all at once would be a queue that nobody meant.
        offset = (place * 0.6180339887) % 1
        times = (np.arange(counts[place]) + offset) * PERIOD / counts[place]
        found += [(agent, slot, float(second)) for second in times]
    return sorted(found, key=lambda one: one[2])


def busiest(shown: Replay, day: int) -> int:
    """The period of a day with the most vehicles."""
    return int(shown.demand[:, day].sum(-1).argmax())
