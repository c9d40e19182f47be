"""Continuous actions as small as a domain can have them: agents split a load over two resources.

The action of an agent is what it puts on each resource, within bounds of its own. What a resource delivers
falls behind what is put on it, so the state is no sum over agents; what is missing of the demand costs most.
`still` leaves out every chance: no prior load, everybody acts, episodes end at the horizon.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from pydantic import Field
from torch import Tensor

from dgpg.domain import Context, CostModel, Decision, Observation, Settings, Step
from dgpg.learning import Trainer

from .toy_env import ToyEnv, small_trainer

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


class Env(ToyEnv):
    """Environments end early with probability 0.2 a step, else after `horizon` steps."""

    cost_unit = "cost of a step"

    def __init__(self, num_envs: int = 4, seed: int = 0, horizon: int = 3, still: bool = False) -> None:
        super().__init__(num_envs, len(LOW), seed, horizon, still)
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

    def _draw(self) -> Tensor:
        return self.streams.uniform(self.num_agents + 3)

    def _ends(self, noise: Tensor) -> Tensor:
        return noise[:, -1] < 0.2

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
        return self._go_on(-cost, state)


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

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
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
    """A trainer on this toy."""
    env = Env(num_envs, seed, still=still)
    return small_trainer(name, env, Cost(), Loads(), seed=seed, iterations=iterations, wrap=wrap, **settings)
