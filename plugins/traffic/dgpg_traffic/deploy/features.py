"""What pairs of zones know as what they see; the same numbers as `dgpg_traffic.observation`."""

from __future__ import annotations

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
    day, now = len(scales.usual), int(history.period)
    level, before = scales.usual[now], scales.usual[now - 1]
    usual, noise = scales.demand[agent], np.float32(scales.noise)
    own = (np.asarray(history.demand, np.float32) / (usual * level) - 1) / noise
    change = own - (np.asarray(history.last_demand, np.float32) / (usual * before) - 1) / noise
    angle = 2 * np.pi * (now + 0.5) / day
    slow = (slowness(time, scales.free_time) - scales.congestion[0]) / scales.congestion[1]
    common = (slow, (level - 1) / np.float32(LEVEL), np.sin(angle), np.cos(angle))
    seen = np.stack([own, change, *(np.broadcast_to(np.float32(x), agent.shape) for x in common)], -1)
    # BPR: what one more vehicle costs all is t0 + (power + 1) (t - t0), whatever flow and capacity are.
    marginal = scales.free_time + (scales.power + 1) * (time - scales.free_time)
    routes = [
        (scales.cost(cost, agent) - moments[0, agent]) / moments[1, agent]
        for cost, moments in ((time, scales.route_time), (marginal, scales.route_marginal))
    ]
    return {
        "index": agent, "agent": _bent(seen), "choices": _bent(np.stack(routes, -1)), "mask": scales.exists(agent),
    }  # fmt: skip


def slowness(time: Floats, free_time: Floats) -> np.float32:
    """Time over free-flow time, mean over links `[L]`; 1 on links that take none."""
    ratio = np.ones_like(time)
    np.divide(time, free_time, out=ratio, where=free_time > 0)
    return np.float32(ratio.mean())


def _bent(x: Floats) -> Floats:
    found: Floats = np.float32(BOUND) * np.tanh(x / np.float32(BOUND))
    return found
