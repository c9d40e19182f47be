"""The links of routes one by one, for what happens to vehicles on their way: legs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dgpg_traffic.network.incidence import Routes, applied, matrices


class Legs:
    """A leg is one link of one route: J in all, of R routes that exist. Batches come last.

    The first links of all routes come first, then the second ones, and so on; within each, the routes with the most
    links first. So the legs at one position go on the first ones of the position before. Differentiable.
    """

    def __init__(self, routes: Routes, num_links: int, device: torch.device, dtype: torch.dtype) -> None:
        flat = routes.links.reshape(-1, routes.links.shape[-1])
        length = (flat >= 0).sum(1)
        order = np.argsort(-length, kind="stable")[: int((length > 0).sum())]
        self.counts = [int(n) for n in (length[:, None] > np.arange(length.max())).sum(0)]
        """Legs at each position: those of the routes that have so many links."""
        link = np.concatenate([flat[order[:n], p] for p, n in enumerate(self.counts)])
        self._links = matrices(np.arange(len(link)), link, (len(link), num_links), device, dtype)
        self._route = torch.as_tensor(order, device=device)

    @property
    def num_legs(self) -> int:
        """J."""
        return sum(self.counts)

    def parts(self, legs: Tensor) -> tuple[Tensor, ...]:
        """Those at each position, `[n, B]` each, of `[J, B]`."""
        return torch.split(legs, self.counts)

    def of_routes(self, routes: Tensor) -> Tensor:
        """What is said of routes, `[B, N, K]`, of those that exist, `[R, B]`."""
        return routes.flatten(-2).t()[self._route]

    def of_links(self, links: Tensor) -> Tensor:
        """What is said of links, `[L, B]`, of their legs, `[J, B]`."""
        return applied(self._links, links.t()).t()

    def on_links(self, legs: Tensor) -> Tensor:
        """Sums over the legs of each link, `[L, B]`, of `[J, B]`."""
        return applied(self._links.T, legs.t()).t()

    def along(self, entering: Tensor, others: Tensor, share: Tensor) -> Tensor:
        """Vehicles that come to each leg, `[J, B]`: of those that come to the leg before, the share that passes it.

        Args:
            entering: vehicles that set out on each route, `[R, B]`.
            others: that pass each leg besides, `[J, B]`.
            share: of those that come to a leg, `[J, B]`.
        """
        found = [entering]
        before = zip(self.counts[1:], self.parts(others), self.parts(share), strict=False)
        for n, other, part in before:
            found.append(torch.addcmul(other[:n], part[:n], found[-1][:n]))
        return torch.cat(found)

    def ahead(self, links: Tensor) -> Tensor:
        """Sums over the links from each leg to the end of its route, `[J, B]`, of `[L, B]`."""
        parts = self.parts(self.of_links(links))
        found = [parts[-1]]
        for part in reversed(parts[:-1]):
            n = len(found[-1])
            found.append(torch.cat([part[:n] + found[-1], part[n:]]))
        return torch.cat(found[::-1])

    def arrived(self, legs: Tensor) -> Tensor:
        """Sum over the last legs of routes, `[B]`, of `[J, B]`."""
        last = zip(self.parts(legs), [*self.counts[1:], 0], strict=True)
        return torch.stack([part[n:].sum(0) for part, n in last]).sum(0)
