"""Which limits a log needs: as few as explain it, for a peak of the flow looks like a limit and seldom is one.

A limit counts if costs alone explain the outputs worse, by a criterion like that of G. Schwarz, Ann. Statist. 6 (1978):
n sum over moments of log(1 + error² / usual²) + k log m, k limits fitted to m numbers, n a moment. The logarithm keeps
a moment that nothing explains from outvoting all others. Where a unit stops at an output again and again, its own limit
is tried before one of a line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dgpg_power.calibration.ends import Ends, own_ends
from dgpg_power.calibration.fit import Fit, Task, at_start, fit
from dgpg_power.calibration.repeats import OFTEN, independent
from dgpg_power.calibration.start import pose, stopped
from dgpg_power.data.moments import Moments
from dgpg_power.grid import Grid

DEAR = 1e-3
"""Dual of a limit, share of the mean marginal cost, from which the limit binds."""
RARE = 3
"""Times that a limit counts which binds in fewer independent moments than `OFTEN`, for it may be chance."""
EXACT = 1e-10
"""Mean squared error, shares of the units' ranges, that a log's rounding alone may leave: nothing more to explain."""
REFIT = 8
"""Iterations in which costs may take over what a limit explained."""
NEARLY = 100.0
"""Times the squared error up to which it may fall again once costs are refitted."""
Candidate = tuple[Task, Fit]


@dataclass(frozen=True)
class Explained:
    """What explains a log."""

    task: Task
    found: Fit
    """The fit, whose parameters are without `doubtful` ones; its solution and error are with them."""
    doubtful: Mapping[int, tuple[float, int]]
    """Limits that would explain moments too few to be told from chance, by place: MW, and how many moments."""


def explained(grid: Grid, moments: Moments, iterations: int) -> Explained:
    """Costs, and the fewest limits of units and lines with which they explain the log."""
    none, own, ends = torch.zeros(len(grid.reach), dtype=torch.bool), own_ends(grid), stopped(grid, moments)
    bare = _fitted(pose(grid, moments, none), iterations)
    candidates = [bare]
    if not _exact(bare) and bool(ends.beyond(own).any()):
        candidates.append(_fewer_ends(_fitted(pose(grid, moments, none, ends), iterations), grid, moments, iterations))
    if not _exact(candidates[-1]):
        everything = pose(grid, moments, None, ends)
        if len(everything.free):
            lines = _fewer_lines(_fitted(everything, iterations), grid, moments, iterations)
            candidates.append(_fewer_ends(lines, grid, moments, iterations))
    usual = _usual(candidates[-1])
    return _told(min(candidates, key=lambda candidate: _score(candidate, grid, usual)))


def binding(task: Task, found: Fit) -> Tensor:
    """In how many independent moments the limit of each line binds, `[m]`."""
    up, down = found.solution.inequality_dual.chunk(2, -1)
    return _independent(task, (up + down) > DEAR * task.scale)


def at_ends(task: Task, found: Fit) -> Tensor:
    """In how many independent moments each unit is at its least and at its largest output, `[2, N]`."""
    near = torch.stack([found.output - task.ends.low, task.ends.high - found.output]) < DEAR * task.span
    return torch.stack([_independent(task, at) for at in near])


def _independent(task: Task, where: Tensor) -> Tensor:
    total = float(task.load.sum(-1).max())
    return torch.tensor([independent(task.load[column], total) for column in where.unbind(-1)], dtype=torch.long)


def _fitted(task: Task, iterations: int) -> Candidate:
    return task, fit(task, iterations)


def _error(candidate: Candidate) -> float:
    return float(candidate[1].squares.mean())


def _exact(candidate: Candidate) -> bool:
    return _error(candidate) <= EXACT


def _usual(candidate: Candidate) -> float:
    """Squared error of a moment that is nothing special."""
    return max(float(candidate[1].squares.median()), EXACT)


def _fewer_lines(best: Candidate, grid: Grid, moments: Moments, iterations: int) -> Candidate:
    """Without limits of lines that costs can do without, those that bind least first."""
    usual, everything = _usual(best), best[0].free
    count = binding(*best)
    idle = everything[count[everything] == 0]
    for places in (idle, *everything[count[everything].argsort(stable=True)].unsqueeze(-1)):
        kept = best[0].free[~torch.isin(best[0].free, places)]
        trial = _with_less(best, kept, best[0].ends, grid, moments, min(REFIT, iterations))
        best = min(trial, best, key=lambda candidate: _score(candidate, grid, usual))
    return best


def _fewer_ends(best: Candidate, grid: Grid, moments: Moments, iterations: int) -> Candidate:
    """Without limits of outputs that costs, and the limits of lines that are left, can do without."""
    usual, own = _usual(best), own_ends(grid)
    for end, unit in best[0].ends.beyond(own).nonzero().tolist():
        ends = best[0].ends.without(end, unit, own)
        trial = _with_less(best, best[0].free, ends, grid, moments, min(REFIT, iterations))
        best = min(trial, best, key=lambda candidate: _score(candidate, grid, usual))
    return best


def _with_less(best: Candidate, kept: Tensor, ends: Ends, grid: Grid, moments: Moments, iterations: int) -> Candidate:
    """The fit with the limits of lines at places `kept` and of outputs, from its costs or new ones, what is better.

    It goes on only where costs come near what the limits explained, or these bind too seldom to be more than chance:
    most limits that bind need no more than a look.
    """
    task, found = best
    chosen = torch.zeros(len(grid.reach), dtype=torch.bool).index_fill(0, task.problem.lines[kept], True)
    anew, limit = pose(grid, moments, chosen, ends), task.unfitted.clone()
    limit[kept] = found.parameters.limit[kept]
    as_is = replace(anew, start=replace(found.parameters, limit=limit))
    looked = min(((one, at_start(one)) for one in (as_is, anew)), key=_error)
    near = _error(best) < _error(looked) < NEARLY * max(_error(best), EXACT)
    return _fitted(looked[0], iterations) if near else looked


def _told(best: Candidate) -> Explained:
    """Of the limits of lines those alone that bind often enough to be more than chance."""
    task, found = best
    count = binding(task, found)
    seldom = task.free[count[task.free] < OFTEN]
    doubtful = {at: (float(found.parameters.limit[at]), int(count[at])) for at in seldom.tolist() if count[at]}
    limit = found.parameters.limit.index_copy(-1, seldom, task.unfitted[seldom])
    kept = task.free[~torch.isin(task.free, seldom)]
    found = replace(found, parameters=replace(found.parameters, limit=limit))
    return Explained(replace(task, free=kept), found, doubtful)


def _score(candidate: Candidate, grid: Grid, usual: float) -> float:
    task, found = candidate
    moved = task.ends.beyond(own_ends(grid))
    times = torch.cat([binding(task, found)[task.free], at_ends(task, found)[moved]])
    rare = int((times < OFTEN).sum())
    errors = task.output.shape[-1] * float((1 + found.squares / usual).log().sum())
    return errors + (len(times) + (RARE - 1) * rare) * math.log(task.output.numel())
