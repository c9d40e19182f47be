"""Least squares over the dispatch: which costs and limits make the optimum what a log says it was.

Levenberg's and Marquardt's method; every row of its Jacobian is the implicit gradient of one unit's output.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dgpg.convex import Solution, solve
from dgpg_power.calibration.ends import Ends
from dgpg_power.programs.program import Problem

LARGEST_STEP = 0.5
"""Of a parameter in one iteration, in its own scale: e^0.5 for logarithms."""
ENOUGH = 1e-11
"""Mean squared error, shares of the units' ranges, at which nothing is left to fit."""
STILL = 1e-3
"""Relative fall of the error below which an iteration was one too many."""
WIDEST = 0.05
"""Largest part that a limit is moved from where it starts, the largest flow of the log."""
STUBBORN = 1e8
"""Damping at which no step is left that lowers the error."""


@dataclass(frozen=True)
class Parameters:
    """What is fitted; leading dimensions `*` for parameters of each moment."""

    quadratic: Tensor
    """$ per MW^2 h, `[*, N]`."""
    linear: Tensor
    """$ per MWh, `[*, N]`."""
    limit: Tensor
    """MW from the middle to a limit, of the m lines that have one, `[*, m]`."""


@dataclass(frozen=True)
class Task:
    """A log to fit, T moments in float64."""

    problem: Problem
    """Programs of the moments at the parameters `own`."""
    own: Parameters
    """What the network says, `[N]` and `[m]`."""
    start: Parameters
    """Where the fit starts."""
    free: Tensor
    """Places of the limits that are fitted, `[k]`."""
    unfitted: Tensor
    """What limits are that are not fitted: their own, or what was seen to flow where that is more, `[m]`."""
    load: Tensor
    """At the buses, losses included, MW, `[T, nb]`."""
    output: Tensor
    """What units gave, MW, `[T, N]`."""
    span: Tensor
    """Range of each unit, which errors are measured in, MW, `[N]`."""
    ends: Ends
    """Limits of outputs, the network's own or what the log says."""
    high: Tensor
    """Largest outputs, MW, `[T, N]`; the least are those of `problem`."""
    within: Tensor
    """True where a logged output is between the unit's limits, `[T, N]`."""
    scheduled: Tensor
    """True for units that give the same whatever is asked for, and whose outputs are taken as given, `[N]`."""
    price: Tensor | None
    """What one more MWh of demand cost, $ per MWh, `[T]`; None if the log does not say."""

    @property
    def curved(self) -> Tensor:
        """Places of the units whose quadratic coefficient is fitted: one that is 0 stays 0, `[q]`."""
        return (self.start.quadratic > 0).nonzero().squeeze(-1)

    @property
    def lower(self) -> Tensor:
        """True where a logged output is nearer to its least than to its largest, `[T, N]`."""
        return self.output - self.problem.low < self.high - self.output

    @property
    def scale(self) -> Tensor:
        """$ per MWh that linear coefficients are measured in."""
        at = self.start.linear + 2 * self.start.quadratic * self.output
        return at.abs().mean().clamp(min=1e-6)


@dataclass(frozen=True)
class Fit:
    """Where the fit ended."""

    parameters: Parameters
    """`[N]` and `[m]`."""
    solution: Solution
    """Of the moments' programs there."""
    output: Tensor
    """MW, `[T, N]`."""
    error: float
    """Root mean square of what outputs are off, MW."""
    squares: Tensor
    """Mean square of what outputs and prices of a moment are off, shares of ranges and of `Task.scale`, `[T]`."""


def optimum(task: Task, at: Parameters) -> tuple[Solution, Tensor]:
    """Solutions of the moments' programs, and outputs `[T, N]`, at parameters `[N]` and `[m]`, or `[T, *]`.

    The program counts from the least outputs: a segment's slope there is b + 2 a low. Differentiable in `at`.
    """
    problem, program = task.problem, task.problem.program
    assert program.inequality_bound is not None
    rise = at.linear - task.own.linear + 2 * (at.quadratic - task.own.quadratic) * problem.low
    rest = program.linear.shape[-1] - len(problem.owner)
    none = program.linear.new_zeros(len(problem.low), rest)
    curve = (2 * at.quadratic).expand(len(problem.low), -1)[:, problem.owner]
    moved = (at.limit - task.own.limit).expand(len(problem.low), -1)
    found = solve(
        replace(
            program,
            linear=program.linear + torch.cat([rise[:, problem.owner], none], -1),
            quadratic=torch.diag_embed(torch.cat([curve, none], -1)),
            inequality_bound=program.inequality_bound + torch.cat([moved, moved], -1),
        )
    )
    return found, problem.output(found.x)


