"""Costs and line limits of a network from a log of its operation: `dgpg calibrate power`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dgpg.errors import ConfigError, DataError
from dgpg.runs.atomic import write_atomic
from dgpg_power.calibration.fit import Fit, Parameters, Task, error_of, fit, optimum
from dgpg_power.config import Config
from dgpg_power.data.load import load_case
from dgpg_power.data.moments import Moments, read_moments
from dgpg_power.data.write import matpower_text, with_network
from dgpg_power.grid import Grid, make_grid
from dgpg_power.instance import Instance, build
from dgpg_power.network import Network
from dgpg_power.programs import program
from dgpg_power.programs.stationary import stationary_costs
from dgpg_power.recorded import folder_of
from dgpg_power.reward import marginal
from dgpg_power.system import source_of

FULL = 2e-3
"""A flow this near, relatively, to the largest of its line counts as one at the line's limit."""
OFTEN = 3
"""Moments at its largest flow from which a line may be one that binds, wherever its own limit is."""
NEAR = 0.8
"""Part of its own limit from which a line's largest flow may be its true limit."""
DEAR = 1e-3
"""Dual of a limit, share of the mean marginal cost, from which the limit binds."""
FIRM = 100.0
"""Price of what must not be, overload and imbalance, in mean marginal costs."""
WITHIN = 1e-3
"""Share of its range that an output must be away from its limits to say what it costs."""
Row = Mapping[str, float | str]


@dataclass(frozen=True)
class Level:
    """What outputs leave open: costs times `scale`, and `shift` $ per MWh on top, give the same dispatch."""

    scale: float
    shift: float
    note: str


def calibrate(config: Config, data: Path, out: Path | None, iterations: int) -> Sequence[Row]:
    """Fit costs and binding limits to a log; see docs/power.md.

    Args:
        config: The network to start from.
        data: The log, see `dgpg_power.data.moments`.
        out: Where a MATPOWER case with the fitted values goes; None for nowhere.
        iterations: Most steps of the fit.

    Raises:
        ConfigError: the network has no curved costs, or no case to write them into; `out` exists.
        DataError: the log cannot be read, or has nothing to say.
    """
    _check(config, out)
    instance = build(config)
    _check_costs(instance.network)
    moments = read_moments(data, instance.network)
    grid = make_grid(instance, torch.device("cpu"), torch.float64)
    task = pose(grid, moments)
    if not bool(task.within.any()):
        raise DataError(f"{data}: every unit is at a limit at every moment: nothing says what energy costs; log more")
    found = fit(task, iterations)
    binding = _binding(task, found)
    level = level_of(grid, task, found)
    fitted = _network(instance.network, task, found, level, binding, _curtailment(grid))
    if out is not None:
        source = source_of(config)
        case = with_network(load_case(source.name, flow=source.flow), fitted)
        text = matpower_text(case, out.stem)
        write_atomic(out, lambda file: file.write(text.encode()))
    return _rows(instance, task, found, fitted, level, binding)


def _check(config: Config, out: Path | None) -> None:
    if folder_of(config) is not None:
        raise ConfigError("calibrate: the log takes the place of the recorded series; add --set load.source=noise")
    if out is None:
        return
    if config.network.startswith("synthetic-"):
        raise ConfigError(f"--out {out}: {config.network} is generated, there is no case to write; leave --out away")
    if out.suffix != ".m":
        raise ConfigError(f"--out {out}: expected the name of a MATPOWER file, such as {out.stem}.m")
    if out.exists():
        raise ConfigError(f"--out {out}: exists; name a new file")


def _check_costs(network: Network) -> None:
    if not (network.cost_quadratic > 0).any():
        raise ConfigError(
            f"{network.name}: all costs are straight lines, whose dispatch jumps from one corner to the next: its "
            "gradient in them is zero almost everywhere and calibration has nothing to follow; give the units to fit a "
            "quadratic coefficient above 0 in mpc.gencost"
        )


def pose(grid: Grid, moments: Moments) -> Task:
    """The fit of a log. A limit starts from the largest flow where that looks like one."""
    load, output = torch.from_numpy(moments.load), torch.from_numpy(moments.output)
    price = None if moments.price is None else torch.from_numpy(moments.price)
    demand = output.sum(-1)
    load = load * (demand / load.sum(-1)).unsqueeze(-1)  # as the model is told: losses are where loads are
    low, high = (x.expand(len(load), -1) for x in (grid.unit_min, grid.unit_max))
    problem = program.pose(_firm(grid, output), load, demand, low, high, None, program.PRICED)
    own = Parameters(grid.curves.quadratic, grid.curves.linear, grid.reach[problem.lines])
    flow = (grid.flow(output, load) - grid.middle)[:, problem.lines].abs()
    largest = flow.amax(0)
    full = flow > (1 - FULL) * largest
    alike = (grid.flow_min == -grid.flow_max)[problem.lines]
    free = alike & (((full.sum(0) >= OFTEN) & (largest > WITHIN * own.limit)) | (largest > NEAR * own.limit))
    span = (grid.unit_max - grid.unit_min).clamp(min=1e-6)
    within = (output > grid.unit_min + WITHIN * span) & (output < grid.unit_max - WITHIN * span)
    factor = 1.0
    if price is not None and bool(within.any()):  # prices may be in another currency
        factor = float(price.mean() / marginal(output, grid.curves)[within].mean())
    factor = factor if 0 < factor < torch.inf else 1.0
    costs = stationary_costs(
        factor * own.quadratic, factor * own.linear, _curtailment(grid), output, within,
        problem.units[problem.lines], full & free, price,
    )  # fmt: skip
    start = Parameters(*costs, torch.where(free, largest, own.limit))
    return Task(problem, own, start, free.nonzero().squeeze(-1), output, span, within, price)


