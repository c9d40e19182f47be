"""Analytical models of dispatch: the model's own cost of the outputs (a value potential)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgpg.types import Context
from dgpg_power.config import Config
from dgpg_power.grid import Grid, make_grid
from dgpg_power.instance import Instance, build
from dgpg_power.reward import generation


class CostPotential(nn.Module):
    """phi(p; c): what the outputs cost on the model's grid, $ per hour, generation above its least.

    The model knows the intact grid and the forecast, scaled to what has to be generated. It knows neither where
    loads differ from their forecast, nor where losses arise, nor that a line is out.
    """

    floor: Tensor

    def __init__(self, instance: Instance) -> None:
        super().__init__()
        self.instance = instance
        self.grid: Grid = make_grid(instance, torch.device("cpu"))
        curves, low, high = self.grid.curves, self.grid.unit_min.clamp(max=0), self.grid.unit_max
        # Least cost of a convex curve between its ends; negative prices would make phi negative.
        best = (-curves.linear / (2 * curves.quadratic).clamp(min=1e-12)).clamp(low, high)
        ends = torch.stack([low, high, best, torch.zeros_like(low).clamp(low, high)])
        self.register_buffer("floor", generation(ends, curves).amin(0).sum())

    def potential(self, state: Tensor, context: Context) -> Tensor:
        """phi, `[B]`, of outputs `[B, N, 1]`."""
        grid = self._on(state.device)
        output = state[..., 0]
        flow = grid.flow(output, context["load"])
        return grid.cost(output, flow, context["demand"], context["available"]) - self.floor

    def _on(self, device: torch.device) -> Grid:
        if self.grid.limit.device != device:
            self.grid = make_grid(self.instance, device)
        return self.grid


def cost(config: Config) -> CostPotential:
    """`power.cost`: the model's own cost of the outputs, penalties included."""
    return CostPotential(build(config))
