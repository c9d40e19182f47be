"""What set-points do to the state: outputs after limits, ramps and participation."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.types import Context
from dgpg_power.grid import Grid, make_grid
from dgpg_power.instance import Instance


class DispatchMapping:
    """State `[B, N, 1]`: the output of each unit, MW. Not a sum over agents: the residual is shared."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.grid: Grid = make_grid(instance, torch.device("cpu"))

    def state(self, actions: Tensor, context: Context) -> Tensor:
        """x of actions `[B, N, A]`, base points in MW and shares."""
        grid = self._on(actions.device)
        return grid.outputs(actions, context["low"], context["high"], context["demand"]).unsqueeze(-1)

    def _on(self, device: torch.device) -> Grid:
        if self.grid.limit.device != device:
            self.grid = make_grid(self.instance, device)
        return self.grid
