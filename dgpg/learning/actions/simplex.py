"""Splits: each agent divides one unit over K choices, the softmax of logits that start where the space says.

Policies, losses and drawn actions are logits less the agent's start, -inf where a choice is not allowed, so agents
that start in different places look alike to shared weights; `to_env` is the only place where start and softmax
appear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dgpg.domain import Observation, contract
from dgpg.learning.actions.kind import Offer
from dgpg.learning.actions.logits import LogitDistribution, allowed, difference
from dgpg.learning.networks import MlpActor, Sharing


@dataclass(frozen=True)
class Simplex:
    """Logits `[N, K]` that policies start at, and the distribution of logits around them."""

    NAME: ClassVar[str] = "splits"
    REACH: ClassVar[float] = 0.2
    """How far a logit moves from where its slope was taken and earns: p (1 - p) of it, at most 0.05 of a share."""
    start: Tensor
    distribution: LogitDistribution

    @property
    def OFFERS(self) -> frozenset[Offer]:
        """What the distribution does."""
        return self.distribution.offers

    @property
    def AGENTS(self) -> int:
        """Those that have a start."""
        return len(self.start)

    @property
    def DRAWS(self) -> tuple[int, ...]:
        """One uniform number a choice."""
        return (self.start.shape[1],)

    def make_actor(self, sizes: Mapping[str, int], hidden: int, sharing: Sharing, seed: torch.Generator) -> MlpActor:
        """A plain network from the agent's own features and those of all its choices in their order.

        Scoring each choice by itself would take two choices that look alike for one.
        """
        choices = self.start.shape[1]
        inputs = sizes["agent"] + choices * sizes["choices"]
        outputs, heard = choices + self.distribution.rest, sizes.get("messages", 0)
        return MlpActor(inputs, outputs, 1, hidden, sharing, seed, choices, heard)

    def parameters(self, outputs: Tensor, mask: Tensor) -> Tensor:
        """`[..., K + R]` of outputs `[..., K + R, 1]`; where nothing is allowed, as if everything were."""
        return self.among(outputs, mask | ~mask.any(-1, keepdim=True))

    def among(self, outputs: Tensor, mask: Tensor) -> Tensor:
        """`[..., K + R]`, of a mask that allows something everywhere."""
        logits, rest = outputs.squeeze(-1).tensor_split([mask.shape[-1]], -1)
        return self.distribution.parameters(torch.where(mask, logits, -torch.inf), rest)

    def sample(self, policy: Tensor, noise: Tensor) -> Tensor:
        """Logits, `[..., K]`."""
        return self.distribution.sample(policy, noise)

    def greedy(self, policy: Tensor) -> Tensor:
        """The centre of the distribution, `[..., K]`."""
        return self.distribution.centre(policy)

    def to_env(self, actions: Tensor) -> Tensor:
        """The split, softmax(start + logits), `[B, N, K]`; exactly zero where not allowed."""
        contract.look_at_agents(actions.shape[-2], self.AGENTS)
        return (self.start.to(actions) + actions).softmax(-1)

    def even(self, observation: Observation, noise: Tensor) -> Tensor:
        """Uniform over the splits of the allowed choices from uniform `noise` `[B, N, K]`: exponentials, divided."""
        mask = observation.mask
        weight = (-torch.log1p(-noise)).clamp(min=1e-12) * (mask | ~mask.any(-1, keepdim=True))
        return weight / weight.sum(-1, keepdim=True)

    def anything(self, observation: Observation, chance: torch.Generator) -> Tensor:
        """Uniform over the splits of the allowed choices, `[B, N, K]`."""
        mask = observation.mask
        return self.even(observation, torch.rand(mask.shape, generator=chance).to(mask.device))

    def shares(self, actions: Tensor, agents: Tensor) -> Tensor:
        """As they are, `[B, P, C, K]`."""
        return actions

    def log_prob(self, policy: Tensor, actions: Tensor) -> Tensor:
        """Log density of the logits, `[...]`."""
        return self.distribution.log_prob(policy, actions)

    def entropy(self, policy: Tensor) -> Tensor:
        """Entropy of the logits, `[...]`."""
        return self.distribution.entropy(policy)

    def able(self, actions: Tensor) -> Tensor:
        """Where choices are allowed, bool `[..., K]`."""
        return allowed(actions)

    def along(self, split: Tensor, slope: Tensor) -> Tensor:
        """sum_j p_j s_j - s_k: descent of phi along logits but for the factor p_k, `[..., K]`, of its slope s."""
        return (split * slope).sum(-1, keepdim=True) - slope

    def gain(self, actions: Tensor, policy: Tensor, slope: Tensor) -> Tensor:
        """What phi falls by, to first order, from the centre of `policy` to the drawn `actions` `[T, B, N, K]`."""
        way = self.to_env(actions) - self.to_env(self.greedy(policy))
        return -(slope * way).sum(-1)

    def move(self, policy: Tensor, policy_old: Tensor, actions: Tensor) -> Tensor:
        """How far the chance that drew `actions` `[..., K]` from `policy_old` draws from there now; differentiable."""
        return difference(self.distribution.again(policy, policy_old, actions), actions)

    def heard(self, announced: Tensor, actions: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Splits, the natural gradient of a descent, and logits less the start, `[B, N, K]` each."""
        able = allowed(announced)
        return actions, self.along(actions, slope) * able, torch.where(able, announced, 0.0)
