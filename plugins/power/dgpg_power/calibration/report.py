"""What a calibration says: one row a parameter, with the moments of the log that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from dgpg_power.calibration.choose import binding
from dgpg_power.calibration.fit import Fit, Task, error_of, optimum
from dgpg_power.calibration.level import Level, curves_of
from dgpg_power.data.moments import Moments
from dgpg_power.grid import Grid
from dgpg_power.network import Network
from dgpg_power.reward import marginal

Row: TypeAlias = Mapping[str, float | str]
APART = 1e-3
"""Share of its range by which outputs of a unit differ to be two."""


def report(
    network: Network, fitted: Network, grid: Grid, moments: Moments, task: Task, found: Fit, level: Level
) -> list[Row]:
    """Rows of the moments, costs, limits, level and error; `moments` as the log has them."""
    return [
        _moments(len(moments.load), len(task.load)),
        *_costs(network, fitted, task, level),
        *_limits(network, fitted, task, found),
        *_ends(grid, task, found, level),
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
    low = task.output[:, n] < task.problem.low[:, n] + task.span[n] / 2
    which = "its least output" if bool(low.all()) else "its largest output" if not bool(low.any()) else "a limit"
    moved = float(fitted.cost_linear[n]) - level.own * float(network.cost_linear[n])
    if abs(moved) > 1e-9 * abs(float(fitted.cost_linear[n])):
        return f"always at {which}: {'at least' if moved > 0 else 'at most'} this, or it would not be"
    return f"always at {which}: its own kept" + (
        "" if level.own == 1 else f", x {level.own:.4g} for the level of prices"
    )


def _limits(network: Network, fitted: Network, task: Task, found: Fit) -> list[Row]:
    count, chosen, rows = binding(task, found).tolist(), set(task.free.tolist()), list[Row]()
    for at, line in enumerate(task.problem.lines.tolist()):
        start, end = float(network.flow_max[line]), float(fitted.flow_max[line])
        if at in chosen or end > start:
            times = f"binds in {_counted(count[at], 'moment')}" if count[at] else "does not bind"
            note = times if at in chosen else f"{times}; the log's largest flow is above it"
            unit = _alone_behind(network, line)
            note += f"; a largest output of {unit} would say the same" if unit and at in chosen else ""
            rows.append(_row(f"limit of {network.line_name(line)}", "MW", start, end, note))
    note = "not needed to explain the log"
    return [*rows, _row(f"limits of {network.num_lines - len(rows)} other lines", "MW", "kept", "kept", note)]


def _alone_behind(network: Network, line: int) -> str:
    """The unit whose output is all that the line carries; "" if there is none."""
    for bus in (network.line_from[line], network.line_to[line]):
        lines = int(((network.line_from == bus) | (network.line_to == bus)).sum())
        units = np.flatnonzero(network.unit_bus == bus)
        if lines == 1 and len(units) == 1 and not network.load[bus]:
            return str(network.unit_name[units[0]])
    return ""


def _ends(grid: Grid, task: Task, found: Fit, level: Level) -> list[Row]:
    """The level of costs, and the error that is left."""
    mine, theirs = (float(marginal(task.output, c)[task.within].mean()) for c in (curves_of(grid, found), grid.curves))
    before = error_of(task, optimum(task, task.own)[1])
    now = level.scale * mine + level.shift
    turned = "; the network's own is above 0: check the sign of the prices" if now <= 0 < theirs else ""
    worse = "more than with the network's own values: do prices and outputs belong together?"
    return [
        _row("level of all costs", "$/MWh", theirs, now, level.note + turned),
        _row("error of outputs, root mean square", "MW", before, found.error, worse if found.error > before else ""),
    ]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _row(parameter: str, unit: str, start: float | str, fitted: float | str, note: str) -> Row:
    return {"parameter": parameter, "unit": unit, "start": start, "fitted": fitted, "note": note}
