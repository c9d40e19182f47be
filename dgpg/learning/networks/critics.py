"""Values of the return: of the whole system from one network or as a sum over its blocks, or of each agent from what it
sees."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from dgpg.domain import AgentMapping, Decision, Environment, block_looks, random
from dgpg.domain.types import flatten
from dgpg.learning.networks.layers import mlp, sharing_of, sizes
from dgpg.learning.networks.sharing import Parameters, Shared, Sharing


class CentralCritic(nn.Module):
    """V(s) of the shared return from the central features; always one network."""

    def __init__(self, central: int, hidden: int, seed: torch.Generator) -> None:
        super().__init__()
        self.sharing: Sharing = Shared()
        self.net = mlp([central, hidden, hidden, 1], 1.0, self.sharing, seed)

    @staticmethod
    def features(decision: Decision) -> Tensor:
        """`[..., S]`: one value an environment."""
        return decision.observation.central

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
    def features(decision: Decision) -> Tensor:
        """`[..., N, F + C]`: one value an agent."""
        seen = decision.observation
        return torch.cat([seen.agent, seen.choices.mean(-2)], -1)

    def forward(self, rows: Tensor) -> Tensor:
        """Normalised value `[...]` of each row of features `[..., F]`."""
        value: Tensor = self.net(rows).squeeze(-1)
        return value


class BlockCritic(nn.Module):
    """V(s) = sum_g v(x_g) of the shared return, from how each block stands before agents act: one network for all.

    The baseline that knows what blocks are and no analytical model.
    """

    def __init__(self, mapping: AgentMapping, inputs: int, hidden: int, seed: torch.Generator) -> None:
        super().__init__()
        self.sharing: Sharing = Shared()
        self.mapping = mapping
        self.net = mlp([inputs, hidden, hidden, 1], 1.0, self.sharing, seed)

    def features(self, decision: Decision) -> Tensor:
        """`[..., G, F]`: one value an environment."""
        moments = decision.observation.central.shape[:-1]
        shown = standing(self.mapping, flatten(decision) if len(moments) > 1 else decision)
        return shown.view(*moments, *shown.shape[1:])

    def forward(self, rows: Tensor) -> Tensor:
        """Normalised value `[...]` of each row of blocks `[..., G, F]`; the sum over sqrt(G), so that it starts of
        order one whatever their number."""
        value: Tensor = self.net(rows).squeeze(-1).sum(-1) / rows.shape[-2] ** 0.5
        return value


def standing(mapping: AgentMapping, decision: Decision) -> Tensor:
    """How blocks look before agents act, `[B, G, F]`."""
    state = mapping.base_state(decision.context)
    index = torch.arange(state.shape[1], device=state.device).expand(state.shape[:2])
    return block_looks(mapping, state, index, decision.context)


Critic = CentralCritic | LocalCritic | BlockCritic


def values(critic: Critic, decision: Decision) -> Tensor:
    """Normalised values, `[..., B]` of a central critic or one of blocks, and `[..., B, N]` of a local one."""
    features, seen = critic.features(decision), decision.observation
    shape = seen.active.shape if isinstance(critic, LocalCritic) else seen.active.shape[:-1]
    every = torch.ones(shape, dtype=torch.bool, device=features.device)
    return critic.sharing.spread(critic(critic.sharing.rows(features, every)), every)


def make_critic(
    env: Environment, kind: Literal["central", "local"], parameters: Parameters, hidden: int, seed: int
) -> CentralCritic | LocalCritic:
    """The value network; the shared return has one value, so a central critic is one network either way."""
    init = random.generator(random.derive(seed, "critic"))
    size = sizes(env)
    if kind == "central":
        return CentralCritic(size["central"], hidden, init).to(env.device)
    return LocalCritic(size["agent"], size["choices"], hidden, sharing_of(env, parameters), init).to(env.device)


def make_block_critic(mapping: AgentMapping, decision: Decision, hidden: int, seed: int) -> BlockCritic:
    """The value network of blocks; any moment shows how many numbers describe one."""
    inputs = standing(mapping, decision)
    init = random.generator(random.derive(seed, "critic"))
    return BlockCritic(mapping, inputs.shape[-1], hidden, init).to(inputs.device)
