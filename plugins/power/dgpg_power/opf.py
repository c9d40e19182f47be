"""Optimal dispatch: DC optimal power flow in PTDF form, batched, and the order of merit that ignores the network.

Every instance of a batch is one quadratic program over segments of the cost curves. Limits are `HARD`, or priced as
the grid prices them (`PRICED`): the optimum is then the least cost that any dispatch can have in that step.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from dgpg.convex import QuadraticProgram, solve
from dgpg_power.grid import Grid
from dgpg_power.reward import marginal

HARD, PRICED = "hard", "priced"
TOLERANCE = 1e-8
"""Relative residual of a solution. Powers and prices differ so much that rounding stops some above 1e-9."""
ENTRIES = 1 << 21
"""Of one matrix of all instances that are solved together, 16 MiB: more would only leave the caches."""
FEW = 64
"""Units below which all limits enter at once: another round would cost more than their rows."""
NEAR = 0.95
"""Loading in merit order from which a line's limit enters the program at once."""
EXCESS = 1e-6
"""Share of its limit by which a flow may be over and count as rounding."""
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


@torch.no_grad()
def optimum(
    grid: Grid, load: Tensor, demand: Tensor, low: Tensor, high: Tensor, outage: Tensor | None, limits: str,
    lines: Tensor | None = None,
) -> Optimum:  # fmt: skip
    """Least-cost outputs within `low` and `high`.

    Few lines ever bind, and a solution within the limits that were left out is a solution with them: limits enter the
    program where merit order comes near them, and otherwise once a solution breaks them.

    Args:
        grid: the grid.
        load: demand at the buses, MW, `[B, nb]`.
        demand: what has to be generated, MW, `[B]`.
        low: least outputs, `[B, N]`.
        high: largest outputs, `[B, N]`.
        outage: the line that is out, -1 for none, `[B]`; None if none is.
        limits: `HARD` or `PRICED`.
        lines: True for lines whose limits enter from the start, `[L]`; those near them in merit order if None.
    """
    load, demand, low, high = load.double(), demand.double(), low.double(), high.double()
    size = max(1, ENTRIES // low.shape[-1] ** 2)
    parts = [
        _optimum(grid, load[k], demand[k], low[k], high[k], None if outage is None else outage[k], limits, lines)
        for k in (slice(first, first + size) for first in range(0, max(len(low), 1), size))
    ]
    if len(parts) == 1:
        return parts[0]
    return Optimum(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Optimum)))


def _optimum(
    grid: Grid, load: Tensor, demand: Tensor, low: Tensor, high: Tensor, outage: Tensor | None, limits: str,
    lines: Tensor | None,
) -> Optimum:  # fmt: skip
    """The optimum of instances that are solved together."""
    chosen = _near(grid, load, demand, low, high, outage) if lines is None else lines & (grid.limit < torch.inf)
    found = _within(grid, load, demand, low, high, outage, limits, chosen)
    while True:
        broken = (found.flow.abs() > (1 + EXCESS) * grid.limit) & ~chosen & found.solved.unsqueeze(-1)
        again = broken.any(-1).nonzero().squeeze(-1)
        if not len(again):
            return found
        chosen = chosen | broken.any(0)
        out = None if outage is None else outage[again]
        rest = (load[again], demand[again], low[again], high[again])
        part = _within(grid, *rest, out, limits, chosen)
        for name, values in vars(part).items():
            getattr(found, name)[again] = values


def _near(grid: Grid, load: Tensor, demand: Tensor, low: Tensor, high: Tensor, outage: Tensor | None) -> Tensor:
    """Lines that merit order loads to `NEAR` of their limits in some instance, `[L]`; all lines on a small grid."""
    if len(grid.unit_bus) < FEW:
        return grid.limit < torch.inf
    flow = _flow(*_factors(grid, outage), merit_order(grid, demand, low, high), load)
    return (flow.abs() > NEAR * grid.limit).any(0)


def _within(
    grid: Grid, load: Tensor, demand: Tensor, low: Tensor, high: Tensor, outage: Tensor | None, limits: str,
    lines: Tensor,
) -> Optimum:  # fmt: skip
    """The optimum with the limits of some lines, `[L]`."""
    units, buses = _factors(grid, outage)
    owner, width, slope, curve = _segments(grid, low, high)
    slope = slope - grid.tariff.curtailment * grid.renewable[owner].double()
    group, first = _alike(grid.unit_bus[owner], slope[0], curve)
    total = width.new_zeros(len(width), len(first)).index_add(-1, group, width)
    at = lines.nonzero().squeeze(-1)
    matrix = units[..., at, :]
    fixed = (load.unsqueeze(-2) @ buses[..., at, :].mT - low.unsqueeze(-2) @ matrix.mT).squeeze(-2)
    price = torch.inf if limits == HARD else grid.tariff.overload
    slack = grid.tariff.imbalance if limits == PRICED else None
    limit, rest = grid.limit[at].double(), demand - low.sum(-1)
    program = _program(
        matrix[..., owner[first]], fixed, limit, total, slope[:, first], curve[first], rest, price, slack
    )  # fmt: skip
    found = solve(program, tolerance=TOLERANCE)
    taken = found.x[:, : len(first)] / total.clamp(min=1e-300)  # one share of its width for every segment of a group
    output = low.index_add(-1, owner, taken[:, group] * width)
    line_price = torch.zeros(len(output), len(grid.limit), dtype=torch.float64, device=output.device)
    up, down = found.inequality_dual.chunk(2, -1)
    line_price[:, at] = up - down
    flow = _flow(units, buses, output, load)
    return Optimum(output.float(), flow.float(), line_price.float(), found.optimal)


def _alike(bus: Tensor, slope: Tensor, curve: Tensor) -> tuple[Tensor, Tensor]:
    """Groups of straight segments of one bus and slope, which the program need not tell apart.

    The group of each segment, `[S]`, and the first segment of each group; a curved segment is a group by itself.
    """
    number = torch.arange(1, len(bus) + 1, device=bus.device)
    key = torch.stack([bus.double(), slope, (number * (curve > 0)).double()], -1)
    group = torch.unique(key, dim=0, return_inverse=True)[1]
    first = torch.full_like(number, len(bus)).scatter_reduce(0, group, number - 1, "amin")
    return group, first[: int(group.max()) + 1]


def _flow(units: Tensor, buses: Tensor, output: Tensor, load: Tensor) -> Tensor:
    """H p - F d, `[B, L]`, with factors that may differ between instances."""
    return (output.unsqueeze(-2) @ units.mT).squeeze(-2) - (load.unsqueeze(-2) @ buses.mT).squeeze(-2)


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
    # Unused kinks lie at infinity; segments that are empty in every instance decide nothing.
    some = (width > 0).any(0)
    real = (edge < torch.inf) & (some | ~some.any())
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
