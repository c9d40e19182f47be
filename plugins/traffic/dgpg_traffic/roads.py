"""A road network as tensors: what splits do to flows, and the splits of equilibrium and optimum."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dgpg.errors import SolverError
from dgpg_traffic.assignment.assign import Objective, assign
from dgpg_traffic.dynamics import Loaded
from dgpg_traffic.loading import Loading, Queued, Static
from dgpg_traffic.network.bpr import Bpr
from dgpg_traffic.network.incidence import Incidence, Routes
from dgpg_traffic.network.legs import Legs
from dgpg_traffic.network.network import Network

TOLERANCE = 1e-7
"""Gap of the assignments: with a hundred times as much the oracle would be above what policies reach."""
LARGEST_GAP = 1e-4
"""Above it an assignment is refused: it would be called an optimum, and is none."""


@dataclass(frozen=True, eq=False)
class Roads:
    """Links and routes on a device; N agents, P pairs of N / P agents each."""

    links: Bpr
    incidence: Incidence
    """Routes of each agent."""
    pairs: Incidence
    """Routes of each pair, in double precision, for the solvers."""
    loading: Loading
    """What a period does with vehicles."""

    def flow(self, splits: Tensor, demand: Tensor) -> Tensor:
        """x of the static problem, `[B, L]`, of splits `[B, N, K]` and vehicles of each agent `[B, N]`."""
        return self.incidence.flow(splits * demand.unsqueeze(-1))

    def load(self, splits: Tensor, demand: Tensor, waiting: Tensor, capacity: Tensor) -> Loaded:
        """What a period does to the links.

        Args:
            splits: `[B, N, K]`.
            demand: vehicles of each agent, `[B, N]`.
            waiting: those on the road, `[B, J]`.
            capacity: `[B, L]`.
        """
        return self.loading.load(splits * demand.unsqueeze(-1), waiting, capacity)

    def at(self, capacity: Tensor) -> Bpr:
        """The links with other capacities, `[B, L]`."""
        return replace(self.links, capacity=capacity)

    @torch.no_grad()
    def assigned(self, objective: Objective, demand: Tensor, capacity: Tensor, tolerance: float = TOLERANCE) -> Tensor:
        """Splits of the static equilibrium or optimum, `[B, N, K]`; the agents of a pair split alike.

        Args:
            objective: `USER_EQUILIBRIUM` or `SYSTEM_OPTIMUM`.
            demand: vehicles of each agent, `[B, N]`.
            capacity: `[B, L]`.
            tolerance: gap at which an instance is done.

        Raises:
            SolverError: the assignment did not come near its end.
        """
        pairs = self.pairs.shape[0]
        links = Bpr(*(x.double() for x in (self.links.free_time, capacity, self.links.b, self.links.power)))
        of_pairs = demand.double().view(len(demand), pairs, -1).sum(-1)
        found = assign(links, self.pairs, of_pairs, objective, tolerance=tolerance)
        gap = float(found.gap.max())
        if not gap <= LARGEST_GAP:
            raise SolverError(
                f"{objective.name}: the assignment ended with a gap of {gap:.1e}, expected at most {LARGEST_GAP:.0e}: "
                "use less demand (demand.scale), or a lower power of the delay function"
            )
        return found.splits.to(demand).repeat_interleave(demand.shape[-1] // pairs, -2)


def make_roads(
    network: Network, routes: Routes, per_pair: int, period: float | None, device: torch.device, dtype: torch.dtype
) -> Roads:
    """Tensors of a network whose pairs are `per_pair` agents each.

    `period` is its length in the network's unit of time, where there are queues; None makes periods static problems.
    """
    of_agents, links = Routes(np.repeat(routes.links, per_pair, 0)), Bpr.of(network, device, dtype)
    incidence, loading = Incidence(of_agents, network.num_links, device, dtype), None
    if period is not None:
        loading = Queued(links, Legs(of_agents, network.num_links, device, dtype), period)
    return Roads(
        links=links,
        incidence=incidence,
        pairs=Incidence(routes, network.num_links, device),
        loading=loading or Static(links, incidence),
    )
