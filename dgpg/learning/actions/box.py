"""Continuous actions within bounds of each agent's own: A numbers, drawn on [0, 1] and stretched to the bounds.

Policies, losses and guidance work on [0, 1]^A, so agents of different sizes look alike to shared weights;
`to_env` is the only place where units appear. Which distributions, and why: docs/adr/0012-continuous-actions.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgpg.domain import Observation, contract
from dgpg.learning.actions.distributions import EDGE, Distribution
from dgpg.learning.actions.kind import Offer
from dgpg.learning.networks import MlpActor, Sharing


@dataclass(frozen=True)
class Box:
    """Bounds `[N, A]` in the environment's units, and the distribution of policies on [0, 1]."""

    NAME: ClassVar[str] = "continuous actions"
    REACH: ClassVar[float] = 0.05
    """How far from where its slope was taken, in shares of the range, a pathwise step goes on being rewarded."""
    low: Tensor
    high: Tensor
    distribution: Distribution

    @classmethod
    def of(cls, low: NDArray[np.floating], high: NDArray[np.floating], distribution: Distribution) -> Box:
        """From the bounds of a Gymnasium space."""
        return cls(torch.as_tensor(low).float(), torch.as_tensor(high).float(), distribution)

    @property
    def OFFERS(self) -> frozenset[Offer]:
        """What the distribution does."""
        return self.distribution.offers

    @property
    def AGENTS(self) -> int:
        """Those that have bounds."""
        return len(self.low)

    @property
    def DRAWS(self) -> tuple[int, ...]:
        """One uniform number a dimension."""
        return (self.low.shape[1],)

    def make_actor(self, sizes: Mapping[str, int], hidden: int, sharing: Sharing, seed: torch.Generator) -> MlpActor:
        """A plain network from the agent's own features."""
        numbers, heard = self.low.shape[1], sizes.get("messages", 0)
        return MlpActor(sizes["agent"], numbers, self.distribution.width, hidden, sharing, seed, numbers, heard)

    def parameters(self, outputs: Tensor, mask: Tensor) -> Tensor:
        """`[..., A, P]`."""
        return self.among(outputs, mask)

    def among(self, outputs: Tensor, mask: Tensor) -> Tensor:
        """The same: there is nothing that a mask forbids."""
        return self.distribution.parameters(outputs)

    def sample(self, policy: Tensor, noise: Tensor) -> Tensor:
        """On [0, 1], `[..., A]`."""
        return self.distribution.sample(policy, noise)

    def greedy(self, policy: Tensor) -> Tensor:
        """The centre of the distribution, `[..., A]`."""
        return self.distribution.centre(policy)

    def to_env(self, actions: Tensor) -> Tensor:
        """low + (high - low) a, `[B, N, A]`."""
        contract.look_at_agents(actions.shape[-2], self.AGENTS)
        low, high = self.low.to(actions), self.high.to(actions)
        return low + (high - low) * actions

    def even(self, observation: Observation, noise: Tensor) -> Tensor:
        """Uniform `noise` `[B, N, A]` stretched to the bounds."""
        return self.to_env(noise)

    def anything(self, observation: Observation, chance: torch.Generator) -> Tensor:
        """Uniform within the bounds, `[B, N, A]`."""
        shape = (len(observation.mask), *self.low.shape)
        return self.even(observation, torch.rand(shape, generator=chance).to(observation.mask.device))

    def shares(self, actions: Tensor, agents: Tensor) -> Tensor:
        """Actions `[B, P, C, A]` of `agents` `[B, P]` as shares of their range."""
        low, high = (end.to(actions)[agents].unsqueeze(2) for end in (self.low, self.high))
        return (actions - low) / (high - low)

    def log_prob(self, policy: Tensor, actions: Tensor) -> Tensor:
        """Sum over dimensions, `[...]`."""
        return self.distribution.log_prob(policy, actions).sum(-1)

    def entropy(self, policy: Tensor) -> Tensor:
        """Sum over dimensions, `[...]`."""
        return self.distribution.entropy(policy).sum(-1)

    def along(self, slope: Tensor) -> Tensor:
        """Descent of phi along shares of the range, of its slope in the environment's units, `[..., N, A]`."""
        return -slope * (self.high - self.low).to(slope)

    def gain(self, actions: Tensor, policy: Tensor, slope: Tensor) -> Tensor:
        """What phi falls by, to first order, from the centre of `policy` to the drawn `actions` `[T, B, N, A]`."""
        return (self.along(slope) * (actions - self.greedy(policy))).sum(-1)

    def move(self, policy: Tensor, policy_old: Tensor, actions: Tensor) -> Tensor:
        """How far the chance that drew `actions` `[..., A]` from `policy_old` draws from there now; differentiable."""
        return self.distribution.again(policy, policy_old, actions) - actions

    def heard(self, announced: Tensor, actions: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shares of the range, descent along them, and log-odds of the share, `[B, N, A]` each."""
        return announced, self.along(slope), torch.logit(announced.clamp(EDGE, 1 - EDGE))
