"""What happens to a grid from outside, drawn before the episode: demand, weather, outages.

Demand is the network's own times a common level times noise of each bus. Level and noise are autocorrelated
normal processes; neighbouring buses move together. Or it is a window of a recorded series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor

from dgpg.domain.random import autoregressive
from dgpg_power.config import Load
from dgpg_power.system import System

Array = NDArray[np.float64]
NOISE = 0.05
"""Usual deviation of drawn demand."""


@dataclass(frozen=True)
class Tape:
    """Episodes of B environments, T + 1 moments each (the last is only seen, never acted in)."""

    forecast: Tensor
    """What agents and the model are told of each bus's load, MW, `[T + 1, B, nb]`."""
    load: Tensor
    """What it turns out to be, MW, `[T + 1, B, nb]`."""
    least: Tensor
    """Minimum output of each unit, `[T + 1, B, N]`; 0 where it is off."""
    most: Tensor
    """Maximum output, weather included, `[T + 1, B, N]`; 0 where it is off."""
    outage: Tensor
    """Line that is out, -1 for none, int64 `[T + 1, B]`."""
    clock: Tensor
    """Sine and cosine of the time of day, `[T + 1, B, 2]`."""


def drawn_load(rng: np.random.Generator, steps: int, nominal: Array, factor: Array, config: Load) -> Array:
    """Demand at the buses over `steps` moments, MW, `[steps, nb]`."""
    level = ndtr(autoregressive(rng.standard_normal(steps), config.memory))
    common: Array = config.low + (config.high - config.low) * level
    load: Array = nominal * common[:, None] * drawn_noise(rng, steps, factor, config, NOISE)
    return load


def drawn_noise(rng: np.random.Generator, steps: int, factor: Array, config: Load, usual: float) -> Array:
    """What each bus's load is multiplied by, `[steps, nb]`; `usual` is its deviation if the user says nothing."""
    noise = autoregressive(rng.standard_normal((steps, len(factor))) @ factor.T, config.memory)
    size = usual if config.noise is None else config.noise
    found: Array = np.maximum(1 + size * noise, 0.0)
    return found


def drawn_outages(
    rng: np.random.Generator, steps: int, lines: NDArray[np.int64], chance: float, length: int
) -> NDArray[np.int64]:
    """The line that is out at each moment, -1 for none, `[steps]`: at most one at a time, each for `length` moments."""
    trips, which = rng.random(steps) < chance, rng.integers(max(len(lines), 1), size=steps)
    out = np.full(steps, -1, dtype=np.int64)
    t = 0
    while t < steps and len(lines):
        if trips[t]:
            out[t : t + length] = lines[which[t]]
            t += length
        t += 1
    return out


def draw(rng: np.random.Generator, system: System) -> dict[str, NDArray[Any]]:
    """One episode of one environment, fields of `Tape` `[T + 1, ...]`; always as many draws of `rng`."""
    config, network = system.config, system.network
    steps = config.horizon + 1
    start = rng.random()
    if system.series is None:
        forecast = drawn_load(rng, steps, network.load, system.noise_factor, config.load)
        least, most = (np.broadcast_to(x, (steps, len(x))) for x in (network.unit_min, network.unit_max))
        hour = np.arange(steps) + np.floor(24 * start)
    else:
        rows = system.series.window(start, steps)
        noise = drawn_noise(rng, steps, system.noise_factor, config.load, 0.0)
        forecast, hour = system.series.load[rows] * noise, system.series.hour[rows].astype(np.float64)
        least, most = system.series.least[rows], system.series.most[rows]
    mismatch = config.mismatch
    error = rng.standard_normal((steps, 1)) + rng.standard_normal((steps, network.num_buses))
    angle = 2 * np.pi * hour / 24
    return {
        "forecast": forecast,
        "load": forecast * (1 + mismatch.forecast_error * error),
        "least": least,
        "most": most,
        "outage": drawn_outages(rng, steps, system.trippable, mismatch.outages, mismatch.outage_steps),
        "clock": np.stack([np.sin(angle), np.cos(angle)], -1),
    }


def tape(episodes: list[dict[str, NDArray[Any]]], device: torch.device) -> Tape:
    """Episodes of B environments side by side."""
    stacked = {name: torch.from_numpy(np.stack([e[name] for e in episodes], 1)) for name in episodes[0]}
    return Tape(**{k: (x if x.dtype == torch.int64 else x.float()).to(device) for k, x in stacked.items()})
