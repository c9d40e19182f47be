"""What a log's outputs leave open: all costs scaled, or shifted by an amount a MWh, give the same dispatch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dgpg_power.calibration.fit import Fit, Task
from dgpg_power.calibration.start import currency
from dgpg_power.grid import Grid
from dgpg_power.reward import CostCurves, marginal


@dataclass(frozen=True)
class Level:
    """What outputs leave open: costs times `scale`, and `shift` $ per MWh on top, give the same dispatch."""

    scale: float
    shift: float
    own: float
    """What the network's own costs are multiplied by where the log says nothing of them."""
    note: str


def level_of(grid: Grid, task: Task, found: Fit) -> Level:
    """Scale and shift: fitted already where the log has prices, else by the network's own costs at logged outputs."""
    if task.price is not None:
        own = currency(grid, task.output, task.within, task.price)
        return Level(1.0, 0.0, own, "marginal cost at the logged outputs, by the log's prices")
    mine, theirs = (marginal(task.output, c)[task.within] for c in (curves_of(grid, found), grid.curves))
    note = "marginal cost at the logged outputs; mean and deviation by the network's own costs (the log has no prices)"
    scale = float(theirs.std() / mine.std()) if float(mine.std()) > 1e-6 * float(mine.abs().mean()) else 1.0
    return Level(scale, float(theirs.mean() - scale * mine.mean()), 1.0, note)


def curves_of(grid: Grid, found: Fit) -> CostCurves:
    """The curves that were fitted, in their own level."""
    return replace(grid.curves, quadratic=found.parameters.quadratic, linear=found.parameters.linear)
