"""Continuous actions as small as a domain can have them: agents split a load over two resources.

The action of an agent is what it puts on each resource, within bounds of its own. What a resource delivers
falls behind what is put on it, so the state is no sum over agents; what is missing of the demand costs most.
`still` leaves out every chance: no prior load, everybody acts, episodes end at the horizon.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from pydantic import Field
from torch import Tensor

from dgpg import algorithms
from dgpg.config import RunConfig, Settings
from dgpg.models import CostModel
from dgpg.random import Streams
from dgpg.train import Task, Trainer
from dgpg.types import Context, Decision, Observation, Step

PRICES = (1.0, 2.0, 4.0)
"""Of both resources and of what is missing: a block costs price / 2 times its square."""
LOW = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.25))
HIGH = ((1.0, 1.0), (2.0, 1.5), (0.5, 1.0))
DEMAND = 4.0
LOSS = 0.05


def delivered(actions: Tensor, context: Context) -> Tensor:
    """Loads of both resources and what is missing of the demand, `[B, 3, 1]`."""
    load = context["prior"] + (actions * context["acting"].unsqueeze(-1)).sum(1)
    missing = DEMAND - (load - LOSS * load.square()).sum(-1, keepdim=True)
    return torch.cat([load, missing], -1).unsqueeze(-1)


class Env:
    """Environments end early with probability 0.2 a step, else after `horizon` steps."""

    cost_unit = "cost of a step"
    device = torch.device("cpu")

    def __init__(self, num_envs: int = 4, seed: int = 0, horizon: int = 3, still: bool = False) -> None:
        self.num_envs, self.num_agents, self.horizon, self.still = num_envs, len(LOW), horizon, still
        self.streams = Streams(seed, num_envs)
        agents = self.num_agents
        self.observation_space = spaces.Dict(
            {
                "agent": spaces.Box(-np.inf, np.inf, (agents, agents + 2)),
                "choices": spaces.Box(-np.inf, np.inf, (agents, 1, 0)),
                "mask": spaces.MultiBinary([agents, 1]),
                "central": spaces.Box(-np.inf, np.inf, (3,)),
            }
        )
        self.action_space = spaces.Box(np.float32(LOW), np.float32(HIGH))

    def reset(self) -> Decision:
        self.t = torch.zeros(self.num_envs, dtype=torch.long)
        self.noise = self._draw()
        self.decision = self._decide()
        return self.decision

    def _draw(self) -> Tensor:
        return self.streams.uniform(self.num_agents + 3)

    def _decide(self) -> Decision:
        batch, agents = self.num_envs, self.num_agents
        prior = (0.0 if self.still else 1.0) * self.noise[:, :2]
        acting = (self.noise[:, 2:-1] < 0.8) | self.still  # one agent in five has nothing to decide
        clock = (self.t / self.horizon).unsqueeze(-1)
        own = torch.eye(agents).expand(batch, -1, -1)
        observation = Observation(
            agent=torch.cat([own, prior.unsqueeze(1).expand(-1, agents, -1)], -1),
            choices=torch.zeros(batch, agents, 1, 0),
            mask=acting.unsqueeze(-1),
            central=torch.cat([prior, clock], -1),
        )
        return Decision(observation, {"prior": prior, "acting": acting})

    def effect(self, actions: Tensor) -> Tensor:
        """x of a joint action."""
        return delivered(actions, self.decision.context)

    def step(self, actions: Tensor) -> Step:
        state = self.effect(actions)
        cost = 0.5 * (torch.tensor(PRICES) * state[..., 0].square()).sum(-1)
        self.t = self.t + 1
        # Drawn whether needed or not: what environment b draws must not depend on the batch around it.
        after, restart = self._draw(), self._draw()
        terminated = torch.zeros_like(self.t, dtype=torch.bool) if self.still else after[:, -1] < 0.2
        truncated = (self.t == self.horizon) & ~terminated
        done = terminated | truncated
        self.noise = after
        final = self._decide()
        self.t = self.t.where(~done, 0)
        self.noise = after.where(~done.unsqueeze(-1), restart)
        self.decision = self._decide()
        return Step(-cost, state, terminated, truncated, self.decision, final if bool(done.any()) else None)

    def state_dict(self) -> dict[str, Any]:
        return {"t": self.t.clone(), "noise": self.noise.clone(), "streams": self.streams.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> Decision:
        self.t, self.noise = state["t"].clone(), state["noise"].clone()
        self.streams.load_state_dict(state["streams"])
        self.decision = self._decide()
        return self.decision


class Cost(CostModel):
    """The true cost of a step."""

    prices: tuple[float, ...] = PRICES

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return 0.5 * torch.tensor(self.prices)[index] * block[..., 0].square()


class Loads:
    """What the environment does with a joint action."""

    def state(self, actions: Tensor, context: Context) -> Tensor:
        return delivered(actions, context)


class Middle:
    """The middle of the bounds."""

    name: str = "middle"
    information: str = "same"

    def act(self, decision: Decision, noise: Tensor, coordination: Tensor | None = None) -> Tensor:
        return ((torch.tensor(LOW) + torch.tensor(HIGH)) / 2).expand(len(noise), -1, -1).clone()


class Config(Settings):
    horizon: int = Field(3, ge=1, description="steps of an episode")
    still: bool = Field(False, description="leave out every chance")


class Domain:
    api_version = 1
    Config = Config
    small: Mapping[str, Any] = {"horizon": 4}

    def make_env(self, config: Any, num_envs: int, device: torch.device, seed: int) -> Env:
        return Env(num_envs, seed, config.horizon, config.still)

    def analytical_model(self, config: Any) -> Cost:
        return Cost()

    def agent_mapping(self, config: Any) -> Loads:
        return Loads()

    def baselines(self, config: Any) -> Sequence[Any]:
        return [Middle()]


def trainer(
    name: str, *, num_envs: int = 4, seed: int = 0, iterations: int = 6, still: bool = False,
    wrap: Callable[[Env], Any] = lambda env: env, **settings: Any,
) -> Trainer:  # fmt: skip
    """A trainer on this toy; 5 steps an iteration, so that episodes end in the middle of one."""
    algorithm = replace(algorithms.find(name), tuned={})  # tuning must not move the tests
    small = {"horizon": 5, "minibatches": 2, "actor_hidden": 8, "critic_hidden": 8}
    train = algorithms.train_config(algorithm, {}, small | settings, Env().action_space)
    config = RunConfig(domain="box", algorithm=name, iterations=iterations, num_envs=num_envs, seed=seed, train=train)
    return Trainer(config, algorithm, Task(wrap(Env(num_envs, seed, still=still)), Cost(), Loads()))
