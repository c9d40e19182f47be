"""What rules look at, and how they score it: candidates as they are before anyone moves.

Views and scores are of tensors where all dispatchers decide at once, and of NumPy's arrays where they take turns: N
times a step on a few numbers, which torch takes several times as long to call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, TypeAlias

import torch
from torch import Tensor

from dgpg.domain import Context
from dgpg_cloud.observation import near
from dgpg_cloud.plant import Plant

Array: TypeAlias = Any
"""A tensor or an array of NumPy's, single precision; truths are 0 and 1."""


@dataclass(frozen=True)
class View:
    """What dispatchers `[B, L]` make of their candidates, `[B, L, K]`; made when a score first asks for it."""

    xp: Any
    """The module that the arrays are of, `torch` or `numpy`."""
    used: Sequence[Array]
    """Share of each resource in use."""
    requested: Sequence[Array]
    """The same of what runs and waits."""
    drain: Array
    """Steps until the machine has done its work, if it ran at capacity."""
    queued: Array
    """Jobs waiting there."""
    nobody: Array
    """1 where none is."""
    off: Array
    """1 where nothing is requested."""
    taken: Sequence[Array]
    """Share of each resource that the job would take."""
    base_steps: Array
    """That the job runs at speed 1."""
    speed: Array
    """In whole thousandths."""
    price: Array
    """USD per hour of the machine."""

    @cached_property
    def fits_now(self) -> Array:
        """1 where nobody waits and everything the job asks for is free."""
        return (self._most(self.used) <= 1 + 1e-6) * self.nobody

    @cached_property
    def share(self) -> Array:
        """Largest requested share of a resource if the job went there."""
        return self._most(self.requested)

    @cached_property
    def steps(self) -> Array:
        """Steps the job would run."""
        return self.xp.ceil(self.base_steps * 1000 / self.speed)

    @cached_property
    def switch_on(self) -> Array:
        """USD per hour that the job would add by switching the machine on."""
        return self.off * self.price

    def _most(self, held: Sequence[Array]) -> Array:
        # A few resources one by one: to ask for the largest of a few neighbours takes many times as long.
        return reduce(self.xp.maximum, (before + more for before, more in zip(held, self.taken, strict=True)))

    @classmethod
    def of(cls, context: Context, plant: Plant) -> View:
        """Of all dispatchers, from the context before the action."""
        used, requested = (near(context[name] * plant.inverse, plant).unbind(-1) for name in ("used", "requested"))
        queued, idle = context["queued"], (context["requested"] == 0).all(-1)
        return cls(
            torch,
            used=used,
            requested=requested,
            drain=near((context["work"] * plant.inverse).amax(-1) / plant.speed, plant),
            queued=near(queued, plant),
            nobody=near((queued == 0).float(), plant),
            off=near(idle.float(), plant),
            taken=(context["demand"].unsqueeze(-2) * plant.near_inverse).unbind(-1),
            base_steps=context["steps"].unsqueeze(-1),
            speed=(plant.near_speed * 1000).round(),
            price=plant.near_price,
        )


def shortest_queue(view: View) -> Array:
    """Jobs waiting; among equals the least requested."""
    return view.queued + 0.5 * (view.share / (1 + view.share))


def expected_completion(view: View) -> Array:
    """Steps until the job would be done: at once where it fits, else after the backlog."""
    return (1 - view.fits_now) * view.drain + view.steps


def best_fit(view: View) -> Array:
    """Least room left where it fits now, else the least requested."""
    return view.fits_now * (1 - view.share) + (1 - view.fits_now) * (10 + view.share)


def least_requested(view: View) -> Array:
    """Largest requested share after placing."""
    return view.share


Score = Callable[[View], Array]
"""Least is best, `[B, N, K]`."""


def with_price(score: Score, view: View, price: float) -> Array:
    """The score plus what the job would pay for switching the machine on while it runs."""
    return score(view) + price * view.switch_on * view.steps if price else score(view)


SCORES: dict[str, Score] = {
    "join-shortest-queue": shortest_queue,
    "least-expected-completion": expected_completion,
    "best-fit": best_fit,
    "least-requested": least_requested,
}


def least(score: Tensor, mask: Tensor) -> Tensor:
    """The first allowed candidate of least score, `[B, N]`; any where none is allowed."""
    return score.masked_fill(~mask, torch.inf).argmin(-1)
