"""Optimal dispatch, batched, and the order of merit that ignores the network."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from dgpg.convex import QuadraticProgram, solve
from dgpg_power.grid import Grid
from dgpg_power.programs.program import HARD, PRICED, Problem, line_factors, line_flow, pose
from dgpg_power.reward import marginal, overload

__all__ = ["HARD", "PRICED", "Optimum", "fill", "merit_order", "nodal_prices", "optimum"]
TOLERANCE = 1e-8
"""Relative residual of a solution. Powers and prices differ so much that rounding stops some above 1e-9."""
ENTRIES = 1 << 21
"""Of one matrix of all instances that are solved together, 16 MiB: more would only leave the caches."""
FEW = 64
"""Units below which all limits enter at once: another round would cost more than their rows."""
LARGE = 1000
"""Buses above which lines that bound before enter first; smaller grids are solved as their published figures were."""
NEAR = 0.95
"""Loading in merit order from which a line's limit enters the program at once."""
EXCESS = 1e-6
"""Share of its limit by which a flow may be over and count as rounding."""
COLUMNS = ("linear", "equality_matrix", "inequality_matrix", "lower")
"""Fields of a program with a column for each variable."""
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
    price: Tensor
    """Of a MW more to generate, lines left aside, $ per MWh, `[B]`: its place among the flows is priced beside it."""
    solved: Tensor
    """True where the solver found the optimum, `[B]`; with hard limits False also where there is none."""


@torch.no_grad()
def optimum(
    grid: Grid, load: Tensor, demand: Tensor, low: Tensor, high: Tensor, outage: Tensor | None, limits: str,
    lines: Tensor | None = None,
) -> Optimum:  # fmt: skip
    """Least-cost outputs within `low` and `high`; arguments are those of `pose`.

    Few lines ever bind, and a solution within the limits that were left out is a solution with them: limits enter the
    program of lines that are known to bind, else where merit order comes near them (or those of `lines`), and otherwise
    once a solution breaks them.
    """
    load, demand, low, high = load.double(), demand.double(), low.double(), high.double()
    size = max(1, ENTRIES // low.shape[-1] ** 2)
    parts = []
    for first in range(0, max(len(low), 1), size):
        k = slice(first, first + size)
        out = None if outage is None else outage[k]
        part, entered = _optimum(grid, load[k], demand[k], low[k], high[k], out, limits, lines)
        lines = entered if grid.bus_factors.shape[-1] > LARGE else lines  # what bound may bind again
        parts.append(part)
    if len(parts) == 1:
        return parts[0]
    return Optimum(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Optimum)))


def nodal_prices(grid: Grid, found: Optimum, outage: Tensor, which: Tensor) -> Tensor:
    """What a MW more of load at each bus costs, losses left aside, $ per MWh, float64 `[b, nb]`.

    Of b instances `which`, `[b]`, of an optimum in which lines `outage`, `[B]`, are out, -1 for none.
    """
    buses, line_price = line_factors(grid, outage[which])[1], found.line_price[which].double()
    return found.price[which].double().unsqueeze(-1) - (line_price.unsqueeze(-2) @ buses).squeeze(-2)


def _optimum(
    grid: Grid, load: Tensor, demand: Tensor, low: Tensor, high: Tensor, outage: Tensor | None, limits: str,
    lines: Tensor | None,
) -> tuple[Optimum, Tensor]:  # fmt: skip
    """The optimum of instances that are solved together, and the lines whose limits entered."""
    chosen = _near(grid, load, demand, low, high, outage) if lines is None else lines & grid.limited
    found = _within(grid, load, demand, low, high, outage, limits, chosen)
    while True:
        over = overload(found.flow, grid.flow_min, grid.flow_max) > EXCESS * grid.reach
        broken = over & ~chosen & found.solved.unsqueeze(-1)
        again = broken.any(-1).nonzero().squeeze(-1)
        if not len(again):
            return found, chosen
        chosen = chosen | broken.any(0)
        out = None if outage is None else outage[again]
        rest = (load[again], demand[again], low[again], high[again])
        part = _within(grid, *rest, out, limits, chosen)
        for name, values in vars(part).items():
            getattr(found, name)[again] = values


def _near(grid: Grid, load: Tensor, demand: Tensor, low: Tensor, high: Tensor, outage: Tensor | None) -> Tensor:
    """Lines that bind at times, else those that merit order loads to `NEAR` of a limit, `[L]`; all if units are few."""
    if len(grid.unit_bus) < FEW:
        return grid.limited
    if bool(grid.binding.any()):
        return grid.binding & grid.limited
    flow = line_flow(line_factors(grid, outage), merit_order(grid, demand, low, high), load)
    return (grid.loading(flow).abs() > NEAR).any(0)


def _within(
    grid: Grid, load: Tensor, demand: Tensor, low: Tensor, high: Tensor, outage: Tensor | None, limits: str,
    lines: Tensor,
) -> Optimum:  # fmt: skip
    """The optimum with the limits of some lines, `[L]`."""
    problem = pose(grid, load, demand, low, high, outage, limits, lines)
    program, group, part = _merged(problem, grid.unit_bus)
    found = solve(program, tolerance=TOLERANCE)
    output = problem.output(found.x[:, group] * part)
    line_price = torch.zeros(len(output), len(grid.reach), dtype=torch.float64, device=output.device)
    up, down = found.inequality_dual.chunk(2, -1)
    line_price[:, problem.lines] = up - down
    flow = problem.flow(output, load)
    return Optimum(output.float(), flow.float(), line_price.float(), -found.equality_dual[:, 0].float(), found.optimal)


def _merged(problem: Problem, unit_bus: Tensor) -> tuple[QuadraticProgram, Tensor, Tensor]:
    """The program with one variable for segments that are alike.

    Also the variable of each segment, `[S]`, and the segment's part of it, `[B, S]`: its share of their widths.
    """
    program, count = problem.program, len(problem.owner)
    assert program.quadratic is not None and program.upper is not None
    group, first = _alike(unit_bus[problem.owner], program.linear[0, :count], program.quadratic.diagonal()[:count])
    width, rest = program.upper[:, :count], program.upper[:, count:]
    total = width.new_zeros(len(width), len(first)).index_add(-1, group, width)
    keep = torch.cat([first, torch.arange(count, program.upper.shape[-1], device=first.device)])
    columns = {name: getattr(program, name)[..., keep] for name in COLUMNS}
    merged = replace(
        program, **columns, quadratic=program.quadratic[keep][:, keep], upper=torch.cat([total, rest], -1)
    )  # fmt: skip
    return merged, group, width / total.clamp(min=1e-300)[:, group]


def _alike(bus: Tensor, slope: Tensor, curve: Tensor) -> tuple[Tensor, Tensor]:
    """Groups of straight segments of one bus and slope, which the program need not tell apart.

    The group of each segment, `[S]`, and the first segment of each group; a curved segment is a group by itself.
    """
    number = torch.arange(1, len(bus) + 1, device=bus.device)
    key = torch.stack([bus.double(), slope, (number * (curve > 0)).double()], -1)
    group = torch.unique(key, dim=0, return_inverse=True)[1]
    first = torch.full_like(number, len(bus)).scatter_reduce(0, group, number - 1, "amin")
    return group, first[: int(group.max()) + 1]


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
