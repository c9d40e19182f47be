"""What splits do to the state of the links."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dgpg.domain import Context
from dgpg.files import PerDevice
from dgpg_traffic.instance import Instance


class FlowMapping:
    """The state that splits lead to at the network's own capacities; see `loading` for what it holds."""

    def __init__(self, instance: Instance) -> None:
        self.roads, self.horizon = PerDevice(instance.roads), instance.config.horizon

    def state(self, actions: Tensor, context: Context) -> Tensor:
        """x of splits `[B, N, K]`."""
        roads = self.roads.like(actions)
        capacity = roads.links.capacity.expand(len(actions), -1)
        demand, waiting = (context[name].to(actions) for name in ("demand", "waiting"))
        return roads.loading.state(roads.load(actions, demand, waiting, capacity))

    def block_features(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """How links look `[B, A, m + 6]`: vehicles and time ahead over the network's capacity, kind of link, time."""
        links = self.roads.like(block).links
        capacity, usual = links.capacity[index].unsqueeze(-1), links.free_time.mean()
        share = block / capacity
        if share.shape[-1] > 2:  # the time ahead of those left waiting, in usual drives
            share = torch.cat([share[..., :3], share[..., 3:4] / usual, share[..., 4:]], -1)
        kind = (capacity / links.capacity.mean()).log(), (links.free_time[index] / usual).unsqueeze(-1)
        shape = links.b[index].unsqueeze(-1), links.power[index].unsqueeze(-1)
        angle = (2 * math.pi * (context["period"] + 0.5) / self.horizon)[:, None, None].expand_as(capacity)
        return torch.cat([share, *kind, *shape, angle.sin(), angle.cos()], -1)
