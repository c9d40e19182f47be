"""Analytical models of a road network: total travel time, the selfish potential, and the distance to the optimum."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain import Context, CostModel, DistanceModel
from dgpg.errors import ConfigError
from dgpg.files import CONTEXTS, Recall
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM
from dgpg_traffic.config import Config
from dgpg_traffic.dynamics import drained, mean_wait_integral, waited
from dgpg_traffic.instance import Instance, build
from dgpg_traffic.network.bpr import Bpr
from dgpg_traffic.system import PERIOD


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
        return flow, self.b[index] * (flow / self.room(block, index)) ** self.power[index]

    def room(self, block: Tensor, index: Tensor) -> Tensor:
        """Capacity of links `index` `[B, A]`: the last coordinate of blocks `[B, A, m]`, or the network's own."""
        return block[..., -1] if self.measured else self.capacity[index]


class TotalTime(LinkModel):
    """phi(x) = sum of x t(x), total travel time of a static period. Its slope is the marginal cost, time plus toll.

    The optimum's total time, which would make the least phi zero, is left out: no action moves it.
    """

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """x t(x), `[B, A]`."""
        flow, load = self.load(block, index)
        return self.free_time[index] * flow * (1 + load)


class QueuedTime(TotalTime):
    """Time of all on the road in the period, and what those who still wait at its end need at least.

    phi = sum of y t(y) + T (area + q^2 / (2 capacity)) + ahead: y vehicles drive over a link, the area between the
    cumulative curves of those who come and who pass is the time waited in the period, q who are left wait for the drain
    and then drive on. The environment charges it, less what was counted in the periods before.
    """

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance)
        self.period = PERIOD / instance.config.time_unit

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """`[B, A]`, of blocks `[B, A, 5]`: who pass, come and were found waiting, time ahead, capacity."""
        passes, arrives, found, ahead, _ = block.unbind(-1)
        left = (found + arrives - passes).clamp(min=0)
        waits = waited(found, arrives, self.room(block, index)) + drained(left, self.capacity[index])
        return super().block_potential(block, index, context) + self.period * waits + ahead


class SelfishPotential(LinkModel):
    """phi(x) = sum of the integrals of t from 0 to x (Beckmann, McGuire and Winsten 1956). Its slope is the time alone.

    Least at the user equilibrium: a model that leads agents to what each would do by itself.
    """

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """The integral, `[B, A]`."""
        flow, load = self.load(block, index)
        return self.free_time[index] * flow * (1 + load / (self.power[index] + 1))


class QueuedSelfish(SelfishPotential):
    """The same with queues: integrals of the drive and of the mean wait, and what those left have ahead.

    With queues equilibrium is no minimum: who waits upstream spares those downstream, which the slope counts and
    drivers do not. It leads near it.
    """

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance)
        self.period = PERIOD / instance.config.time_unit

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """`[B, A]`, of blocks `[B, A, 5]`."""
        _, arrives, found, ahead, _ = block.unbind(-1)
        waits = mean_wait_integral(found, arrives, self.room(block, index))
        return super().block_potential(block, index, context) + self.period * waits + ahead


class OptimumDistance(DistanceModel):
    """Distance of flows to the static system optimum of what enters, in free-flow time.

    Solutions are remembered, so that a context that was seen is not solved again.
    """

    scale: Tensor

    def __init__(self, instance: Instance, memory: int = CONTEXTS) -> None:
        super().__init__()
        if instance.config.queues:
            expected = "the distance is to the optimum of a static problem: set queues=false, or take another model"
            raise ConfigError(f"queues = True: {expected}, traffic.marginal-cost")
        self.roads, network = instance.roads(torch.device("cpu")), instance.network
        weight = torch.from_numpy(network.free_time / network.capacity).float()
        self.register_buffer("scale", torch.stack([weight, torch.zeros_like(weight)], -1))
        self.optimum = Recall(("demand",), self.solve, memory)

    def weight(self) -> Tensor:
        """Free-flow time over capacity for the flow, 0 for the capacity, `[L, 2]`."""
        return self.scale

    def reference(self, context: Context) -> Tensor:
        """x~, `[B, L, 2]`."""
        found = self.optimum(context).to(context["demand"])
        return torch.stack([found, self.roads.links.capacity.to(found).expand_as(found)], -1)

    def solve(self, demand: Tensor) -> Tensor:
        """Flows of links `[B, L]` for demand `[B, N]`."""
        capacity = self.roads.links.capacity.expand(len(demand), -1)
        return self.roads.flow(self.roads.assigned(SYSTEM_OPTIMUM, demand, capacity), demand)


def marginal_cost(config: Config) -> TotalTime:
    """`traffic.marginal-cost`: total time on the road; guidance is time plus toll, and what others wait longer."""
    return (QueuedTime if config.queues else TotalTime)(build(config))


def system_optimum(config: Config) -> OptimumDistance:
    """`traffic.system-optimum`: distance to the flows of the system optimum."""
    return OptimumDistance(build(config))


def user_equilibrium(config: Config) -> SelfishPotential:
    """`traffic.user-equilibrium`: what selfish drivers minimise; guidance is time without toll."""
    return (QueuedSelfish if config.queues else SelfishPotential)(build(config))
