"""Analytical models of dispatch: the model's own cost of the outputs, and the distance to its optimum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgpg.domain import Context, DistanceModel
from dgpg.files import CONTEXTS, Recall
from dgpg_power.config import Config
from dgpg_power.grid import Grids, make_grid
from dgpg_power.instance import Instance, build
from dgpg_power.programs import opf
from dgpg_power.programs.program import TOLD
from dgpg_power.reward import generation
from dgpg_power.system import System


class CostPotential(nn.Module):
    """phi(p; c): what the outputs cost on the model's grid, $ per hour, generation above its least.

    The model knows the intact grid and the forecast, scaled to what has to be generated. It knows neither where
    loads differ from their forecast, nor where losses arise, nor that a line is out.
    """

    floor: Tensor

    def __init__(self, system: System) -> None:
        super().__init__()
        self.grids = Grids(system)
        grid = self.grids.like(torch.zeros(()))
        curves, low, high = grid.curves, grid.unit_min.clamp(max=0), grid.unit_max
        # Least cost of a convex curve between its ends; negative prices would make phi negative.
        best = (-curves.linear / (2 * curves.quadratic).clamp(min=1e-12)).clamp(low, high)
        ends = torch.stack([low, high, best, torch.zeros_like(low).clamp(low, high)])
        self.register_buffer("floor", generation(ends, curves).amin(0).sum())

    def potential(self, state: Tensor, context: Context) -> Tensor:
        """phi, `[B]`, of outputs `[B, N, 1]`."""
        grid = self.grids.like(state)
        output = state[..., 0]
        flow = grid.flow(output, context["load"])
        return grid.cost(output, flow, context["demand"], context["available"]) - self.floor


class OptimumDistance(DistanceModel):
    """Distance of the outputs to DC optimal power flow, in shares of each unit's range.

    Solutions are remembered, so that a context that was seen is not solved again.
    """

    scale: Tensor

    def __init__(self, instance: Instance, memory: int = CONTEXTS) -> None:
        super().__init__()
        self.grid, self.optimum = make_grid(instance, torch.device("cpu")), Recall(TOLD, self.solve, memory)
        span = (self.grid.unit_max - self.grid.unit_min).clamp(min=1e-6)
        self.register_buffer("scale", span.square().reciprocal().unsqueeze(-1))

    def weight(self) -> Tensor:
        """1 / range^2, `[N, 1]`."""
        return self.scale

    def reference(self, context: Context) -> Tensor:
        """x~, `[B, N, 1]`: the least-cost outputs for what the model is told, overloads priced."""
        found = self.optimum(context)
        return found.unsqueeze(-1).to(context["demand"])

    def solve(self, load: Tensor, demand: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Outputs `[B, N]` for load `[B, nb]`, demand `[B]`, low and high `[B, N]`, MW."""
        return opf.optimum(self.grid, load, demand, low, high, None, opf.PRICED).output


def dcopf(config: Config) -> OptimumDistance:
    """`power.dcopf`: distance to DC optimal power flow."""
    return OptimumDistance(build(config))


def cost(config: Config) -> CostPotential:
    """`power.cost`: the model's own cost of the outputs, penalties included."""
    return CostPotential(build(config))
