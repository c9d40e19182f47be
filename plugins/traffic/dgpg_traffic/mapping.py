"""What splits do to the state of the links."""

from __future__ import annotations

from torch import Tensor

from dgpg.domain import Context
from dgpg.files import PerDevice
from dgpg_traffic.instance import Instance


class FlowMapping:
    """The state that splits lead to at the network's own capacities; see `loading` for what it holds."""

    def __init__(self, instance: Instance) -> None:
        self.roads = PerDevice(instance.roads)

    def state(self, actions: Tensor, context: Context) -> Tensor:
        """x of splits `[B, N, K]`."""
        roads = self.roads.like(actions)
        capacity = roads.links.capacity.expand(len(actions), -1)
        demand, waiting = (context[name].to(actions) for name in ("demand", "waiting"))
        return roads.loading.state(roads.load(actions, demand, waiting, capacity))
