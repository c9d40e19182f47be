"""Optimal dispatch: DC optimal power flow in PTDF form, batched, and the order of merit that ignores the network.

Every instance of a batch is one quadratic program over segments of the cost curves. Limits are `HARD`, or priced as
the grid prices them (`PRICED`): the optimum is then the least cost that any dispatch can have in that step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg.convex import QuadraticProgram, solve
from dgpg_power.grid import Grid
from dgpg_power.reward import marginal

HARD, PRICED = "hard", "priced"
PIECES = 10
"""Equal pieces that a unit's range is cut into for the order of merit."""


@dataclass(frozen=True)
class Optimum:
    """The best dispatch of each instance."""

    output: Tensor
    """p, MW, `[B, N]`."""
    flow: Tensor
    """f, MW, `[B, L]`."""
    line_price: Tensor
    """Dual of a line's limit, $ per MWh, positive at the upper and negative at the lower, `[B, L]`."""
    solved: Tensor
    """True where the solver found the optimum, `[B]`; with hard limits False also where there is none."""


@dataclass(frozen=True)
class Problem:
    """The quadratic program of B instances, and what leads from its variables back to the grid."""

    program: QuadraticProgram
    """Variables: x of the S segments, then, if limits are priced, what is missing and what is too much; rows: the upper
    and the lower limits of `lines`."""
    low: Tensor
    """Least outputs, `[B, N]`."""
    owner: Tensor
    """The unit of each segment, `[S]`."""
    lines: Tensor
    """Lines that have a limit, `[m]`."""
    units: Tensor
    """H, `[L, N]` or `[B, L, N]`."""
    buses: Tensor
    """F, `[L, nb]` or `[B, L, nb]`."""

    def output(self, x: Tensor) -> Tensor:
        """p, MW, `[B, N]`, of the program's variables `[B, n]`."""
        return self.low.index_add(-1, self.owner, x[..., : len(self.owner)])


@torch.no_grad()
def optimum(
    grid: Grid, load: Tensor, demand: Tensor, low: Tensor, high: Tensor, outage: Tensor | None, limits: str
) -> Optimum:
    """Least-cost outputs within `low` and `high`; arguments are those of `pose`."""
    problem = pose(grid, load, demand, low, high, outage, limits)
    found = solve(problem.program)
    output = problem.output(found.x)
    line_price = torch.zeros(len(output), len(grid.limit), dtype=torch.float64, device=output.device)
    up, down = found.inequality_dual.chunk(2, -1)
    line_price[:, problem.lines] = up - down
    flow = (output.unsqueeze(-2) @ problem.units.mT).squeeze(-2)
    flow = flow - (load.double().unsqueeze(-2) @ problem.buses.mT).squeeze(-2)
    return Optimum(output.float(), flow.float(), line_price.float(), found.optimal)


def pose(
    grid: Grid, load: Tensor, demand: Tensor, low: Tensor, high: Tensor, outage: Tensor | None, limits: str
) -> Problem:
    """The program of least-cost outputs within `low` and `high`.

    Args:
        grid: the grid.
        load: demand at the buses, MW, `[B, nb]`.
        demand: what has to be generated, MW, `[B]`.
        low: least outputs, `[B, N]`.
        high: largest outputs, `[B, N]`.
        outage: the line that is out, -1 for none, `[B]`; None if none is.
        limits: `HARD` or `PRICED`.
    """
    low, high, load, demand = low.double(), high.double(), load.double(), demand.double()
    units, buses = _factors(grid, outage)
    lines = (grid.limit < torch.inf).nonzero().squeeze(-1)
    owner, width, slope, curve = _segments(grid, low, high)
    slope = slope - grid.tariff.curtailment * grid.renewable[owner].double()
    matrix = units[..., lines, :]
    fixed = (load.unsqueeze(-2) @ buses[..., lines, :].mT - low.unsqueeze(-2) @ matrix.mT).squeeze(-2)
    price = torch.inf if limits == HARD else grid.tariff.overload
    slack = grid.tariff.imbalance if limits == PRICED else None
    limit, rest = grid.limit[lines].double(), demand - low.sum(-1)
    program = _program(matrix[..., owner], fixed, limit, width, slope, curve, rest, price, slack)
    return Problem(program, low, owner, lines, units, buses)


