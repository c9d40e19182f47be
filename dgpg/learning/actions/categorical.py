"""Categorical actions with masks: logits for each choice `[..., K]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dgpg.domain import Observation
from dgpg.learning.actions.kind import Offer
from dgpg.learning.networks import ScoringActor, Sharing


@dataclass(frozen=True)
class Categorical:
    """A choice of K; what a policy is are log probabilities, `[..., K]`."""

    NAME: ClassVar[str] = "choices"
    OFFERS: ClassVar[frozenset[Offer]] = frozenset({"score"})
    AGENTS: ClassVar[None] = None
    """Choices have no bounds."""
    DRAWS: ClassVar[tuple[int, ...]] = ()
    """One uniform number decides."""

    def make_actor(
        self, sizes: Mapping[str, int], hidden: int, sharing: Sharing, seed: torch.Generator
    ) -> ScoringActor:
        """A network that scores each choice."""
        return ScoringActor(sizes["agent"], sizes["choices"], hidden, sharing, seed, sizes.get("messages", 0))

    def parameters(self, logits: Tensor, mask: Tensor) -> Tensor:
        """log pi(k), `[..., K]`: -inf where not allowed, uniform where nothing is."""
        allowed = torch.where(mask | ~mask.any(-1, keepdim=True), logits, -torch.inf)
        # Over a handful of choices four passes take a quarter of the time of `log_softmax`.
        down = allowed - allowed.detach().amax(-1, keepdim=True)
        return down - down.exp().sum(-1, keepdim=True).log()

    def among(self, logits: Tensor, mask: Tensor) -> Tensor:
        """log pi(k), `[..., K]`, of a mask that allows something everywhere."""
        return torch.where(mask, logits, -torch.inf).log_softmax(-1)

    def sample(self, logs: Tensor, noise: Tensor) -> Tensor:
        """Draw by the inverse of the distribution function from uniform `noise` `[...]`.

        One uniform number an agent decides, so the draw of an environment does not depend on its batch.
        """
        distribution = logs.exp().cumsum(-1)
        return (distribution <= noise.unsqueeze(-1) * distribution[..., -1:]).sum(-1)

    def greedy(self, logs: Tensor) -> Tensor:
        """The most probable choice, the first where several are, `[...]` of log probabilities `[..., K]`."""
        return logs.argmax(-1)

    def to_env(self, actions: Tensor) -> Tensor:
        """A choice is its number, `[B, N]`."""
        return actions

    def anything(self, observation: Observation, chance: torch.Generator) -> Tensor:
        """An allowed choice of each active agent, any of the others, `[B, N]`."""
        score = torch.rand(observation.mask.shape, generator=chance).to(observation.mask.device)
        return (score + observation.mask.float()).argmax(-1)

    def log_prob(self, logs: Tensor, actions: Tensor) -> Tensor:
        """log pi(a), `[...]`."""
        return logs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    def entropy(self, logs: Tensor) -> Tensor:
        """-sum_k pi(k) log pi(k), `[...]`."""
        # 0 * -inf is NaN: a choice that is not allowed adds nothing.
        return -(logs.exp() * logs.masked_fill(logs == -torch.inf, 0.0)).sum(-1)


CATEGORICAL = Categorical()
"""There is nothing to tell one from another."""
