"""How vehicles get onto the links in a period, and the time that they spend: with queues, or as in a static problem."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from dgpg_traffic.dynamics import Loaded, drained, load, mean_wait, waited
from dgpg_traffic.network.bpr import Bpr, link_time
from dgpg_traffic.network.incidence import Incidence
from dgpg_traffic.network.legs import Legs


class Loading(Protocol):
    """What differs between the two; times are in the network's unit, vehicles as in `dynamics`."""

    @property
    def num_legs(self) -> int:
        """J, places where vehicles may wait."""
        ...

    def load(self, entering: Tensor, waiting: Tensor, capacity: Tensor) -> Loaded:
        """A period, of vehicles that set out on routes `[B, N, K]` and those that wait, `[B, J]`."""
        ...

    def state(self, loaded: Loaded) -> Tensor:
        """What models look at, `[B, L, m]`: first the flow of each link, last its capacity."""
        ...

    def spent(self, loaded: Loaded) -> Tensor:
        """Time of all on each link in the period, and what those who wait still need at least, `[B, L]`."""
        ...

    def pending(self, waiting: Tensor) -> Tensor:
        """What those who wait need at least, `[B]`: it was counted when they came there."""
        ...

    def mean_time(self, loaded: Loaded) -> Tensor:
        """Of a link, mean of those who came to it in the period, `[B, L]`."""
        ...

    def pending_on(self, waiting: Tensor) -> Tensor:
        """The same by link, `[B, L]`: the wait where they wait, the drive where they will drive."""
        ...

    def on_links(self, waiting: Tensor) -> Tensor:
        """Those who wait `[B, J]` by link, `[B, L]`."""
        ...

    def time(self, loaded: Loaded, left: Tensor) -> Tensor:
        """Of a link for who comes to it next, `[B, L]`, while so many wait for it, `[B, L]`."""
        ...


class Static:
    """Every period is a static problem: whatever sets out arrives, and no capacity limits a flow."""

    num_legs = 0

    def __init__(self, links: Bpr, incidence: Incidence) -> None:
        self.links, self.incidence = links, incidence

    def load(self, entering: Tensor, waiting: Tensor, capacity: Tensor) -> Loaded:
        """As in `Loading`; nobody waits."""
        flow = self.incidence.flow(entering)
        return Loaded(flow, flow, torch.zeros_like(flow), waiting, entering.sum((-2, -1)), capacity)

    def state(self, loaded: Loaded) -> Tensor:
        """`[B, L, 2]`: flow and capacity."""
        return torch.stack([loaded.passes, loaded.capacity], -1)

    def spent(self, loaded: Loaded) -> Tensor:
        """As in `Loading`."""
        return _driven(self.links, loaded)

    def pending(self, waiting: Tensor) -> Tensor:
        """Nothing."""
        return waiting.sum(-1)

    def pending_on(self, waiting: Tensor) -> Tensor:
        """Nothing."""
        return self.on_links(waiting)

    def mean_time(self, loaded: Loaded) -> Tensor:
        """As in `Loading`."""
        return link_time(_at(self.links, loaded.capacity), loaded.passes)

    def on_links(self, waiting: Tensor) -> Tensor:
        """Nobody."""
        return waiting.new_zeros(len(waiting), len(self.links.capacity))

    def time(self, loaded: Loaded, left: Tensor) -> Tensor:
        """As in `Loading`."""
        return self.mean_time(loaded)


class Queued:
    """Links let through their capacity at most, and who waits goes on in the next period.

    Time is counted when it becomes certain: who begins to wait is charged at once with the time that the queue needs to
    drain and with the rest of the way on empty roads, and later with what comes on top of it. Over a day and the drain
    after it that is the area between the cumulative curves of those who set out and those who arrive.
    """

    def __init__(self, links: Bpr, legs: Legs, period: float) -> None:
        self.links, self.legs, self.period = links, legs, period
        self.ahead = legs.ahead(links.free_time.unsqueeze(-1))

    @property
    def num_legs(self) -> int:
        """J."""
        return self.legs.num_legs

    def load(self, entering: Tensor, waiting: Tensor, capacity: Tensor) -> Loaded:
        """As in `Loading`."""
        return load(self.legs, entering, waiting, capacity)

    def state(self, loaded: Loaded) -> Tensor:
        """`[B, L, 5]`: vehicles that pass, come, were found waiting; time ahead of those left; capacity."""
        return torch.stack(
            [loaded.passes, loaded.arrives, loaded.found, self._ahead(loaded.waiting), loaded.capacity], -1
        )

    def spent(self, loaded: Loaded) -> Tensor:
        """As in `Loading`."""
        waits = waited(loaded.found, loaded.arrives, loaded.capacity) + drained(loaded.left, self.links.capacity)
        return _driven(self.links, loaded) + self.period * waits + self._ahead(loaded.waiting)

    def pending(self, waiting: Tensor) -> Tensor:
        """As in `Loading`."""
        left = self.on_links(waiting)
        return (self.period * drained(left, self.links.capacity) + self._ahead(waiting)).sum(-1)

    def pending_on(self, waiting: Tensor) -> Tensor:
        """As in `Loading`."""
        before, nobody = waiting.t(), waiting.new_zeros(self.legs.counts[0], len(waiting))
        going = before + self.legs.along(nobody, before, torch.ones_like(before))
        drive = self.legs.on_links(going).t() * self.links.free_time
        return self.period * drained(self.on_links(waiting), self.links.capacity) + drive

    def mean_time(self, loaded: Loaded) -> Tensor:
        """The drive, and the wait of those who came, first come, first served."""
        wait = mean_wait(loaded.found, loaded.arrives, loaded.capacity)
        return link_time(_at(self.links, loaded.capacity), loaded.passes) + self.period * wait

    def on_links(self, waiting: Tensor) -> Tensor:
        """As in `Loading`."""
        return self.legs.on_links(waiting.t()).t()

    def time(self, loaded: Loaded, left: Tensor) -> Tensor:
        """The drive, and the wait behind those who wait now."""
        drive = link_time(_at(self.links, loaded.capacity), loaded.passes)
        return drive + self.period * left / loaded.capacity

    def _ahead(self, waiting: Tensor) -> Tensor:
        """Time that those who wait before each link need to drive to their ends on empty roads, `[B, L]`."""
        return self.legs.on_links(waiting.t() * self.ahead).t()


def _at(links: Bpr, capacity: Tensor) -> Bpr:
    return replace(links, capacity=capacity)


def _driven(links: Bpr, loaded: Loaded) -> Tensor:
    return loaded.passes * link_time(_at(links, loaded.capacity), loaded.passes)


@torch.no_grad()
def drain(loading: Loading, entering: Tensor, waiting: Tensor, capacity: Tensor) -> tuple[Tensor, Tensor]:
    """What those who wait need until all have arrived beyond what `pending` says, if nobody else sets out.

    Returns:
        Of all, `[B]`, and of each link, `[B, L]`, float64.

    Args:
        entering: of the right shape, `[B, N, K]`.
        waiting: `[B, J]`.
        capacity: `[B, L]`.
    """
    nobody, more = torch.zeros_like(entering), waiting.new_zeros(len(waiting), dtype=torch.float64)
    on_links = torch.zeros_like(capacity, dtype=torch.float64)
    while waiting.sum() > 0:  # each period some queue lets through its link's capacity, or ends
        loaded = loading.load(nobody, waiting, capacity)
        spent = loading.spent(loaded).double()
        more += spent.sum(-1) - loading.pending(waiting)
        on_links += spent - loading.pending_on(waiting)
        waiting = loaded.waiting
    return more, on_links
