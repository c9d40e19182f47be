"""What splits do to the state: flows of links."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain import Context
from dgpg.files import PerDevice
from dgpg_traffic.instance import Instance


class FlowMapping:
    """State `[B, L, 2]`: the flow of each link, what was carried over included, and the network's own capacity."""

    def __init__(self, instance: Instance) -> None:
        self.roads = PerDevice(instance.roads)

    def state(self, actions: Tensor, context: Context) -> Tensor:
        """x of splits `[B, N, K]`."""
        roads = self.roads.like(actions)
        flow = roads.flow(actions, context["demand"], context["residual"])
        return torch.stack([flow, roads.links.capacity.expand_as(flow)], -1)
