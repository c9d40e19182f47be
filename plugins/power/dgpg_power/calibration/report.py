"""What a calibration says: one row a parameter, with the moments of the log that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from dgpg.convex import Solution
from dgpg_power.calibration.choose import EXACT, Explained, at_ends, binding
from dgpg_power.calibration.fit import Fit, Task, error_of, optimum
from dgpg_power.calibration.level import Level, curves_of
from dgpg_power.data.moments import Moments
from dgpg_power.grid import Grid
from dgpg_power.network import Network
from dgpg_power.reward import marginal

Row: TypeAlias = Mapping[str, float | str]
BADLY = 0.02
"""Root mean square of what outputs are off, shares of their ranges, from which a fit explains nothing."""
DEAR = 0.1
"""Root mean square of what prices are off, share of their mean size, from which one of them is named."""
APART = 1e-3
"""Share of its range by which outputs of a unit differ to be two."""


def report(
    network: Network, fitted: Network, grid: Grid, moments: Moments, result: Explained, level: Level
) -> list[Row]:
    """Rows of the moments, costs, limits of units and lines, level and error; `moments` as the log has them."""
    task, found = result.task, result.found
    return [
        _moments(len(moments.load), len(task.load)),
        *_costs(network, fitted, task, level),
        *_outputs(network, fitted, task, found),
        *_limits(network, fitted, result),
        *_whole(network, fitted, grid, task, found, level),
    ]


def _moments(count: int, once: int) -> Row:
    note = f"{count - once} repeat another and count once" if once < count else "none repeats another"
    return _row("moments of the log", "", count, once, note)


def _costs(network: Network, fitted: Network, task: Task, level: Level) -> list[Row]:
    rows: list[Row] = []
    for n, name in enumerate(network.unit_name):
        note = _differ(task, n) if bool(task.within[:, n].any()) else _bounded(network, fitted, task, n, level)
        for what, unit, column in (("quadratic", "$/MW²h", "cost_quadratic"), ("linear", "$/MWh", "cost_linear")):
            start, end = (float(getattr(grid, column)[n]) for grid in (network, fitted))
            rows.append(_row(f"{what} cost of {name}", unit, start, end, note))
    return rows


def _differ(task: Task, n: int) -> str:
    """How many outputs say what unit n costs."""
    output = task.output[task.within[:, n], n].sort().values
    count = 1 + int((output.diff() > APART * task.span[n]).sum())
    return f"{_counted(count, 'different output')} between its limits"


def _bounded(network: Network, fitted: Network, task: Task, n: int, level: Level) -> str:
    """Why nothing says what unit n costs, and what its values are."""
    if bool(task.scheduled[n]):
        return (
            f"always gives {float(task.output[0, n]):.4g} MW, whatever is asked for: taken as a schedule, its own kept"
        )
    low = task.lower[:, n]
    which = "its least output" if bool(low.all()) else "its largest output" if not bool(low.any()) else "a limit"
    moved = float(fitted.cost_linear[n]) - level.own * float(network.cost_linear[n])
    if abs(moved) > 1e-9 * abs(float(fitted.cost_linear[n])):
        return f"always at {which}: {'at least' if moved > 0 else 'at most'} this, or it would not be"
    return f"always at {which}: its own kept" + (
        "" if level.own == 1 else f", x {level.own:.4g} for the level of prices"
    )


def _outputs(network: Network, fitted: Network, task: Task, found: Fit) -> list[Row]:
    """Limits of units that the network does not know."""
    count, rows = at_ends(task, found).tolist(), list[Row]()
    for end, (what, column) in enumerate((("least", "unit_min"), ("largest", "unit_max"))):
        start, stop = (np.asarray(getattr(grid, column)) for grid in (network, fitted))
        for n in np.flatnonzero(start != stop).tolist():
            note = f"stops there in {_counted(count[end][n], 'moment')}, whatever is asked for"
            alone = [line for line in range(network.num_lines) if _unit_behind(network, line) == n]
            note += "".join(f"; a limit of {network.line_name(line)} would say the same" for line in alone if end)
            rows.append(_row(f"{what} output of {network.unit_name[n]}", "MW", float(start[n]), float(stop[n]), note))
    return rows


def _limits(network: Network, fitted: Network, result: Explained) -> list[Row]:
    task, found = result.task, result.found
    count, chosen, rows = binding(task, found).tolist(), set(task.free.tolist()), list[Row]()
    for at, line in enumerate(task.problem.lines.tolist()):
        start, end = float(network.flow_max[line]), float(fitted.flow_max[line])
        if at in chosen or end > start:
            times = f"binds in {_counted(count[at], 'moment')}" if count[at] else "does not bind"
            note = times if at in chosen else f"{times}; the log's largest flow is above it"
            unit = _unit_behind(network, line) if at in chosen else None
            note += f"; a largest output of {network.unit_name[unit]} would say the same" if unit is not None else ""
            rows.append(_row(f"limit of {network.line_name(line)}", "MW", start, end, note))
        elif at in result.doubtful:
            limit, seldom = result.doubtful[at]
            note = f"{limit:.4g} MW would explain {_counted(seldom, 'moment')}, too few to tell from chance: kept"
            rows.append(_row(f"limit of {network.line_name(line)}", "MW", start, end, note))
    note = "not needed to explain the log"
    return [*rows, _row(f"limits of {network.num_lines - len(rows)} other lines", "MW", "kept", "kept", note)]


def _unit_behind(network: Network, line: int) -> int | None:
    """The unit whose output is all that the line carries; None if there is none."""
    for bus in (network.line_from[line], network.line_to[line]):
        lines = int(((network.line_from == bus) | (network.line_to == bus)).sum())
        units = np.flatnonzero(network.unit_bus == bus)
        if lines == 1 and len(units) == 1 and not network.load[bus]:
            return int(units[0])
    return None


def _whole(network: Network, fitted: Network, grid: Grid, task: Task, found: Fit, level: Level) -> list[Row]:
    """The level of costs, and the error that is left."""
    mine, theirs = (float(marginal(task.output, c)[task.within].mean()) for c in (curves_of(grid, found), grid.curves))
    first, output = optimum(task, task.own)
    before = error_of(task, output)
    now = level.scale * mine + level.shift
    turned = "; the network's own is above 0: check the sign of the prices" if now <= 0 < theirs else ""
    worse = "more than with the network's own values: do prices and outputs belong together?"
    lost = found.error > before and float(found.squares.mean()) > EXACT
    notes = [*([worse] if lost else []), *_badly(network, task, found)]
    return [
        _row("level of all costs", "$/MWh", theirs, now, level.note + turned),
        *_below_zero(network, fitted, task),
        _row("error of outputs, root mean square", "MW", before, found.error, "; ".join(notes)),
        *_prices(task, first, found),
    ]


def _prices(task: Task, first: Solution, found: Fit) -> list[Row]:
    """What the prices of a log are off, if it has any: costs that they spoilt may explain outputs well."""
    if task.price is None:
        return []
    before, now = (-one.equality_dual[:, 0] - task.price for one in (first, found.solution))
    start, end = (float(off.square().mean().sqrt()) for off in (before, now))
    note, worst = "", int(now.abs().argmax())
    if end > DEAR * float(task.price.abs().mean()):
        moment = f"at a load of {float(task.load[worst].sum()):.6g} MW it is {float(task.price[worst]):.6g}"
        note = f"costs do not explain the prices, most of all {moment}: correct or leave out what is no price of energy"
    return [_row("error of prices, root mean square", "$/MWh", start, end, note)]


def _badly(network: Network, task: Task, found: Fit) -> tuple[str, ...]:
    """What is wrong with a log that is far from what was fitted, if it is."""
    missed = (found.output - task.output).square().mean(0).sqrt()
    if float((missed / task.span).square().mean().sqrt()) < BADLY:
        return ()
    worst = int((missed / task.span).argmax())
    return (
        f"nothing explains this log well, {network.unit_name[worst]} is missed by {float(missed[worst]):.3g} MW: costs "
        "and limits fitted to it say little; leave out moments in which a unit was out of service or run by hand",
    )


def _below_zero(network: Network, fitted: Network, task: Task) -> list[Row]:
    """A row that names units whose linear cost fell below 0, if any did: it is what the fit says of standstill."""
    fallen = np.flatnonzero((fitted.cost_linear < 0) & (network.cost_linear >= 0))
    if not len(fallen):
        return []
    named = [f"{network.unit_name[n]} {fitted.cost_linear[n]:.4g}" for n in fallen]
    cure = "that is outside of what was logged" if task.price is not None else (
        "the log has no prices, so that level is a guess: add the column price"
    )  # fmt: skip
    note = f"$/MWh: {', '.join(named)}; what a unit costs near an output of 0 is drawn on from its outputs, {cure}"
    return [_row("costs below 0, linear ones", "units", 0, len(fallen), note)]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _row(parameter: str, unit: str, start: float | str, fitted: float | str, note: str) -> Row:
    return {"parameter": parameter, "unit": unit, "start": start, "fitted": fitted, "note": note}
