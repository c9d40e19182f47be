"""Where the fit of a log starts: its programs, costs under which outputs are stationary, limits that it hints at."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dgpg_power.calibration.ends import STOP, Ends, hinted, own_ends, told_by_lines
from dgpg_power.calibration.fit import Parameters, Task
from dgpg_power.calibration.repeats import OFTEN
from dgpg_power.data.moments import Moments
from dgpg_power.dynamics import balanced
from dgpg_power.grid import Grid
from dgpg_power.programs import program
from dgpg_power.programs.stationary import stationary_costs, worth
from dgpg_power.reward import marginal

FULL = 2e-3
"""A flow this near, relatively, to the largest of its line counts as one at the line's limit."""
NEAR = 0.8
"""Part of its own limit from which a line's largest flow may be its true limit."""
FIRM = 100.0
"""Price of what must not be, overload and imbalance, in mean marginal costs."""
WITHIN = 1e-3
"""Share of its range that an output must be away from its limits to say what it costs."""
ROUNDED = 1e-4
"""Share of its limit that a flow may be above it and count as rounding of the log."""
MOVED = 0.05
"""Share of the largest demand by which demand must vary for outputs that do not to be a schedule."""


def pose(grid: Grid, moments: Moments, chosen: Tensor | None = None, ends: Ends | None = None) -> Task:
    """The fit of a log.

    Args:
        grid: the network's own costs and limits, float64.
        moments: the log.
        chosen: lines whose limit is fitted, from their largest flow on, `[L]`; None for all where that looks like a
            limit. Others keep their own, or what was seen to flow where that is more.
        ends: limits of outputs; None for the network's own.
    """
    load, output = torch.from_numpy(moments.load), torch.from_numpy(moments.output)
    price = None if moments.price is None else torch.from_numpy(moments.price)
    demand = output.sum(-1)
    load = balanced(load, demand)  # as the model is told: losses are where loads are
    ends = own_ends(grid) if ends is None else ends
    span = (grid.unit_max - grid.unit_min).clamp(min=1e-6)
    within, scheduled = _within(grid, output, demand, ends)
    low, high = (torch.where(scheduled, output, x) for x in (ends.low, ends.high))
    problem = program.pose(_firm(grid, output), load, demand, low, high, None, program.PRICED)
    own = Parameters(grid.curves.quadratic, grid.curves.linear, grid.reach[problem.lines])
    flow = (grid.flow(output, load) - grid.middle)[:, problem.lines].abs()
    largest, alike = flow.amax(0), (grid.flow_min == -grid.flow_max)[problem.lines]
    full = flow > (1 - FULL) * largest
    free = _hinted(full, largest, own.limit) if chosen is None else chosen[problem.lines]
    free = free & alike
    limit = torch.where(alike & (largest > (1 + ROUNDED) * own.limit), largest, own.limit)
    factor = currency(grid, output, within, price)
    given, factors = curtailment(grid), problem.units[problem.lines]
    quadratic, linear = stationary_costs(
        factor * own.quadratic, factor * own.linear, given, output, within, factors, full & free, price
    )  # fmt: skip
    slope = linear + 2 * quadratic * output - given
    at_worth = worth(slope, within, factors, full & free, price)
    beyond = _beyond(linear, slope, at_worth, within, output - low < high - output)
    linear = torch.where(scheduled, linear, beyond)
    start = Parameters(quadratic, linear, torch.where(free, largest, limit))
    return Task(
        problem, own, start, free.nonzero().squeeze(-1), limit, load, output, span, ends, high, within, scheduled, price
    )


def stopped(grid: Grid, moments: Moments) -> Ends:
    """Limits of outputs as the log hints at them.

    Where a line carries the output of a unit and nothing else, either may be what limits it: the line, if what it
    carries at most is near its own limit.
    """
    task = pose(grid, moments)
    flow = (grid.flow(task.output, task.load) - grid.middle)[:, task.problem.lines].abs()
    largest = flow.amax(0)
    near = (largest > NEAR * task.own.limit) & (NEAR * largest < task.own.limit)
    told = told_by_lines(grid, flow, task.output, near)
    return hinted(grid, task.load, task.output, task.scheduled, told)


def _within(grid: Grid, output: Tensor, demand: Tensor, ends: Ends) -> tuple[Tensor, Tensor]:
    """Where outputs are between their limits, `[T, N]`, and which units follow a schedule instead, `[N]`."""
    span = (grid.unit_max - grid.unit_min).clamp(min=1e-6)
    found = ends.beyond(own_ends(grid))
    low, high = (end + sign * span * torch.where(at, STOP, WITHIN) for end, sign, at in (
        (ends.low, 1, found[0]), (ends.high, -1, found[1])))  # fmt: skip
    within = (output > low) & (output < high)
    scheduled = _scheduled(output, within, span, demand)
    return within & ~scheduled, scheduled


def _scheduled(output: Tensor, within: Tensor, span: Tensor, demand: Tensor) -> Tensor:
    """Units that give the same between their limits whatever is asked for, so that no cost explains it, `[N]`."""
    still = output.amax(0) - output.amin(0) <= WITHIN * span
    return still & within.all(0) & bool(demand.max() - demand.min() > MOVED * demand.abs().max())


def _hinted(full: Tensor, largest: Tensor, limit: Tensor) -> Tensor:
    """Lines whose largest flow recurs, or lies near their own limit, `[m]`."""
    return ((full.sum(0) >= OFTEN) & (largest > WITHIN * limit)) | (largest > NEAR * limit)


def _beyond(linear: Tensor, slope: Tensor, worth: Tensor, within: Tensor, low: Tensor) -> Tensor:
    """Linear costs with which units that are never between their limits stay at them, `[N]`; `low` at the lower."""
    known = within.any(-1, keepdim=True)  # a moment without a unit between its limits says nothing of worth
    least = (worth - slope).where(low & known, -torch.inf).amax(0)
    most = (worth - slope).where(~low & known, torch.inf).amin(0)
    moved = torch.minimum(torch.maximum(torch.zeros_like(linear), least), most)
    return linear + torch.where(within.any(0), 0.0, moved)


def currency(grid: Grid, output: Tensor, within: Tensor, price: Tensor | None) -> float:
    """What the network's own costs are multiplied by to have the level of the log's prices; 1 if it has none."""
    if price is None or not bool(within.any()):
        return 1.0
    factor = float(price.mean() / marginal(output, grid.curves)[within].mean())
    return factor if 0 < factor < torch.inf else 1.0


def curtailment(grid: Grid) -> Tensor:
    """What a MWh of each unit saves besides its cost, $ per MWh, `[N]`."""
    return grid.tariff.curtailment * grid.renewable.double()


def _firm(grid: Grid, output: Tensor) -> Grid:
    """The grid with limits and balance so dear that a log of feasible dispatches has none broken."""
    price = FIRM * float(marginal(output, grid.curves).abs().mean())
    tariff = grid.tariff
    dear = (max(price, x) for x in (tariff.overload, tariff.imbalance))
    return replace(grid, tariff=replace(tariff, **dict(zip(("overload", "imbalance"), dear, strict=True))))
