"""What pairs of zones know as what they see; the same numbers as `dgpg_traffic.observation`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgpg_traffic.deploy.scales import BOUND, LEVEL, Floats, Scales


@dataclass(frozen=True)
class History:
    """Of R agents before a period; what all are told has no R."""

    agent: ArrayLike
    """Which, from 0, `[R]`."""
    demand: ArrayLike
    """Vehicles of each in this period, `[R]`."""
    last_demand: ArrayLike
    """In the last one, `[R]`."""
    link_time: ArrayLike
    """Travel time of each link in the last period, in the network's unit of time, `[L]`."""
    period: int
    """Of the day, from 0."""


def features(scales: Scales, history: History) -> dict[str, NDArray[np.generic]]:
    """What agents see: `agent` `[R, F]`, `choices` `[R, K, 2]`, `mask` `[R, K]` and `index` `[R]`."""
    agent, time = np.asarray(history.agent, np.int64), np.asarray(history.link_time, np.float32)
    routes = scales.routes[agent // scales.per_pair]
    return {
        "index": agent, "agent": _bent(_own(scales, history, agent, time)),
        "choices": _bent(_routes(scales, agent, time, routes)), "mask": routes[..., 0] >= 0,
    }  # fmt: skip


def _own(scales: Scales, history: History, agent: NDArray[np.int64], time: Floats) -> Floats:
    """Demand, its change, and what all are told, `[R, 6]`."""
    now = int(history.period)
    level, before = scales.usual[now], scales.usual[now - 1]
    usual, noise = scales.demand[agent], np.float32(scales.noise)
    angle = 2 * math.pi * (now + 0.5) / len(scales.usual)
    seen = np.empty((len(agent), 6), np.float32)
    seen[:, 0] = own = (np.asarray(history.demand, np.float32) / (usual * level) - 1) / noise
    seen[:, 1] = own - (np.asarray(history.last_demand, np.float32) / (usual * before) - 1) / noise
    seen[:, 2] = (slowness(time, scales.free_time) - scales.congestion[0]) / scales.congestion[1]
    seen[:, 3] = (level - 1) / np.float32(LEVEL)
    seen[:, 4], seen[:, 5] = math.sin(angle), math.cos(angle)
    return seen


def _routes(scales: Scales, agent: NDArray[np.int64], time: Floats, routes: NDArray[np.int64]) -> Floats:
    """Times of routes, and what one more vehicle on them costs all, in deviations, `[R, K, 2]`."""
    of_links = np.zeros((2, len(time) + 1), np.float32)  # the last is the link that fills routes up
    of_links[0, :-1] = time
    # BPR: what one more vehicle costs all is t0 + (power + 1) (t - t0), whatever flow and capacity are.
    of_links[1, :-1] = scales.free_time + scales.steepness * (time - scales.free_time)
    mean, deviation = scales.moments
    found = of_links[:, routes].sum(-1)
    found -= mean[:, agent]
    found /= deviation[:, agent]
    return np.moveaxis(found, 0, -1)


def slowness(time: Floats, free_time: Floats) -> np.float32:
    """Time over free-flow time, mean over links `[L]`; 1 on links that take none."""
    ratio = np.ones_like(time)
    np.divide(time, free_time, out=ratio, where=free_time > 0)
    return np.float32(ratio.mean())


def _bent(x: Floats) -> Floats:
    found: Floats = np.tanh(x / _BOUND)
    found *= _BOUND
    return found


_BOUND = np.array(BOUND, np.float32)
