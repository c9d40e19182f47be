"""Rules to compare with, in two groups: what an agent sees, and more.

Same information: each dispatcher looks at its job and its own candidates as they are before anyone moves, and all
decide at once. More: dispatchers decide one after the other and see what those before them chose.
Each rule scores candidates, least is best; `with price` adds what switching a machine on would cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg.domain import Baseline, Decision, Information
from dgpg_cloud.config import Config
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.plant import make
from dgpg_cloud.sequential import Sequential
from dgpg_cloud.view import SCORES, Score, View, best_fit, expected_completion, least, shortest_queue, with_price


@dataclass(frozen=True)
class Rule:
    """The candidate with the least score; every dispatcher at once."""

    name: str
    instance: Instance
    score: Score
    price: float
    """Steps of waiting that one USD per hour for one step is worth, w_p / w_q; 0 ignores the price."""
    information: Information = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N]`."""
        view = View.of(decision.context, make(self.instance, noise.device))
        return least(with_price(self.score, view, self.price), decision.observation.mask)


@dataclass(frozen=True)
class RandomChoice:
    """Any allowed candidate."""

    name: str = "random"
    information: Information = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N]`."""
        return _nth(decision.observation.mask, noise)


@dataclass(frozen=True)
class PowerOfTwo:
    """Two allowed candidates at random, the one with the lower score (Mitzenmacher 2001)."""

    name: str
    instance: Instance
    price: float
    information: Information = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N]`; the second draw uses the digits that the first left over."""
        mask = decision.observation.mask
        first = _nth(mask, noise)
        others = mask & ~torch.nn.functional.one_hot(first, mask.shape[-1]).bool()
        others = torch.where(others.any(-1, keepdim=True), others, mask)
        second = _nth(others, (noise * mask.sum(-1)) % 1)
        view = View.of(decision.context, make(self.instance, noise.device))
        score = with_price(shortest_queue, view, self.price)
        one, two = (score.gather(-1, c.unsqueeze(-1)).squeeze(-1) for c in (first, second))
        return torch.where(two < one, second, first)


def _nth(mask: Tensor, noise: Tensor) -> Tensor:
    """A uniformly drawn allowed choice; 0 where none is."""
    rank = (noise * mask.sum(-1)).floor().clamp(max=mask.shape[-1] - 1).unsqueeze(-1)
    return (mask & (mask.cumsum(-1) - 1 == rank)).int().argmax(-1)


def baselines(config: Config) -> Sequence[Baseline]:
    """Every rule of both groups."""
    own, everywhere = config, config.of_all()
    instance, whole = build(own), build(everywhere)
    price = config.weights.price / max(config.weights.waiting, 1e-6)
    rules: list[Baseline] = [RandomChoice()]
    for suffix, worth in (("", 0.0), (" with price", price)):
        rules.append(PowerOfTwo(f"power-of-two{suffix}", instance, worth))
        rules += [Rule(f"{name}{suffix}", instance, score, worth) for name, score in SCORES.items()]
        rules += [
            Sequential(f"sequential-greedy{suffix}", instance, expected_completion, worth, own),
            Sequential(f"global-best-fit{suffix}", whole, best_fit, worth, everywhere),
        ]
    return rules
