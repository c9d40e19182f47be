"""What a policy does on the roads, period by period: what figures are drawn from and the judge drives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dgpg.domain import Policy, random
from dgpg_traffic.arrays import FloatArray, IntArray
from dgpg_traffic.config import Config
from dgpg_traffic.env import TrafficEnv
from dgpg_traffic.instance import build


@dataclass(frozen=True, eq=False)
class Replay:
    """T periods of E days."""

    period: IntArray
    """Of the day, `[T, E]`."""
    demand: FloatArray
    """Vehicles of each agent, `[T, E, N]`."""
    splits: FloatArray
    """`[T, E, N, K]`."""
    flow: FloatArray
    """Vehicles that pass each link, `[T, E, L]`."""
    capacity: FloatArray
    """Incidents included, `[T, E, L]`."""
    travel_time: FloatArray
    """Of a vehicle that enters, `[T, E]`."""


@torch.no_grad()
def replay(config: Config, policy: Policy, days: int, seed: int) -> Replay:
    """The first episodes of `dgpg.measuring.play` on the CPU."""
    env = TrafficEnv(build(config), days, torch.device("cpu"), random.derive(seed, "arrivals"))
    noise = random.Streams(random.derive(seed, "policy"), days)
    draws = noise.uniform(env.horizon, *env.action_space.start.shape)
    decision, moments = env.reset(), []
    for noise_t in draws.unbind(1):
        context, splits = decision.context, policy.act(decision, noise_t)
        step = env.step(splits)
        decision = step.decision
        flow, capacity = step.state[..., 0], step.state[..., -1]
        moments.append((context["period"], context["demand"], splits, flow, capacity, step.measures["travel_time"]))
    return Replay(*(np.stack([x.numpy() for x in column]) for column in zip(*moments, strict=True)))
