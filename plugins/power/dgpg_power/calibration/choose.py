"""Which limits a log needs: as few as explain it, for a peak of the flow looks like a limit and seldom is one.

A limit counts if costs alone explain the outputs worse, by a criterion like that of G. Schwarz, Ann. Statist. 6 (1978):
n sum over moments of log(1 + error² / usual²) + k log m, k limits fitted to m numbers, n a moment. The logarithm keeps
a moment that nothing explains from outvoting all others.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from dgpg_power.calibration.fit import Fit, Task, at_start, fit
from dgpg_power.calibration.start import independent, pose
from dgpg_power.data.moments import Moments
from dgpg_power.grid import Grid

DEAR = 1e-3
"""Dual of a limit, share of the mean marginal cost, from which the limit binds."""
OFTEN = 3
"""Independent moments in which a limit binds; one that binds in fewer counts `RARE` times, for it may be chance."""
RARE = 3
EXACT = 1e-10
"""Mean squared error, shares of the units' ranges, that a log's rounding alone may leave: nothing more to explain."""
REFIT = 8
"""Iterations in which costs may take over what a limit explained."""
NEARLY = 100.0
"""Times the squared error up to which it may fall again once costs are refitted."""
Candidate = tuple[Task, Fit]


def explained(grid: Grid, moments: Moments, iterations: int) -> Candidate:
    """Costs, and the fewest limits with which they explain the log."""
    everything, none = pose(grid, moments), pose(grid, moments, torch.zeros(len(grid.reach), dtype=torch.bool))
    bare = (none, fit(none, iterations))
    if not len(everything.free) or float(bare[1].squares.mean()) <= EXACT:
        return bare
    best = (everything, fit(everything, iterations))
    usual = max(float(best[1].squares.median()), EXACT)
    count = binding(*best)
    idle = everything.free[count[everything.free] == 0]
    for places in (idle, *everything.free[count[everything.free].argsort(stable=True)].unsqueeze(-1)):
        trial = _without(best, places, grid, moments, min(REFIT, iterations))
        best = min(trial, best, key=lambda candidate: _score(candidate, usual))
    return _pruned(min(bare, best, key=lambda candidate: _score(candidate, usual)))


def binding(task: Task, found: Fit) -> Tensor:
    """In how many independent moments the limit of each line binds, `[m]`."""
    up, down = found.solution.inequality_dual.chunk(2, -1)
    dear, total = (up + down) > DEAR * task.scale, float(task.load.sum(-1).max())
    return torch.tensor([independent(task.load[column], total) for column in dear.unbind(-1)], dtype=torch.long)


def _without(best: Candidate, places: Tensor, grid: Grid, moments: Moments, iterations: int) -> Candidate:
    """The fit without the limits of some places, from the costs it had or from new ones, whichever is better.

    It goes on only where costs come near what the limits explained: most limits that bind need no more than a look.
    """
    task, found = best
    kept = task.free[~torch.isin(task.free, places)]
    chosen = torch.zeros(len(grid.reach), dtype=torch.bool).index_fill(0, task.problem.lines[kept], True)
    limit = found.parameters.limit.index_copy(-1, places, task.unfitted[places])
    tasks = (replace(task, start=replace(found.parameters, limit=limit), free=kept), pose(grid, moments, chosen))
    looked = min(((one, at_start(one)) for one in tasks), key=lambda candidate: float(candidate[1].squares.mean()))
    lost, had = (float(x.squares.mean()) for x in (looked[1], found))
    near = had < lost < NEARLY * max(had, EXACT)
    return (looked[0], fit(looked[0], iterations)) if near else looked


def _pruned(best: Candidate) -> Candidate:
    """Without limits that bind nowhere: what they are says nothing."""
    task, found = best
    idle = task.free[binding(task, found)[task.free] == 0]
    limit = found.parameters.limit.index_copy(-1, idle, task.unfitted[idle])
    kept = task.free[~torch.isin(task.free, idle)]
    return replace(task, free=kept), replace(found, parameters=replace(found.parameters, limit=limit))


def _score(candidate: Candidate, usual: float) -> float:
    task, found = candidate
    rare = int((binding(task, found)[task.free] < OFTEN).sum())
    errors = task.output.shape[-1] * float((1 + found.squares / usual).log().sum())
    return errors + (len(task.free) + (RARE - 1) * rare) * math.log(task.output.numel())
