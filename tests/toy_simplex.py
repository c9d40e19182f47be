"""Splits as small as a domain can have them: agents send traffic over three parallel links.

A link with load x takes FREE + SLOPE x; the cost of a step is what all load together takes. Agents see the same
links, so a joint action matters by its loads alone. `still` leaves out every chance: no prior load, every link open,
everybody acts, equal demands, episodes end at the horizon. Loads then are, with a total demand of 2,

    at the optimum (equal marginal costs)              1, 0.5, 0.5     cost 1.625
    at the user equilibrium (equal times)              0, 1, 1         cost 2
    at the equilibrium of N agents, each in its own    2 - 2 q, q, q   q = N / (N + 1)
    interest, which see what they do to themselves
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from pydantic import Field
from torch import Tensor

from dgpg.domain import Context, CostModel, Decision, Observation, Settings, Simplex, Step
from dgpg.learning import Trainer

from .toy_env import ToyEnv, small_trainer

FREE = (1.0, 0.0, 0.5)
SLOPE = (0.0, 1.0, 0.5)
TOTAL = 2.0
OPTIMUM = 1.625
USER_EQUILIBRIUM = 2.0
SHORTEST = (-6.0, 0.0, -6.0)
"""Logits of nearly everybody on the link that is the fastest while nobody uses it; the cost there is 3.9."""
LINKS = len(FREE)


def times(load: Tensor) -> Tensor:
    """Of loads `[..., 3]`."""
    return torch.tensor(FREE) + torch.tensor(SLOPE) * load


def atomic_equilibrium(agents: int) -> float:
    """Cost if each of `agents` equal agents knows what it does to its own time."""
    q = agents / (agents + 1)
    return TOTAL - 2 * q + q * q + q * (0.5 + 0.5 * q)


def loads(actions: Tensor, context: Context) -> Tensor:
    """Of the links after splits `[B, N, 3]`, `[B, 3, 1]`."""
    amount = (context["demand"] * context["acting"]).unsqueeze(-1)
    return (context["prior"] + (actions * amount).sum(1)).unsqueeze(-1)


class Env(ToyEnv):
    """Environments end early with probability 0.2 a step, else after `horizon` steps."""

    cost_unit = "total time of a step"
    num_blocks = LINKS

    def __init__(
        self, num_envs: int = 4, seed: int = 0, horizon: int = 3, still: bool = False, agents: int = 4,
        start: tuple[float, ...] = (0.0,) * LINKS,
    ) -> None:  # fmt: skip
        super().__init__(num_envs, agents, seed, horizon, still)
        weight = torch.ones(agents) if still else 1 + torch.arange(agents) % 3
        self.demand = TOTAL * weight / weight.sum()
        self.observation_space = spaces.Dict(
            {
                "agent": spaces.Box(0, TOTAL, (agents, agents + 1)),
                "choices": spaces.Box(0, TOTAL, (agents, LINKS, 1)),
                "mask": spaces.MultiBinary([agents, LINKS]),
                "central": spaces.Box(0, TOTAL, (LINKS + 1,)),
            }
        )
        self.action_space: Any = Simplex(agents, LINKS, np.tile(start, (agents, 1)))

    def _draw(self) -> Tensor:
        return self.streams.uniform(self.num_agents + 2, LINKS)

    def _ends(self, noise: Tensor) -> Tensor:
        return noise[:, -2, 0] < 0.2

    def _decide(self) -> Decision:
        batch, agents = self.num_envs, self.num_agents
        prior = (0.0 if self.still else 1.0) * self.noise[:, -1]
        mask = (self.noise[:, :-2] < 0.6) | self.still  # one agent in sixteen finds all three links closed
        clock = (self.t / self.horizon).unsqueeze(-1)
        own = torch.cat([torch.eye(agents), self.demand.unsqueeze(-1)], -1)
        observation = Observation(
            agent=own.expand(batch, -1, -1),
            choices=prior[:, None, :, None].expand(-1, agents, -1, 1),
            mask=mask,
            central=torch.cat([prior, clock], -1),
        )
        context = {"prior": prior, "demand": self.demand.expand(batch, -1), "acting": mask.any(-1)}
        return Decision(observation, context)

    def effect(self, actions: Tensor) -> Tensor:
        """x of a joint action."""
        return loads(actions, self.decision.context)

    def step(self, actions: Tensor) -> Step:
        state, context = self.effect(actions), self.decision.context
        time = times(state[..., 0])
        local = -context["demand"] * context["acting"] * (actions * time.unsqueeze(1)).sum(-1)
        spent = state[..., 0] * time
        return self._go_on(-spent.sum(-1), state, local, spent)


class Cost(CostModel):
    """The true cost of a step; its slope is the marginal cost, time and toll."""

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        free, slope = torch.tensor(FREE)[index], torch.tensor(SLOPE)[index]
        return block[..., 0] * (free + slope * block[..., 0])


class Loads:
    """What the environment does with a joint action."""

    def state(self, actions: Tensor, context: Context) -> Tensor:
        return loads(actions, context)


class Even:
    """The same share for each open link."""

    name: str = "even"
    information: str = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        mask = decision.observation.mask
        able = mask | ~mask.any(-1, keepdim=True)
        return able / able.sum(-1, keepdim=True)


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
        return [Even()]


def trainer(
    name: str, *, num_envs: int = 4, seed: int = 0, iterations: int = 6, still: bool = False, agents: int = 4,
    start: tuple[float, ...] = (0.0,) * LINKS, wrap: Callable[[Env], Any] = lambda env: env, **settings: Any,
) -> Trainer:  # fmt: skip
    """A trainer on this toy."""
    env = Env(num_envs, seed, still=still, agents=agents, start=start)
    return small_trainer(name, env, Cost(), Loads(), seed=seed, iterations=iterations, wrap=wrap, **settings)
