"""A lower bound on what any dispatch of a whole episode costs, where losses of one step are demand of the next.

Let l be the losses that a step starts with and V_t(l) = min over p of [ cost_t(p, l) + m_t loss_t(p, l) ], its least
cost if its own losses are charged at m_t >= 0. What is in brackets is jointly convex, so V_t is convex, and
V_t(l) >= V_t(l^) + m_{t-1} (l - l^) with m_{t-1} its slope at some l^. For the outputs of any policy the charges cancel
from step to step, hence

    sum over t of cost_t >= V_0(l_0) + sum over t > 0 of [ V_t(l^_{t-1}) - m_{t-1} l^_{t-1} ].

Where V falls with l, as where units cannot go low enough, m is 0 and l whatever is best. Ramps are left out, and limits
of lines that never come near them: without these a dispatch only costs less. What the slope loses is of second order
in l - l^. (Weak duality: D. P. Bertsekas, Nonlinear Programming, 3rd ed., chapter 6.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dgpg.convex import QuadraticProgram, Solution, Status, require_optimal, solve
from dgpg_power.dynamics import losses
from dgpg_power.grid import Grid
from dgpg_power.programs import opf
from dgpg_power.programs.program import PRICED, Problem, pose
from dgpg_power.reward import generation

TOLERANCE, CLOSE = 1e-8, 1e-5
"""Relative residual that is aimed at, and with which a step counts as solved; it is taken off the bound."""
PASSES = 2
"""Rounds, the first at the losses of the optimum without them."""
NEAR = 0.9
"""Loading of a line in some step from which its limit counts."""


@dataclass(frozen=True)
class Episode:
    """T steps of B environments as they will turn out."""

    load: Tensor
    """MW, `[T, B, nb]`."""
    least: Tensor
    """MW, `[T, B, N]`."""
    most: Tensor
    """MW, `[T, B, N]`."""
    outage: Tensor
    """The line that is out, -1 for none, `[T, B]`."""
    lost: Tensor
    """Losses that the first step starts with, MW, `[B]`."""


@dataclass(frozen=True)
class Bound:
    """What no dispatch is below."""

    cost: Tensor
    """Of the episode, $ per hour summed over its steps, `[B]`."""
    output: Tensor
    """The outputs of the last pass, from which it comes, MW, `[T, B, N]`."""


@torch.no_grad()
def lower_bound(grid: Grid, episode: Episode, resistance: Tensor) -> Bound:
    """The bound; `grid` in float64, `resistance` as of `losses`, not negative, `[L]`.

    Raises:
        SolverError: the program of a step was not solved.
    """
    flat = [getattr(episode, name).flatten(0, 1) for name in ("load", "least", "most", "outage")]
    load, least, most, outage = flat
    steps, envs = episode.outage.shape
    best = opf.optimum(grid, load, load.sum(-1), least, most, outage, opf.PRICED)
    lines = (grid.loading(best.flow.double()).abs() > NEAR).any(0)
    lost = _before(episode, best.flow.double().view(steps, envs, -1), resistance)
    cost = load.new_full((envs,), -torch.inf, dtype=torch.float64)
    for _ in range(PASSES):
        found, flow, output = _pass(grid, episode, lost, resistance, lines)
        cost, lost = torch.maximum(cost, found), _before(episode, flow, resistance)
        lines = lines | (grid.loading(flow).abs() > NEAR).flatten(0, 1).any(0)
    return Bound(cost, output)


def _before(episode: Episode, flow: Tensor, resistance: Tensor) -> Tensor:
    """Losses that steps start with, of flows `[T, B, L]`, `[T, B]`."""
    return torch.cat([episode.lost[None].double(), losses(flow, resistance)[:-1]])


def _pass(
    grid: Grid, episode: Episode, lost: Tensor, resistance: Tensor, lines: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The bound `[B]`, and flows and outputs of its programs, from the last step to the first."""
    charge, total = torch.zeros_like(lost[0]), torch.zeros_like(lost[0])
    flows, outputs = [], []
    for t in reversed(range(len(lost))):
        step = Episode(episode.load[t], episode.least[t], episode.most[t], episode.outage[t], lost[t])
        value, charge, flow, output = _step(grid, step, charge, resistance, lines, free=t > 0)
        total = total + value - (charge * lost[t] if t else 0.0)
        flows.append(flow)
        outputs.append(output)
    return total, torch.stack(flows[::-1]), torch.stack(outputs[::-1])