def fit(task: Task, iterations: int) -> Fit:
    """Parameters from `task.start` on that make the squared error of the outputs least."""
    theta, damping = torch.zeros(_size(task), dtype=torch.float64), 1e-3
    jacobian, residual = _linearised(task, theta)
    level = _level(task)
    for _ in range(iterations):
        error = residual.square().mean()
        if error < ENOUGH:
            break
        normal, slope = jacobian.mT @ jacobian, jacobian.mT @ residual
        if task.price is None:
            normal = normal + normal.diagonal().max() * level.mT @ level
        diagonal = normal.diagonal()
        ridge = torch.diag(diagonal + 1e-4 * diagonal.max().clamp(min=1e-12))
        while damping < STUBBORN:
            trial = _moved(task, theta, -torch.linalg.solve(normal + damping * ridge, slope))
            if _residual(task, trial).square().mean() < error:
                break
            damping *= 4
        else:
            break
        theta, damping = trial, max(damping / 10, 1e-7)
        jacobian, residual = _linearised(task, theta)
        if residual.square().mean() > (1 - STILL) * error:
            break
    return _ended(task, theta)


def _size(task: Task) -> int:
    return len(task.curved) + len(task.own.linear) + len(task.free)


def _level(task: Task) -> Tensor:
    """Directions that the log leaves open, all costs scaled and all shifted, which the fit does not go, `[2, K]`."""
    rows, seen, q = torch.zeros(2, _size(task), dtype=torch.float64), task.within.any(0).double(), len(task.curved)
    rows[0, :q], rows[1, q : q + len(seen)] = seen[task.curved], seen
    return rows / rows.sum(-1, keepdim=True).clamp(min=1)


def _moved(task: Task, theta: Tensor, step: Tensor) -> Tensor:
    """theta after a step that is not too long, limits not too far."""
    theta = theta + step * (LARGEST_STEP / step.abs().max().clamp(min=LARGEST_STEP))
    costs = len(theta) - len(task.free)
    return torch.cat([theta[:costs], theta[costs:].clamp(-WIDEST, WIDEST)])


def parameters(task: Task, theta: Tensor) -> Parameters:
    """Parameters `[*, N]` and `[*, m]` of `[*, q + N + k]`: logarithms of a and of limits, differences of b."""
    q, n = len(task.curved), len(task.own.linear)
    a, b, limit = theta[..., :q], theta[..., q : q + n], theta[..., q + n :]
    shape = theta.shape[:-1]
    return Parameters(
        task.start.quadratic * torch.zeros(*shape, n).to(theta).index_add(-1, task.curved, a).exp(),
        task.start.linear + task.scale * b,
        task.start.limit * torch.zeros(*shape, len(task.own.limit)).to(theta).index_add(-1, task.free, limit).exp(),
    )


def _missed(task: Task, at: Parameters) -> Tensor:
    """`_off` of the optimum at parameters."""
    return _off(task, *optimum(task, at))


def _off(task: Task, found: Solution, output: Tensor) -> Tensor:
    """What outputs are off, shares of the ranges, and prices, shares of their scale, if known, `[T, N (+ 1)]`."""
    missed = (output - task.output) / task.span
    if task.price is None:
        return missed
    price = -found.equality_dual[:, 0]
    return torch.cat([missed, ((price - task.price) / task.scale).unsqueeze(-1)], -1)


@torch.no_grad()
def _residual(task: Task, theta: Tensor) -> Tensor:
    """`_missed` as one vector."""
    return _missed(task, parameters(task, theta)).flatten()


def _linearised(task: Task, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Jacobian and residual, one row a moment and output or price."""
    each = theta.expand(len(task.output), -1).clone().requires_grad_()  # of each moment, for one row a moment
    missed = _missed(task, parameters(task, each))
    rows = [torch.autograd.grad(column.sum(), each, retain_graph=True)[0] for column in missed.unbind(-1)]
    return torch.stack(rows, 1).flatten(0, 1), missed.detach().flatten()


def at_start(task: Task) -> Fit:
    """The fit that does not leave its start."""
    return _ended(task, torch.zeros(_size(task), dtype=torch.float64))


@torch.no_grad()
def _ended(task: Task, theta: Tensor) -> Fit:
    found = parameters(task, theta)
    solution, output = optimum(task, found)
    return Fit(found, solution, output, error_of(task, output), _off(task, solution, output).square().mean(-1))


def error_of(task: Task, output: Tensor) -> float:
    """Root mean square of what outputs `[T, N]` are off, MW."""
    return float((output - task.output).square().mean().sqrt())
