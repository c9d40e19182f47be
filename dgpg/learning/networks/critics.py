"""Values of the return: of the whole system from one network, or of each agent from what it sees."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from dgpg.domain import Environment, Observation, random
from dgpg.learning.networks.layers import mlp, sharing_of, sizes
from dgpg.learning.networks.sharing import Parameters, Shared, Sharing


class CentralCritic(nn.Module):
    """V(s) of the shared return from the central features; always one network."""

    def __init__(self, central: int, hidden: int, seed: torch.Generator) -> None:
        super().__init__()
        self.sharing: Sharing = Shared()
        self.net = mlp([central, hidden, hidden, 1], 1.0, self.sharing, seed)

    @staticmethod
    def features(observation: Observation) -> Tensor:
        """`[..., S]`: one value an environment."""
        return observation.central

    def forward(self, rows: Tensor) -> Tensor:
        """Normalised value `[...]` of each row of features `[..., F]`."""
        value: Tensor = self.net(rows).squeeze(-1)
        return value


class LocalCritic(nn.Module):
    """V_i(o_i) from what agent i sees: its own features and the mean over its choices, allowed or not."""

    def __init__(self, agent: int, choice: int, hidden: int, sharing: Sharing, seed: torch.Generator) -> None:
        super().__init__()
        self.sharing = sharing
        self.net = mlp([agent + choice, hidden, hidden, 1], 1.0, sharing, seed)

    @staticmethod
    def features(observation: Observation) -> Tensor:
        """`[..., N, F + C]`: one value an agent."""
        return torch.cat([observation.agent, observation.choices.mean(-2)], -1)

    def forward(self, rows: Tensor) -> Tensor:
        """Normalised value `[...]` of each row of features `[..., F]`."""
        value: Tensor = self.net(rows).squeeze(-1)
        return value


Critic = CentralCritic | LocalCritic


def values(critic: Critic, observation: Observation) -> Tensor:
    """Normalised values, `[..., B]` of a central critic and `[..., B, N]` of a local one."""
    features = critic.features(observation)
    every = torch.ones(features.shape[:-1], dtype=torch.bool, device=features.device)
    return critic.sharing.spread(critic(critic.sharing.rows(features, every)), every)


def make_critic(
    env: Environment, kind: Literal["central", "local"], parameters: Parameters, hidden: int, seed: int
) -> Critic:
    """The value network; the shared return has one value, so a central critic is one network either way."""
    init = random.generator(random.derive(seed, "critic"))
    size = sizes(env)
    if kind == "central":
        return CentralCritic(size["central"], hidden, init).to(env.device)
    return LocalCritic(size["agent"], size["choices"], hidden, sharing_of(env, parameters), init).to(env.device)
