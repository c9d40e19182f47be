"""Costs and line limits of a network from a log of its operation: `dgpg calibrate power`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dgpg.errors import ConfigError, DataError
from dgpg.runs.atomic import write_atomic
from dgpg_power.calibration.choose import explained
from dgpg_power.calibration.ends import own_ends
from dgpg_power.calibration.fit import Fit, Task
from dgpg_power.calibration.level import Level, level_of
from dgpg_power.calibration.repeats import distinct
from dgpg_power.calibration.report import Row, report
from dgpg_power.calibration.start import curtailment, pose
from dgpg_power.config import Config
from dgpg_power.data.load import load_case
from dgpg_power.data.moments import LEAST, read_moments
from dgpg_power.data.write import matpower_text, with_network
from dgpg_power.grid import Grid, make_grid
from dgpg_power.instance import build
from dgpg_power.network import Network
from dgpg_power.recorded import folder_of
from dgpg_power.reward import marginal
from dgpg_power.system import source_of


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
    once = distinct(moments)
    if len(once.load) < LEAST:
        raise DataError(
            f"{data}: {len(moments.load)} moments, all but {len(once.load)} of which repeat another, expected at least "
            f"{LEAST} that differ, better hundreds: log more"
        )
    if not bool(pose(grid, once).within.any()):
        raise DataError(f"{data}: every unit is at a limit at every moment: nothing says what energy costs; log more")
    result = explained(grid, once, iterations)
    task, found = result.task, result.found
    level = level_of(grid, task, found)
    fitted = _network(instance.network, grid, task, found, level)
    if out is not None:
        source = source_of(config)
        case = with_network(load_case(source.name, flow=source.flow, bus=source.bus), fitted)
        text = matpower_text(case, out.stem)
        write_atomic(out, lambda file: file.write(text.encode()))
    return report(instance.network, fitted, grid, moments, result, level)


def _check(config: Config, out: Path | None) -> None:
    if folder_of(config) is not None:
        raise ConfigError("calibrate: the log takes the place of the recorded series; add --set load.source=noise")
    if config.margin is not None:
        raise ConfigError("calibrate: a margin narrows the limits that the log is to say; leave margin out")
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


def _network(network: Network, grid: Grid, task: Task, found: Fit, level: Level) -> Network:
    """The network with what was found; units always at a limit keep their own costs if these keep them there."""
    known, given = task.within.any(0), curtailment(grid)
    linear = level.scale * (found.parameters.linear - given) + level.shift + given
    quadratic = level.scale * found.parameters.quadratic
    own = level.own * (torch.stack([grid.curves.quadratic, grid.curves.linear]))
    least, most = _bounds(task, found, level)
    slope = level.own * marginal(task.output, grid.curves) - given
    short, long = (least - slope).amax(0).clamp(min=0), (slope - most).amax(0).clamp(min=0)
    held = own[1] + torch.where(task.scheduled, 0.0, torch.where(short > 0, short, -long))
    lines, alike = task.problem.lines, (grid.flow_min == -grid.flow_max)[task.problem.lines]
    flow_min, flow_max = grid.flow_min.clone(), grid.flow_max.clone()
    flow_min[lines[alike]], flow_max[lines[alike]] = -found.parameters.limit[alike], found.parameters.limit[alike]
    low, high = task.ends.beyond(own_ends(grid)).numpy()
    return replace(
        network,
        unit_min=np.where(low, task.ends.low.numpy(), network.unit_min),
        unit_max=np.where(high, task.ends.high.numpy(), network.unit_max),
        cost_quadratic=torch.where(known, quadratic, own[0]).numpy(),
        cost_linear=torch.where(known, linear, held).numpy(),
        kink_slope=torch.where(known, level.scale, level.own).unsqueeze(-1).numpy() * network.kink_slope,
        flow_min=flow_min.numpy(),
        flow_max=flow_max.numpy(),
    )


def _bounds(task: Task, found: Fit, level: Level) -> tuple[Tensor, Tensor]:
    """What a MWh costs at least of a unit at its least output, and at most of one at its largest, `[T, N]` each."""
    problem, up, down = task.problem, *found.solution.inequality_dual.chunk(2, -1)
    congestion = (up - down) @ problem.units[problem.lines]
    price = level.scale * (-found.solution.equality_dual[:, :1] - congestion) + level.shift
    return torch.where(task.lower, price, -torch.inf), torch.where(task.lower, torch.inf, price)
