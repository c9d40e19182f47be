"""What set-points do to the state: outputs after limits, ramps and participation."""

from __future__ import annotations

from torch import Tensor

from dgpg.domain import Context
from dgpg_power.grid import Grids
from dgpg_power.instance import Instance


class DispatchMapping:
    """State `[B, N, 1]`: the output of each unit, MW. Not a sum over agents: the residual is shared."""

    def __init__(self, instance: Instance) -> None:
        self.grids = Grids(instance)

    def state(self, actions: Tensor, context: Context) -> Tensor:
        """x of actions `[B, N, A]`, base points in MW and shares."""
        grid = self.grids.like(actions)
        return grid.outputs(actions, context["low"], context["high"], context["demand"]).unsqueeze(-1)
