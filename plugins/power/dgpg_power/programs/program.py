"""DC optimal power flow in PTDF form as a batch of quadratic programs over segments of the cost curves.

Limits are `HARD`, or priced as the grid prices them (`PRICED`): the optimum is then the least cost that any dispatch
can have in that step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from dgpg.convex import QuadraticProgram
from dgpg_power.grid import Grid

HARD, PRICED = "hard", "priced"
Factors: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""H, F and c of the flows H p - F d + c."""
TOLD = ("load", "demand", "low", "high")
"""What a model is told of a moment, by its name in the context, and all that its optimum depends on."""


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
    loop_flow: Tensor
    """c, MW, `[L]` or `[B, L]`."""

    def output(self, x: Tensor) -> Tensor:
        """p, MW, `[B, N]`, of the program's variables `[B, n]`."""
        return self.low.index_add(-1, self.owner, x[..., : len(self.owner)])

    def flow(self, output: Tensor, load: Tensor) -> Tensor:
        """H p - F d + c, MW, `[B, L]`."""
        return line_flow((self.units, self.buses, self.loop_flow), output, load)


def pose(
    grid: Grid, load: Tensor, demand: Tensor, low: Tensor, high: Tensor, outage: Tensor | None, limits: str,
    lines: Tensor | None = None,
) -> Problem:  # fmt: skip
    """The program of least-cost outputs within `low` and `high`.

    Args:
        grid: the grid.
        load: demand at the buses, MW, `[B, nb]`.
        demand: what has to be generated, MW, `[B]`.
        low: least outputs, `[B, N]`.
        high: largest outputs, `[B, N]`.
        outage: the line that is out, -1 for none, `[B]`; None if none is.
        limits: `HARD` or `PRICED`.
        lines: True for lines whose limits enter, `[L]`; all that have one if None.
    """
    low, high, load, demand = low.double(), high.double(), load.double(), demand.double()
    units, buses, loop_flow = line_factors(grid, outage)
    at = (grid.limited if lines is None else lines & grid.limited).nonzero().squeeze(-1)
    owner, width, slope, curve = _segments(grid, low, high)
    slope = slope - grid.tariff.curtailment * grid.renewable[owner].double()
    matrix = units[..., at, :]
    fixed = (load.unsqueeze(-2) @ buses[..., at, :].mT - low.unsqueeze(-2) @ matrix.mT).squeeze(-2) - loop_flow[..., at]
    price = torch.inf if limits == HARD else grid.tariff.overload
    slack = grid.tariff.imbalance if limits == PRICED else None
    bound = torch.cat([grid.flow_max[at] + fixed, -grid.flow_min[at] - fixed], -1)
    program = _program(matrix[..., owner], bound, width, slope, curve, demand - low.sum(-1), price, slack)
    return Problem(program, low, owner, at, units, buses, loop_flow)


def line_flow(factors: Factors, output: Tensor, load: Tensor) -> Tensor:
    """H p - F d + c, `[B, L]`, with factors that may differ between instances."""
    units, buses, loop_flow = factors
    injected = (output.unsqueeze(-2) @ units.mT).squeeze(-2) - (load.unsqueeze(-2) @ buses.mT).squeeze(-2)
    return injected + loop_flow


def _program(
    matrix: Tensor, bound: Tensor, width: Tensor, slope: Tensor, curve: Tensor, demand: Tensor, price: float,
    slack: float | None,
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
        inequality_bound=bound,
        lower=torch.zeros_like(upper),
        upper=upper,
        penalty=torch.full((rows.shape[-2],), price, dtype=torch.float64, device=width.device),
    )


def line_factors(grid: Grid, outage: Tensor | None) -> Factors:
    """H, F and c in float64, of each instance where lines are out."""
    units, buses, loop_flow = grid.unit_factors.double(), grid.bus_factors.double(), grid.loop_flow.double()
    if outage is None or not bool((outage >= 0).any()):
        return units, buses, loop_flow
    at = outage.clamp(min=0)
    moved = grid.outage_factors.double().mT[at] * (outage >= 0).unsqueeze(-1)
    return (
        units + moved.unsqueeze(-1) * units[at].unsqueeze(1),
        buses + moved.unsqueeze(-1) * buses[at].unsqueeze(1),
        loop_flow + moved * loop_flow[at].unsqueeze(-1),
    )


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
    # Unused kinks lie at infinity; segments that are empty in every instance decide nothing.
    some = (width > 0).any(0)
    real = (edge < torch.inf) & (some | ~some.any())
    owner = torch.arange(len(edge), device=edge.device).unsqueeze(-1).expand_as(edge)[real]
    return owner, width[:, real], slope[:, real], curve[real]
