"""What the rest of the core asks of a kind of action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import torch
from torch import Tensor

from dgpg.domain import Observation
from dgpg.learning.networks import Actor, Sharing

Offer = Literal["score", "path"]
"""A score function, grad log pi(a); or draws that are differentiable in the parameters of a policy."""


class ActionKind(Protocol):
    """What it is to act: how to sample and score.

    `policy` stands for the parameters of a policy, `[..., K]`, `[..., A, .]` or `[..., K + .]`.
    """

    @property
    def NAME(self) -> str:
        """What messages call such actions."""
        ...

    @property
    def OFFERS(self) -> frozenset[Offer]:
        """What an estimator may build on."""
        ...

    @property
    def AGENTS(self) -> int | None:
        """How many agents bounds or starts are of; None where there are neither, so that any number may act."""
        ...

    @property
    def DRAWS(self) -> tuple[int, ...]:
        """Uniform numbers that one decision takes, as the shape after `[B, N]`."""
        ...

    def make_actor(self, sizes: Mapping[str, int], hidden: int, sharing: Sharing, seed: torch.Generator) -> Actor:
        """The network whose outputs `parameters` understands."""
        ...

    def parameters(self, outputs: Tensor, mask: Tensor) -> Tensor:
        """The policy `[..., K]`, `[..., A, .]` or `[..., K + .]` that a network's outputs mean."""
        ...

    def among(self, outputs: Tensor, mask: Tensor) -> Tensor:
        """The same of a mask that allows something everywhere, in as few steps as can be: what is exported."""
        ...

    def sample(self, policy: Tensor, noise: Tensor) -> Tensor:
        """Draw from uniform `noise` `[..., *DRAWS]`."""
        ...

    def greedy(self, policy: Tensor) -> Tensor:
        """The action without chance, of the shape of a drawn one: `[...]`, `[..., A]` or `[..., K]`."""
        ...

    def to_env(self, actions: Tensor) -> Tensor:
        """Drawn actions `[B, N, ...]` in the units of the environment."""
        ...

    def anything(self, observation: Observation, chance: torch.Generator) -> Tensor:
        """A random allowed joint action `[B, N, ...]` in the units of the environment, spread over all there are."""
        ...

    def log_prob(self, policy: Tensor, actions: Tensor) -> Tensor:
        """log pi(a), `[...]`."""
        ...

    def entropy(self, policy: Tensor) -> Tensor:
        """Entropy of the policy, `[...]`."""
        ...
