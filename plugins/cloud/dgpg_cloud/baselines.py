"""Rules to compare with, in two groups: what an agent sees, and more.

Same information: each dispatcher looks at its job and its own candidates as they are before anyone moves, and all
decide at once. More: dispatchers decide one after the other and see what those before them chose.
Each rule scores candidates, least is best; `with price` adds what switching a machine on would cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg.domain import Baseline, Context, Decision, Information
from dgpg_cloud.config import Config
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.observation import near
from dgpg_cloud.plant import Plant, make


@dataclass(frozen=True)
class View:
    """What a dispatcher makes of its candidates, each `[B, N, K]`."""

    fits_now: Tensor
    """Nobody waits there and everything the job asks for is free."""
    share: Tensor
    """Largest requested share of a resource if the job went there."""
    queued: Tensor
    """Jobs waiting there."""
    drain: Tensor
    """Steps until the machine has done its work, if it ran at capacity."""
    steps: Tensor
    """Steps the job would run."""
    switch_on: Tensor
    """USD per hour that the job would add by switching the machine on."""

    @classmethod
    def of(cls, context: Context, plant: Plant) -> View:
        """From the context before the action."""
        share = context["demand"].unsqueeze(-2) * plant.near_inverse
        used = near(context["used"] * plant.inverse, plant)
        queued = near(context["queued"], plant)
        off = near((context["requested"].amax(-1) == 0).float(), plant)
        drain = (context["work"] * plant.inverse).amax(-1) / plant.speed
        return cls(
            fits_now=(used + share <= 1 + 1e-6).all(-1) & (queued == 0),
            share=(near(context["requested"] * plant.inverse, plant) + share).amax(-1),
            queued=queued,
            drain=near(drain, plant),
            steps=(context["steps"].unsqueeze(-1) * 1000 / (plant.near_speed * 1000).round()).ceil(),
            switch_on=off * plant.near_price,
        )


def shortest_queue(view: View) -> Tensor:
    """Jobs waiting; among equals the least requested."""
    return view.queued + 0.5 * (view.share / (1 + view.share))


def expected_completion(view: View) -> Tensor:
    """Steps until the job would be done: at once where it fits, else after the backlog."""
    return torch.where(view.fits_now, 0.0, view.drain) + view.steps


def best_fit(view: View) -> Tensor:
    """Least room left where it fits now, else the least requested."""
    return torch.where(view.fits_now, 1 - view.share, 10 + view.share)


def least_requested(view: View) -> Tensor:
    """Largest requested share after placing."""
    return view.share


Score = Callable[[View], Tensor]


def with_price(score: Score, view: View, price: float) -> Tensor:
    """The score plus what the job would pay for switching the machine on while it runs."""
    return score(view) + price * view.switch_on * view.steps


SCORES: dict[str, Score] = {
    "join-shortest-queue": shortest_queue,
    "least-expected-completion": expected_completion,
    "best-fit": best_fit,
    "least-requested": least_requested,
}


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
        score = with_price(self.score, view, self.price)
        return score.masked_fill(~decision.observation.mask, torch.inf).argmin(-1)


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


@dataclass(frozen=True)
class Sequential:
    """Dispatchers in order, each seeing what those before it chose in this step.

    `config` gives the candidates that it may use: a dispatcher's own, or every machine. Its decision order gives it
    no place in a queue: jobs of one step still queue in the seeded random order.
    """

    name: str
    instance: Instance
    score: Score
    price: float
    config: Config
    information: Information = "more"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N]`. One dispatcher after the other is what the rule is: no way around the loop."""
        context = {name: value.clone() for name, value in decision.context.items()}
        mask, plant = decision.observation.mask, make(self.instance, noise.device)
        actions = torch.zeros(mask.shape[:2], dtype=torch.int64, device=mask.device)
        for n in mask.any(-1).any(0).nonzero().flatten().tolist():  # the others have nothing to place
            own = {
                **context,
                "demand": decision.context["demand"][:, n : n + 1],
                "steps": decision.context["steps"][:, n : n + 1],
            }
            view = View.of(own, plant.only(n))
            score = with_price(self.score, view, self.price)
            choice = score.masked_fill(~mask[:, n : n + 1], torch.inf).argmin(-1)
            actions[:, n] = choice.squeeze(-1)
            self._book(context, own, view, choice, plant.candidates[n], mask[:, n].any(-1))
        return actions

    def _book(
        self,
        context: dict[str, Tensor],
        own: dict[str, Tensor],
        view: View,
        choice: Tensor,
        reach: Tensor,
        sends: Tensor,
    ) -> None:
        """Add the job to the picture that the next dispatcher sees."""
        at = (torch.arange(len(choice), device=choice.device), reach[choice.squeeze(-1)])
        demand = own["demand"].squeeze(1) * sends.unsqueeze(-1)
        fits = view.fits_now.gather(-1, choice.unsqueeze(-1)).flatten() & sends
        context["requested"].index_put_(at, demand, accumulate=True)
        context["work"].index_put_(at, demand * own["steps"], accumulate=True)
        context["used"].index_put_(at, demand * fits.unsqueeze(-1), accumulate=True)
        context["queued"].index_put_(at, (sends & ~fits).float(), accumulate=True)


def baselines(config: Config) -> Sequence[Baseline]:
    """Every rule of both groups."""
    own, everywhere = config, config.model_copy(update={"everywhere": True})
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