def _step(
    grid: Grid, step: Episode, charge: Tensor, resistance: Tensor, lines: Tensor, free: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """V of a step `[B]`, its slope in the losses that the step starts with `[B]`, flows and outputs.

    `step` is a moment, without its first dimension. If `free`, what it starts with is not known.
    """
    load, least, most = (x.double() for x in (step.load, step.least, step.most))
    problem = pose(grid, load, load.sum(-1), least, most, step.outage, PRICED, lines)
    still, drawn = problem.flow(least, load), _drawn(problem, load)
    found = _solved(program := _charged(problem, charge, still, drawn, resistance, step.lost))
    slope = found.lower_dual[:, -1] - found.upper_dual[:, -1]
    if free and bool((slope < 0).any()):
        found = _solved(_started_anyhow(program, slope < 0))
    output, lost = problem.output(found.x), found.x[:, -1:]
    spilled = torch.where(grid.renewable, most - least, 0.0).clamp(min=0).sum(-1)
    fixed = generation(least, grid.curves).sum(-1) + grid.tariff.curtailment * spilled
    fixed = fixed + charge * losses(still, resistance)
    value = found.objective - found.residual * found.objective.abs() + fixed
    return value, slope.clamp(min=0), problem.flow(output, load) + lost * drawn, output


def _solved(program: QuadraticProgram) -> Solution:
    found = solve(program, tolerance=TOLERANCE)
    return require_optimal(replace(found, status=found.status.masked_fill(found.residual <= CLOSE, Status.OPTIMAL)))


def _started_anyhow(program: QuadraticProgram, where: Tensor) -> QuadraticProgram:
    """The program with its last variable at least 0 in the instances of `where`, `[B]`."""
    assert program.lower is not None and program.upper is not None
    lower, upper = program.lower.clone(), program.upper.clone()
    lower[where, -1], upper[where, -1] = 0.0, torch.inf
    return replace(program, lower=lower, upper=upper)


def _drawn(problem: Problem, load: Tensor) -> Tensor:
    """Flows that a MW of losses causes, drawn where loads are, `[B, L]`."""
    drawn = load.clamp(min=0)
    share = drawn / drawn.sum(-1, keepdim=True).clamp(min=1e-6)
    return -(share.unsqueeze(-2) @ problem.buses.mT).squeeze(-2)


def _charged(
    problem: Problem, charge: Tensor, still: Tensor, drawn: Tensor, resistance: Tensor, lost: Tensor
) -> QuadraticProgram:
    """The program with its losses charged, and a last variable held at `lost`: the losses of the step before.

    Flows are still + J z with J the segments' columns of H, two of 0 and `drawn`; losses r (still + J z)^2, summed.
    """
    program, count = problem.program, len(problem.owner)
    assert program.equality_matrix is not None and program.inequality_matrix is not None
    assert program.quadratic is not None and program.lower is not None and program.upper is not None
    units = problem.units[..., problem.owner].expand(len(lost), -1, -1)
    flows = torch.cat([units, units.new_zeros(*units.shape[:-1], program.linear.shape[-1] - count)], -1)
    flows = torch.cat([flows, drawn.unsqueeze(-1)], -1)
    weighted = 2 * charge[:, None, None] * resistance.unsqueeze(-1) * flows
    linear = torch.nn.functional.pad(program.linear, (0, 1)) + (still.unsqueeze(-2) @ weighted).squeeze(-2)
    column = torch.cat([drawn[:, problem.lines], -drawn[:, problem.lines]], -1).unsqueeze(-1)
    rows = program.inequality_matrix.expand(len(lost), -1, -1)
    free = torch.full_like(program.upper[:, count:], torch.inf)
    return replace(
        program,
        linear=linear,
        quadratic=torch.nn.functional.pad(program.quadratic, (0, 1, 0, 1)) + flows.mT @ weighted,
        equality_matrix=torch.cat([program.equality_matrix, -torch.ones_like(program.equality_matrix[:, :1])], -1),
        inequality_matrix=torch.cat([rows, column], -1),
        lower=torch.cat([program.lower, lost.unsqueeze(-1)], -1),
        upper=torch.cat([program.upper[:, :count], free, lost.unsqueeze(-1)], -1),
    )
