"""What happens to a road network from outside, drawn before the episode: demand and incidents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgpg.domain.random import autoregressive
from dgpg_traffic.arrays import FloatArray
from dgpg_traffic.system import System

ORIGIN, COMMON = 0.4, 0.2
"""Deviation of the demand of an origin and of all, in deviations of a pair."""
PEAKS = ((8.0, 2.5), (17.0, 3.0))
"""Hour and width of the day's peaks."""
LEAST, MOST = 0.6, 1.2
"""Of the daily profile, share of the network's own demand."""


@dataclass(frozen=True)
class Tape:
    """Episodes of B environments, T + 1 periods each (the last is only seen, never acted in)."""

    demand: Tensor
    """Vehicles of each agent, `[T + 1, B, N]`."""
    capacity: Tensor
    """Of links in force, incidents included, `[T + 1, B, L]`."""
    period: Tensor
    """Of the day, int64 `[T + 1, B]`: an episode is a day that begins at any time."""


def profile(kind: str, periods: int) -> FloatArray:
    """Usual demand of each of `periods` of a day, share of the network's own, `[periods]`."""
    if kind == "flat":
        return np.ones(periods)
    hour = 24 * (np.arange(periods) + 0.5) / periods
    bumps = [np.exp(-(((hour - peak) / width) ** 2)) for peak, width in PEAKS]
    usual: FloatArray = LEAST + (MOST - LEAST) * np.maximum(*bumps)
    return usual


def drawn_noise(
    rng: np.random.Generator, steps: int, origin: NDArray[np.int64], deviation: float, memory: float
) -> FloatArray:
    """What the usual demand of each pair is multiplied by, at least 0, `[steps, pairs]`; `origin` `[pairs]`."""
    zones, at = np.unique(origin, return_inverse=True)
    pair, zone, common = (
        autoregressive(rng.standard_normal((steps, size)), memory) for size in (len(origin), len(zones), 1)
    )
    noise: FloatArray = np.maximum(1 + deviation * (pair + ORIGIN * zone[:, at] + COMMON * common), 0.0)
    return noise


def drawn_capacity(
    rng: np.random.Generator, steps: int, links: int, probability: float, left: float, periods: int
) -> FloatArray:
    """Share of each link's capacity that is there, `[steps, links]`; an incident lasts `periods`."""
    begins = rng.random((steps, links)) < probability
    recent = np.cumsum(begins, 0)
    recent[periods:] = recent[periods:] - recent[:-periods]
    return np.where(recent > 0, left, 1.0)


def draw(rng: np.random.Generator, system: System) -> dict[str, NDArray[Any]]:
    """One episode of one environment, fields of `Tape` `[T + 1, ...]`; always as many draws of `rng`."""
    config, network = system.config, system.network
    steps = config.horizon + 1
    period = (rng.integers(config.horizon) + np.arange(steps)) % config.horizon
    usual = system.profile[period, None] * network.demand
    noise = drawn_noise(rng, steps, network.origin, config.demand.noise, config.demand.memory)
    incidents = config.incidents
    there = drawn_capacity(
        rng, steps, network.num_links, incidents.probability, incidents.capacity, incidents.periods
    )  # fmt: skip
    return {"demand": system.by_agent(usual * noise), "capacity": there * network.capacity, "period": period}


def tape(episodes: list[dict[str, Any]], device: torch.device) -> Tape:
    """Episodes of B environments side by side."""
    stacked = {name: torch.from_numpy(np.stack([e[name] for e in episodes], 1)) for name in episodes[0]}
    return Tape(**{k: (x if x.dtype == torch.int64 else x.float()).to(device) for k, x in stacked.items()})