def _firm(grid: Grid, output: Tensor) -> Grid:
    """The grid with limits and balance so dear that a log of feasible dispatches has none broken."""
    price = FIRM * float(marginal(output, grid.curves).abs().mean())
    tariff = grid.tariff
    dear = (max(price, x) for x in (tariff.overload, tariff.imbalance))
    return replace(grid, tariff=replace(tariff, **dict(zip(("overload", "imbalance"), dear, strict=True))))


def _binding(task: Task, found: Fit) -> Tensor:
    """True for fitted limits that bind at some moment of the log, `[m]`."""
    up, down = found.solution.inequality_dual.chunk(2, -1)
    dear = ((up + down) > DEAR * task.scale).any(0)
    fitted = torch.zeros(len(dear), dtype=torch.bool).index_fill(0, task.free, True)
    return dear & fitted


def _curtailment(grid: Grid) -> Tensor:
    """What a MWh of each unit saves besides its cost, $ per MWh, `[N]`."""
    return grid.tariff.curtailment * grid.renewable.double()


def level_of(grid: Grid, task: Task, found: Fit) -> Level:
    """Scale and shift: fitted already where the log has prices, else by the network's own costs at logged outputs."""
    if task.price is not None:
        return Level(1.0, 0.0, "scale and shift by the log's prices")
    curves = replace(grid.curves, quadratic=found.parameters.quadratic, linear=found.parameters.linear)
    mine, theirs = (marginal(task.output, c)[task.within] for c in (curves, grid.curves))
    by = (
        "by the network's own costs: mean and deviation of marginal costs at the logged outputs (the log has no prices)"
    )
    scale = float(theirs.std() / mine.std()) if float(mine.std()) > 1e-6 * float(mine.abs().mean()) else 1.0
    return Level(scale, float(theirs.mean() - scale * mine.mean()), f"scale and shift {by}")


def _network(network: Network, task: Task, found: Fit, level: Level, binding: Tensor, curtailment: Tensor) -> Network:
    """The network with what was found."""
    linear = level.scale * (found.parameters.linear - curtailment) + level.shift + curtailment
    kept = torch.maximum(task.own.limit, task.start.limit)
    limit = torch.where(binding, found.parameters.limit, kept)[task.free].numpy()
    flow_min, flow_max = np.array(network.flow_min), np.array(network.flow_max)
    lines = task.problem.lines[task.free].numpy()
    flow_min[lines], flow_max[lines] = -limit, limit
    return replace(
        network,
        cost_quadratic=level.scale * found.parameters.quadratic.numpy(),
        cost_linear=linear.numpy(),
        kink_slope=level.scale * network.kink_slope,
        flow_min=flow_min,
        flow_max=flow_max,
    )


def _rows(
    instance: Instance, task: Task, found: Fit, fitted: Network, level: Level, binding: Tensor
) -> list[dict[str, float | str]]:
    """One row a parameter: costs, limits that bind, what was left as it is, and the error."""
    network, known = instance.network, task.within.any(0)
    rows: list[dict[str, float | str]] = []
    for n, name in enumerate(network.unit_name):
        note = "" if known[n] else "always at a limit: only the level of all costs is fitted"
        for what, unit, column in (("quadratic", "$/MW²h", "cost_quadratic"), ("linear", "$/MWh", "cost_linear")):
            start, end = (float(getattr(grid, column)[n]) for grid in (network, fitted))
            rows.append(_row(f"{what} cost of {name}", unit, start, end, note))
    for line in task.problem.lines[binding].tolist():
        start, end = float(network.flow_max[line]), float(fitted.flow_max[line])
        rows.append(_row(f"limit of {network.line_name(line)}", "MW", start, end, ""))
    raised = [line for line in task.problem.lines[~binding].tolist() if fitted.flow_max[line] > network.flow_max[line]]
    for line in raised:
        start, end = float(network.flow_max[line]), float(fitted.flow_max[line])
        note = "does not bind, but the log's largest flow is above it"
        rows.append(_row(f"limit of {network.line_name(line)}", "MW", start, end, note))
    rest = network.num_lines - int(binding.sum()) - len(raised)
    rows.append(_row(f"limits of {rest} other lines", "MW", "kept", "kept", "never bind in the log: not identified"))
    rows.append(_row("level of all costs", "", "", f"x {level.scale:.6g}, {level.shift:+.6g} $/MWh", level.note))
    before = error_of(task, optimum(task, task.own)[1])
    rows.append(_row("error of outputs, root mean square", "MW", before, found.error, ""))
    return rows


def _row(parameter: str, unit: str, start: float | str, fitted: float | str, note: str) -> dict[str, float | str]:
    return {"parameter": parameter, "unit": unit, "start": start, "fitted": fitted, "note": note}
