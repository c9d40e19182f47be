"""What a policy does to the grid, step by step: what figures are drawn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dgpg.domain import Policy, random
from dgpg_power.config import Config
from dgpg_power.env import PowerEnv
from dgpg_power.instance import build
from dgpg_power.network import FloatArray


@dataclass(frozen=True, eq=False)
class Replay:
    """T steps of E episodes."""

    demand: FloatArray
    """What had to be generated, losses included, MW, `[T, E]`."""
    output: FloatArray
    """MW, `[T, E, N]`."""
    flow: FloatArray
    """MW, `[T, E, L]`; 0 on a line that is out."""
    cost: FloatArray
    """Penalties included, $ per hour, `[T, E]`."""


@torch.no_grad()
def replay(config: Config, policy: Policy, episodes: int, seed: int) -> Replay:
    """The first episodes of `dgpg.measuring.play` on the CPU."""
    env = PowerEnv(build(config), episodes, torch.device("cpu"), random.derive(seed, "arrivals"))
    noise = random.Streams(random.derive(seed, "policy"), episodes)
    draws = noise.uniform(env.horizon, env.num_agents, *(env.action_space.shape or ())[1:])
    decision, moments = env.reset(), []
    for noise_t in draws.unbind(1):
        demand = decision.context["demand"]
        step = env.step(policy.act(decision, noise_t))
        decision = step.decision
        after = step.final or decision  # the decision after the last step is of the next episode
        moments.append((demand, step.state.squeeze(-1), after.context["last_flow"], -step.reward))
    columns = zip(*moments, strict=True)
    return Replay(*(np.stack([x.double().numpy() for x in column]) for column in columns))
