"""What rules look at, and how they score it: candidates as they are before anyone moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from dgpg.domain import Context
from dgpg_cloud.plant import Plant


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
        """Of all dispatchers, from the context before the action."""
        return Machines(context, plant).view(slice(None), context["demand"], context["steps"])


class Machines:
    """What is on them as those see it whose turn it is. `held` has the numbers that a booking adds to, `seen` what a
    view is made of; both one number a row, `[., B, M]`."""

    def __init__(self, context: Context, plant: Plant) -> None:
        self.plant, self.resources = plant, plant.capacity.shape[1]
        by_resource = [context[name].movedim(-1, 0) for name in ("used", "requested", "work")]
        self.held = torch.cat([*by_resource, context["queued"].unsqueeze(0)]).contiguous()
        self.inverse = plant.inverse.T.contiguous()
        self.seen = self._seen(self.held, self.inverse.unsqueeze(1), plant.speed)

    def _seen(self, held: Tensor, inverse: Tensor, speed: Tensor) -> Tensor:
        """Shares used and requested, time to drain, jobs waiting, and whether nothing is requested."""
        used, requested, work, queued = torch.split(held, [self.resources] * 3 + [1])
        drain = most(work * inverse) / speed
        off = (most(requested) == 0).float()
        return torch.cat([used * inverse, requested * inverse, drain.unsqueeze(0), queued, off.unsqueeze(0)])

    def view(self, at: Tensor | slice, demand: Tensor, steps: Tensor) -> View:
        """What dispatchers `at` `[L]` see, who have jobs of `demand` `[B, L, R]` and `steps` `[B, L]`."""
        plant, envs = self.plant, len(demand)
        reach = plant.candidates[at]
        if plant.everywhere:
            seen = self.seen.unsqueeze(2).expand(-1, -1, len(reach), -1)
        else:
            seen = self.seen.index_select(2, reach.flatten()).view(-1, envs, *reach.shape)
        used, requested, (drain, queued, off) = torch.split(seen, [self.resources, self.resources, 3])
        # Resources first: with these last every sum over candidates strides over memory.
        share = demand.movedim(-1, 0).unsqueeze(-1) * self.inverse[:, reach].unsqueeze(1)
        return View(
            fits_now=(most(used + share) <= 1 + 1e-6) & (queued == 0),
            share=most(requested + share),
            queued=queued,
            drain=drain,
            steps=(steps.unsqueeze(-1) * 1000 / (plant.near_speed[at] * 1000).round()).ceil(),
            switch_on=off * plant.near_price[at],
        )

    def book(
        self, at: Tensor, choice: Tensor, view: View, demand: Tensor, steps: Tensor, sends: Tensor
    ) -> None:  # fmt: skip
        """Let the next ones see the jobs of those that `sends` `[B, L]` says, arguments as of `view`."""
        envs, machines = len(choice), self.held.shape[-1]
        machine = self.plant.candidates[at].expand(envs, -1, -1).gather(-1, choice.unsqueeze(-1)).squeeze(-1)
        cell = (machine + machines * torch.arange(envs, device=machine.device).unsqueeze(-1)).flatten()
        fits, sends = view.fits_now.gather(-1, choice.unsqueeze(-1)), sends.unsqueeze(-1)
        demand, waits = demand * sends, sends & ~fits  # a job may ask for nothing, and wait all the same
        added = torch.cat([demand * fits, demand, demand * steps.unsqueeze(-1), waits], -1).flatten(0, 1).T
        held = self.held.flatten(1).index_select(1, cell) + added
        self.held.flatten(1).index_copy_(1, cell, held)
        machine = machine.flatten()
        seen = self._seen(held, self.inverse.index_select(1, machine), self.plant.speed[machine])
        self.seen.flatten(1).index_copy_(1, cell, seen)


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
"""Least is best, `[B, N, K]`."""


def with_price(score: Score, view: View, price: float) -> Tensor:
    """The score plus what the job would pay for switching the machine on while it runs."""
    return score(view) + price * view.switch_on * view.steps if price else score(view)


SCORES: dict[str, Score] = {
    "join-shortest-queue": shortest_queue,
    "least-expected-completion": expected_completion,
    "best-fit": best_fit,
    "least-requested": least_requested,
}


def most(x: Tensor) -> Tensor:
    """Largest of a few resources, `[R, ...]` to `[...]`, by whole tensors, which is faster than by a few numbers."""
    return reduce(torch.maximum, x.unbind())
