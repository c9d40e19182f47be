"""What a policy does to the grid, step by step: what figures are drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from dgpg.domain import Decision, Policy, Step, random
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
def moments(config: Config, policy: Policy, episodes: int, seed: int) -> Iterator[tuple[Decision, Step]]:
    """What a policy is asked and what follows, by steps of the first episodes of `dgpg.measuring.play`, on the CPU."""
    env = PowerEnv(build(config), episodes, torch.device("cpu"), random.derive(seed, "arrivals"))
    noise = random.Streams(random.derive(seed, "policy"), episodes)
    draws = noise.uniform(env.horizon, env.num_agents, *(env.action_space.shape or ())[1:])
    decision = env.reset()
    for noise_t in draws.unbind(1):
        step = env.step(policy.act(decision, noise_t))
        yield decision, step
        decision = step.decision


def replay(config: Config, policy: Policy, episodes: int, seed: int) -> Replay:
    """The first episodes of `dgpg.measuring.play` on the CPU."""
    told = []
    for decision, step in moments(config, policy, episodes, seed):
        after = step.final or step.decision  # the decision after the last step is of the next episode
        told.append((decision.context["demand"], step.state.squeeze(-1), after.context["last_flow"], -step.reward))
    columns = zip(*told, strict=True)
    return Replay(*(np.stack([x.double().numpy() for x in column]) for column in columns))