def _program(
    matrix: Tensor, fixed: Tensor, limit: Tensor, width: Tensor, slope: Tensor, curve: Tensor, demand: Tensor,
    price: float, slack: float | None,
) -> QuadraticProgram:  # fmt: skip
    """Segments within their widths, flows within their limits, and demand met, or missed at a price."""
    ones = torch.ones(1, width.shape[-1], dtype=torch.float64, device=width.device)
    upper, linear = width, slope
    if slack is not None:
        extra = torch.ones(len(width), 2, dtype=torch.float64, device=width.device)
        ones = torch.cat([ones, torch.tensor([[1.0, -1.0]], dtype=torch.float64, device=width.device)], -1)
        upper = torch.cat([upper, extra * demand.abs().unsqueeze(-1)], -1)
        linear = torch.cat([linear, extra * slack], -1)
        curve = torch.cat([curve, torch.zeros(2, dtype=torch.float64, device=width.device)])
        matrix = torch.cat([matrix, matrix.new_zeros(*matrix.shape[:-1], 2)], -1)
    rows = torch.cat([matrix, -matrix], -2)
    return QuadraticProgram(
        quadratic=torch.diag(curve),
        linear=linear,
        equality_matrix=ones,
        equality_vector=demand.unsqueeze(-1),
        inequality_matrix=rows,
        inequality_bound=torch.cat([limit + fixed, limit - fixed], -1),
        lower=torch.zeros_like(upper),
        upper=upper,
        penalty=torch.full((rows.shape[-2],), price, dtype=torch.float64, device=width.device),
    )


def _factors(grid: Grid, outage: Tensor | None) -> tuple[Tensor, Tensor]:
    """H and F in float64, of each instance where lines are out."""
    units, buses = grid.unit_factors.double(), grid.bus_factors.double()
    if outage is None or not bool((outage >= 0).any()):
        return units, buses
    at = outage.clamp(min=0)
    moved = grid.outage_factors.double().mT[at] * (outage >= 0).unsqueeze(-1)
    return units + moved.unsqueeze(-1) * units[at].unsqueeze(1), buses + moved.unsqueeze(-1) * buses[at].unsqueeze(1)


def _segments(grid: Grid, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cost curves cut at their kinks into S segments in all: owner `[S]`, width and slope `[B, S]`, curve `[S]`.

    A unit's output is `low` plus x, 0 <= x <= width, summed over the segments it owns; one costs slope x + 1/2 curve
    x^2. Slopes rise from one segment of a unit to the next, so the cheap ones fill first.
    """
    curves = grid.curves
    kink = torch.where(curves.kink_slope > 0, curves.kink, torch.inf).double()
    order = kink.argsort(-1)
    kink, step = kink.gather(-1, order), curves.kink_slope.double().gather(-1, order)
    none = kink.new_zeros(len(kink), 1)
    edge, end = torch.cat([none - torch.inf, kink], -1), torch.cat([kink, none + torch.inf], -1)
    begin = torch.maximum(low.unsqueeze(-1), edge).clamp(max=high.unsqueeze(-1))
    width = (torch.minimum(high.unsqueeze(-1), end) - begin).clamp(min=0)
    curve = 2 * curves.quadratic.double().unsqueeze(-1).expand_as(edge)
    slope = curves.linear.double().unsqueeze(-1) + torch.cat([none, step.cumsum(-1)], -1) + curve * begin
    real = edge < torch.inf  # unused kinks lie at infinity
    owner = torch.arange(len(edge), device=edge.device).unsqueeze(-1).expand_as(edge)[real]
    return owner, width[:, real], slope[:, real], curve[real]


def merit_order(grid: Grid, demand: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Outputs that meet demand at least cost if there were no lines, `[B, N]`.

    Each unit's range is cut into equal pieces, which fill up in the order of their marginal cost.
    """
    share = (torch.arange(PIECES, device=demand.device) + 0.5) / PIECES
    middle = low.unsqueeze(-1) + (high - low).unsqueeze(-1) * share
    price = marginal(middle.transpose(1, 2), grid.curves).transpose(1, 2).flatten(1)
    return fill(price, low, high, demand)


def fill(price: Tensor, low: Tensor, high: Tensor, demand: Tensor) -> Tensor:
    """Outputs `[B, N]` when pieces of the ranges, priced `[B, N P]`, are taken from the cheapest on."""
    pieces = price.shape[-1] // low.shape[-1]
    width = ((high - low) / pieces).repeat_interleave(pieces, -1)
    order = price.argsort(dim=-1, stable=True)
    sorted_width = width.gather(-1, order)
    before = sorted_width.cumsum(-1) - sorted_width
    left = (demand - low.sum(-1)).clamp(min=0).unsqueeze(-1)
    taken = torch.minimum((left - before).clamp(min=0), sorted_width)
    filled = torch.zeros_like(width).scatter(-1, order, taken)
    return low + filled.view(len(low), -1, pieces).sum(-1)
