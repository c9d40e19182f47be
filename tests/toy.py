"""A congestion game as small as a domain can be: each agent picks a route, a route costs slope/2 load^2.

`still` leaves out every chance (prior load, closed routes, idle agents, early ends, unequal agents). The
game is then separable and convex with equal agents, so each of its Nash equilibria is an optimum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from pydantic import Field
from torch import Tensor

from dgpg.domain import Context, CostModel, Decision, DistanceModel, Influence, Observation, Settings, Step
from dgpg.learning import Trainer

from .toy_env import ToyEnv, small_trainer

SLOPES = (1.0, 2.0, 4.0)


class Env(ToyEnv):
    """Environments end early with probability 0.2 a step, else after `horizon` steps."""

    cost_unit = "cost of a step"
    num_blocks = len(SLOPES)

    def __init__(
        self, num_envs: int = 4, seed: int = 0, horizon: int = 3, still: bool = False,
        open_share: float = 0.5, ends: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__(num_envs, 4, seed, horizon, still)
        self.open_share, self.ends = 1.0 if still else open_share, ends
        self.slopes = torch.tensor(SLOPES)
        self.weight = torch.ones(4) if still else torch.tensor([1.0, 2.0, 0.5, 1.0])
        agents, routes = self.num_agents, len(SLOPES)
        self.observation_space = spaces.Dict(
            {
                "agent": spaces.Box(-np.inf, np.inf, (agents, agents + 2)),
                "choices": spaces.Box(-np.inf, np.inf, (agents, routes, routes + 1)),
                "mask": spaces.MultiBinary([agents, routes]),
                "central": spaces.Box(-np.inf, np.inf, (routes + 1,)),
            }
        )
        self.action_space = spaces.MultiDiscrete([routes] * agents)

    def _draw(self) -> Tensor:
        return self.streams.uniform(self.num_agents + 1, len(SLOPES))

    def _ends(self, noise: Tensor) -> Tensor:
        return noise[:, -1, 0] < self.ends

    def _decide(self) -> Decision:
        batch, (agents, routes) = self.num_envs, (self.num_agents, len(SLOPES))
        prior = 0.0 * self.noise[:, -1] if self.still else self.noise[:, -1]
        # One agent in eight finds all three routes closed: it has nothing to decide.
        mask = self.noise[:, :-1] < self.open_share
        clock = (self.t / self.horizon).unsqueeze(-1)
        own = torch.cat([torch.eye(agents), self.weight.unsqueeze(-1)], -1).expand(batch, -1, -1)
        route = torch.eye(routes).expand(batch, agents, -1, -1)
        observation = Observation(
            agent=torch.cat([own, clock.unsqueeze(1).expand(-1, agents, 1)], -1),
            choices=torch.cat([route, prior[:, None, :, None].expand(-1, agents, -1, 1)], -1),
            mask=mask,
            central=torch.cat([prior, clock], -1),
        )
        context = {"prior": prior, "weight": self.weight.expand(batch, -1), "acting": mask.any(-1)}
        return Decision(observation, context)

    def step(self, actions: Tensor) -> Step:
        observation, prior = self.decision.observation, self.decision.context["prior"]
        taken = torch.nn.functional.one_hot(actions, len(SLOPES)) * observation.active.unsqueeze(-1)
        load = prior + (taken * self.weight.unsqueeze(-1)).sum(1)
        local = -(taken * (self.slopes * load).unsqueeze(1)).sum(-1) * self.weight
        cost = 0.5 * self.slopes * load.square()
        return self._go_on(-cost.sum(-1), load.unsqueeze(-1), local, cost)


class RouteCost(CostModel):
    """The true cost of a step."""

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return 0.5 * torch.tensor(SLOPES)[index] * block[..., 0].square()


class EvenSplit(DistanceModel):
    """Distance to the loads that equalise slope times load, prior load and the acting agents' weight kept."""

    def reference(self, context: Context) -> Tensor:
        total = context["prior"].sum(-1) + (context["weight"] * context["acting"]).sum(-1)
        share = 1 / torch.tensor(SLOPES)
        return (total.unsqueeze(-1) * share / share.sum()).unsqueeze(-1)

    def conserved(self, state: Tensor, context: Context) -> Tensor:
        return state.sum(1)

    def weight(self) -> Tensor:
        return torch.tensor(SLOPES).unsqueeze(-1)


