"""Actor and critics. One set of weights serves any number of agents and choices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from dgpg.types import Observation


def linear(inputs: int, outputs: int, gain: float, seed: torch.Generator) -> nn.Linear:
    """A layer with orthogonal weights of the given gain and zero bias."""
    # A layer that initialised itself would draw from the global generator.
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        nn.init.orthogonal_(layer.weight, gain, generator=seed)
        layer.bias.zero_()
    return layer


def input_norm(features: int) -> nn.Module:
    """LayerNorm without weights of its own: the layer after it has them, and nothing flows back through it.

    Of one feature it would leave nothing and of two only a sign: fewer than three pass as they are.
    """
    return nn.LayerNorm(features, elementwise_affine=False) if features > 2 else nn.Identity()


def mlp(sizes: Sequence[int], last_gain: float, seed: torch.Generator) -> nn.Sequential:
    """LayerNorm on the input, then ReLU layers."""
    layers: list[nn.Module] = [input_norm(sizes[0])]
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [linear(inputs, outputs, math.sqrt(2), seed), nn.ReLU()]
    return nn.Sequential(*layers, linear(sizes[-2], sizes[-1], last_gain, seed))


class ScoringActor(nn.Module):
    """Scores each choice by itself from its own features and the agent's: logits `[..., K]`.

    The agent's part of the first layer is computed once, not once a choice.
    """

    def __init__(self, agent: int, choice: int, hidden: int, seed: torch.Generator) -> None:
        super().__init__()
        self.agent_norm = input_norm(agent)
        self.choice_norm = input_norm(choice)
        self.agent_in = linear(agent, hidden, math.sqrt(2), seed)
        self.choice_in = linear(choice, hidden, math.sqrt(2), seed)
        self.middle = linear(hidden, hidden, math.sqrt(2), seed)
        self.score = linear(hidden, 1, 0.01, seed)

    def features(self, agent: Tensor, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised inputs; they hold no parameters, so one pass serves a whole update phase."""
        return self.agent_norm(agent), self.choice_norm(choices)

    def forward(self, agent: Tensor, choices: Tensor) -> Tensor:
        """Logits `[..., K]` from normalised features `[..., F]` and `[..., K, C]`."""
        own = self.agent_in(agent).unsqueeze(-2)
        hidden = (self.choice_in(choices) + own).relu_()
        hidden = self.middle(hidden).relu_()
        logits: Tensor = self.score(hidden).squeeze(-1)
        return logits

    def logits(self, observation: Observation) -> Tensor:
        """`[B, N, K]`: scores where there is something to decide, zeros elsewhere."""
        rows = observation.active.flatten().nonzero().squeeze(-1)
        agent = observation.agent.flatten(0, 1).index_select(0, rows)
        choices = observation.choices.flatten(0, 1).index_select(0, rows)
        scored: Tensor = self(*self.features(agent, choices))
        everywhere = scored.new_zeros(observation.mask.shape)
        everywhere.view(-1, scored.shape[-1]).index_copy_(0, rows, scored)
        return everywhere


class CentralCritic(nn.Module):
    """V(s) of the shared return from the central features."""

    def __init__(self, central: int, hidden: int, seed: torch.Generator) -> None:
        super().__init__()
        self.net = mlp([central, hidden, hidden, 1], 1.0, seed)

    @staticmethod
    def features(observation: Observation) -> Tensor:
        """`[..., S]`: one value an environment."""
        return observation.central

    def forward(self, features: Tensor) -> Tensor:
        """Normalised value, `[...]`."""
        value: Tensor = self.net(features).squeeze(-1)
        return value


class LocalCritic(nn.Module):
    """V_i(o_i) from what agent i sees: its own features and the mean over its choices, allowed or not."""

    def __init__(self, agent: int, choice: int, hidden: int, seed: torch.Generator) -> None:
        super().__init__()
        self.net = mlp([agent + choice, hidden, hidden, 1], 1.0, seed)

    @staticmethod
    def features(observation: Observation) -> Tensor:
        """`[..., N, F + C]`: one value an agent."""
        return torch.cat([observation.agent, observation.choices.mean(-2)], -1)

    def forward(self, features: Tensor) -> Tensor:
        """Normalised value, `[..., N]`."""
        value: Tensor = self.net(features).squeeze(-1)
        return value


Critic = CentralCritic | LocalCritic
