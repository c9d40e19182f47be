"""Analytical models of a road network: total travel time, the selfish potential, and the distance to the optimum."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain import Context, CostModel, DistanceModel
from dgpg.files import CONTEXTS, Recall
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM
from dgpg_traffic.config import Config
from dgpg_traffic.instance import Instance, build
from dgpg_traffic.network.bpr import Bpr


class LinkModel(CostModel):
    """A sum over links of a function of flow and capacity."""

    free_time: Tensor
    capacity: Tensor
    b: Tensor
    power: Tensor

    def __init__(self, instance: Instance) -> None:
        super().__init__()
        links = Bpr.of(instance.network, dtype=torch.float32)
        self.measured = instance.config.models.capacity == "measured"
        for name in ("free_time", "capacity", "b", "power"):
            self.register_buffer(name, getattr(links, name))

    def load(self, block: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Flow x and b (x / capacity)^power of links `index` `[B, A]`, of blocks `[B, A, 2]`.

        By the measured capacity, what flow and time of the link imply: b (x / capacity)^power is then the measured
        delay over the free-flow time.
        """
        flow = block[..., 0]
        capacity = block[..., 1] if self.measured else self.capacity[index]
        return flow, self.b[index] * (flow / capacity) ** self.power[index]


class TotalTime(LinkModel):
    """phi(x) = sum of x t(x), total travel time. Its slope is the marginal cost, time plus toll t + x t'.

    The optimum's total time, which would make the least phi zero, is left out: no action moves it.
    """

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """x t(x), `[B, A]`."""
        flow, load = self.load(block, index)
        return self.free_time[index] * flow * (1 + load)


class SelfishPotential(LinkModel):
    """phi(x) = sum of the integrals of t from 0 to x (Beckmann, McGuire and Winsten 1956). Its slope is the time alone.

    Least at the user equilibrium: a model that leads agents to what each would do by itself.
    """

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """The integral, `[B, A]`."""
        flow, load = self.load(block, index)
        return self.free_time[index] * flow * (1 + load / (self.power[index] + 1))


class OptimumDistance(DistanceModel):
    """Distance of flows to the system optimum of what is carried over and what enters, in free-flow time.

    Solutions are remembered, so that a context that was seen is not solved again.
    """

    scale: Tensor

    def __init__(self, instance: Instance, memory: int = CONTEXTS) -> None:
        super().__init__()
        self.roads, network = instance.roads(torch.device("cpu")), instance.network
        weight = torch.from_numpy(network.free_time / network.capacity).float()
        self.register_buffer("scale", torch.stack([weight, torch.zeros_like(weight)], -1))
        self.optimum = Recall(("demand", "residual"), self.solve, memory)

    def weight(self) -> Tensor:
        """Free-flow time over capacity for the flow, 0 for the capacity, `[L, 2]`."""
        return self.scale

    def reference(self, context: Context) -> Tensor:
        """x~, `[B, L, 2]`."""
        found = self.optimum(context).to(context["demand"])
        return torch.stack([found, self.roads.links.capacity.to(found).expand_as(found)], -1)

    def solve(self, demand: Tensor, residual: Tensor) -> Tensor:
        """Flows of links `[B, L]` for demand `[B, N]` and residual `[B, L]`."""
        capacity = self.roads.links.capacity.expand_as(residual)
        return self.roads.flow(self.roads.assigned(SYSTEM_OPTIMUM, demand, residual, capacity), demand, residual)


def marginal_cost(config: Config) -> TotalTime:
    """`traffic.marginal-cost`: total travel time; guidance is time plus toll."""
    return TotalTime(build(config))


def system_optimum(config: Config) -> OptimumDistance:
    """`traffic.system-optimum`: distance to the flows of the system optimum."""
    return OptimumDistance(build(config))


def user_equilibrium(config: Config) -> SelfishPotential:
    """`traffic.user-equilibrium`: what selfish drivers minimise; guidance is time without toll."""
    return SelfishPotential(build(config))