class Routes:
    """Choice k puts an agent's weight on route k."""

    def base_state(self, context: Context) -> Tensor:
        return context["prior"].unsqueeze(-1)

    def influence(self, observation: Observation, context: Context) -> Influence:
        routes = torch.arange(len(SLOPES))
        return Influence(
            index=routes.view(1, 1, -1, 1).expand(*observation.mask.shape, 1),
            value=context["weight"][..., None, None, None].expand(*observation.mask.shape, 1, 1),
        )

    def block_features(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        slope = torch.tensor(SLOPES)[index].unsqueeze(-1)
        return torch.cat([block, slope, slope * block], -1)

    def block_work(self, change: Tensor, gamma: float) -> Tensor:
        return change[..., 0]


class Emptiest:
    """The open route with the least prior load."""

    name: str = "emptiest"
    information: str = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        mask = decision.observation.mask
        prior = decision.context["prior"].unsqueeze(1).expand(mask.shape)
        return prior.masked_fill(~mask, torch.inf).argmin(-1)


class Chances(Settings):
    open_share: float = Field(0.5, ge=0, le=1, description="probability that a route is open to an agent")
    ends: float = Field(0.2, ge=0, le=1, description="probability that an episode ends after a step")


class Config(Settings):
    horizon: int = Field(3, ge=1, description="steps of an episode")
    model: Literal["cost", "split"] = Field("cost", description="the true cost, or the distance to an even split")
    still: bool = Field(False, description="leave out every chance")
    chances: Chances = Chances()


class Parted(Env):
    """Says that no batch changes it."""

    def apart(self, state: Mapping[str, Any], sizes: Sequence[int]) -> list[dict[str, Any]]:
        t, noise = (state[name].split(list(sizes)) for name in ("t", "noise"))
        streams = iter(state["streams"]["streams"])
        return [
            {"t": t[at].clone(), "noise": noise[at].clone(), "streams": {"streams": list(islice(streams, size))}}
            for at, size in enumerate(sizes)
        ]

    def joined(self, states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        streams = [stream for state in states for stream in state["streams"]["streams"]]
        both = {name: torch.cat([state[name] for state in states]) for name in ("t", "noise")}
        return both | {"streams": {"streams": streams}}


class Domain:
    api_version = 1
    Config = Config
    small: Mapping[str, Any] = {"horizon": 4}

    def make_env(self, config: Any, num_envs: int, device: torch.device, seed: int) -> Env:
        return Env(num_envs, seed, config.horizon, config.still, config.chances.open_share, config.chances.ends)

    def analytical_model(self, config: Any) -> RouteCost | EvenSplit:
        return EvenSplit() if config.model == "split" else RouteCost()

    def agent_mapping(self, config: Any) -> Routes:
        return Routes()

    def baselines(self, config: Any) -> Sequence[Any]:
        return [Emptiest()]

    def transfer(self, trained: Any, wished: Any) -> Any:
        return wished


def trainer(
    name: str, *, num_envs: int = 4, seed: int = 0, iterations: int = 6, still: bool = False,
    wrap: Callable[[Env], Any] = lambda env: env, **settings: Any,
) -> Trainer:  # fmt: skip
    """A trainer on this toy."""
    env = Env(num_envs, seed, still=still)
    return small_trainer(name, env, RouteCost(), Routes(), seed=seed, iterations=iterations, wrap=wrap, **settings)
