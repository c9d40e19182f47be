"""The system: pumps of different size and price meet one demand."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from dgpg.domain import Decision, Episodes, Memory, Observation, Outcome, observations

from .config import Config
from .model import PumpingCost, capacity, price


class Env(Episodes):
    """Demand is uniform around half of what all pumps can deliver, and drawn anew each step."""

    def __init__(self, config: Config, num_envs: int, device: torch.device, seed: int) -> None:
        agents, most = config.num_agents, capacity(config)
        super().__init__(
            num_envs=num_envs, num_agents=agents, horizon=config.horizon, device=device, seed=seed,
            observation_space=observations(agents, 1, features=3, of_choices=0, central=1),
            action_space=spaces.Box(np.zeros((agents, 1), np.float32), most.unsqueeze(-1).numpy()),
            cost_unit="price x volume, of all pumps",
        )  # fmt: skip
        self.swing, self.capacity = config.swing, most.to(device)
        self.price, self.cost = price(config).to(device), PumpingCost(config).to(device)

    def begin(self) -> Memory:
        """The demands of all steps to come: drawn here, no policy can change them."""
        # One more than there are steps: agents also look at the moment after the last.
        uniform = self.streams.uniform(self.horizon + 1).to(self.device)
        return {"demand": self.capacity.sum() / 2 * (1 + self.swing * (2 * uniform - 1))}

    def observe(self) -> Decision:
        """A pump sees its size, its price and the demand, not what the others are about to deliver."""
        demand = self.memory["demand"][:, self.t]
        level = 2 * demand / self.capacity.sum() - 1
        own = torch.stack([self.capacity - 1, self.price / self.price.mean() - 1], -1)
        features = [own.expand(self.num_envs, -1, -1), level.view(-1, 1, 1).expand(-1, self.num_agents, 1)]
        observation = Observation(
            agent=torch.cat(features, -1),
            choices=level.new_zeros(self.num_envs, self.num_agents, 1, 0),
            mask=torch.ones(self.num_envs, self.num_agents, 1, dtype=torch.bool, device=self.device),
            central=level.unsqueeze(-1),
        )
        return Decision(observation, {"demand": demand})

    def advance(self, actions: Tensor) -> Outcome:
        """x is what each pump delivers; here the model knows the true cost."""
        context = {"demand": self.memory["demand"][:, self.t]}
        state = actions.float().clamp(min=0).minimum(self.capacity.unsqueeze(-1))
        missing = context["demand"] - state.sum((1, 2))
        return Outcome(
            reward=-self.cost.potential(state, context),
            state=state,
            memory=self.memory,
            measures={"missing": missing.abs()},
        )
