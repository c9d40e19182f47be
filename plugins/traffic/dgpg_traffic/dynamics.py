"""What happens to vehicles in a period: pure functions; vehicles a period, and times in periods unless said otherwise.

Vehicles wait before links that let through no more than their capacity, each before the link that is too narrow, and
go on in the next period: the quasi-dynamic assignment with residual point queues of M. C. J. Bliemer, M. P. H. Raadsen,
E.-S. Smits, B. Zhou and M. G. H. Bell, Transportation Research Part B 68, 2014. Within a period flows are even, and who
passes a link comes to the next one in the same period.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg_traffic.network.legs import Legs

SWEEPS = 50
"""Of `load`, at most."""
TOLERANCE = 1e-5
"""Largest change of a share at which `load` ends: capacities are kept to so much."""
LEAST = 1e-6
"""Share of a link's capacity that is always left to those who come: else nothing would tell them apart."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """What a period did to the links.

    Attributes:
        passes: vehicles that a link lets through, `[B, L]`.
        arrives: those that came to it, `[B, L]`.
        found: those that waited when the period began, `[B, L]`.
        waiting: those that wait when it ends, by leg, `[B, J]`.
        arrived: those that came to the end of their way, `[B]`.
        capacity: what it let through at most, `[B, L]`.
    """

    passes: Tensor
    arrives: Tensor
    found: Tensor
    waiting: Tensor
    arrived: Tensor
    capacity: Tensor

    @property
    def left(self) -> Tensor:
        """Vehicles that wait when the period ends, `[B, L]`."""
        return self.found + self.arrives - self.passes


def load(legs: Legs, entering: Tensor, waiting: Tensor, capacity: Tensor) -> Loaded:
    """Let vehicles go as far as capacities allow in a period. None is lost: entered = left the road + waiting.

    Those that waited pass first; of those that come, all routes pass alike. The share that passes a link follows from
    what comes to it, which follows from the shares of the links before: it is iterated from 1 on, and exact after as
    many sweeps as bottlenecks follow each other where these form no circle.

    Args:
        legs: the links of routes.
        entering: vehicles that set out, `[B, N, K]`, zero in empty slots.
        waiting: those on the road, by the leg before which they wait, `[B, J]`.
        capacity: `[B, L]`, above 0.
    """
    sets_out, before, capacity = legs.of_routes(entering), waiting.t().contiguous(), capacity.t().contiguous()
    found = legs.on_links(before)
    first = before * legs.of_links(capacity / found.maximum(capacity))
    room = (capacity - found).maximum(LEAST * capacity)
    share, changes = torch.ones_like(room), torch.ones(room.shape[1], dtype=torch.bool, device=room.device)
    for _ in range(SWEEPS):
        of_legs = legs.of_links(share)
        coming = legs.along(sets_out, first, of_legs)
        arrives = legs.on_links(coming)
        following = room / arrives.maximum(room)
        changes = changes & ((following - share).abs().amax(0) > TOLERANCE)
        if not changes.any():
            break
        share = torch.where(changes, following, share)  # each instance ends by itself, whatever the others do
    passing = first + of_legs * coming
    passes, left = legs.on_links(passing), before + coming - passing
    return Loaded(passes.t(), arrives.t(), found.t(), left.t(), legs.arrived(passing), capacity.t())


def waited(found: Tensor, arrives: Tensor, capacity: Tensor) -> Tensor:
    """Time that all wait for a link within a period: the area between the cumulative curves, `[...]`, in periods.

    Who comes, comes evenly, and the link lets through its capacity while anybody waits.

    Args:
        found: vehicles that waited when the period began, `[...]`.
        arrives: `[...]`.
        capacity: `[...]`.
    """
    over = arrives - capacity
    whole = found + over / 2
    cleared = found.square() / (2 * torch.maximum(-over, found).maximum(LEAST * capacity))
    return torch.where(found + over > 0, whole, cleared)


def drained(waiting: Tensor, capacity: Tensor) -> Tensor:
    """Time that those before a link wait from now on if nobody else comes, `[...]`, in periods."""
    return waiting.square() / (2 * capacity)


def mean_wait(found: Tensor, arrives: Tensor, capacity: Tensor) -> Tensor:
    """Mean wait of those who come to a link, first come, first served, `[...]`, in periods.

    Times `arrives` it is what `waited` and the change of `drained` add up to.
    """
    over = arrives - capacity
    cleared = found.square() / (2 * capacity * torch.maximum(-over, found).maximum(LEAST * capacity))
    return torch.where(found + over > 0, (found + over / 2) / capacity, cleared)


def mean_wait_integral(found: Tensor, arrives: Tensor, capacity: Tensor) -> Tensor:
    """The integral of `mean_wait` over those who come, from 0 to `arrives`, `[...]`."""
    easy = torch.minimum(arrives, (capacity - found).clamp(min=0))  # those who come while the queue still clears
    cleared = -found.square() / (2 * capacity) * (1 - easy / capacity).clamp(min=LEAST).log()
    queued = (found - capacity / 2) * (arrives - easy) + (arrives.square() - easy.square()) / 4
    return cleared + queued / capacity


def own_time(demand: Tensor, splits: Tensor, route_time: Tensor) -> Tensor:
    """Travel time of each agent's vehicles, `[B, N]`.

    Args:
        demand: vehicles, `[B, N]`.
        splits: `[B, N, K]`.
        route_time: `[B, N, K]`.
    """
    time: Tensor = demand * torch.einsum("bnk,bnk->bn", splits, route_time)
    return time
