"""Mehrotra's predictor-corrector method for a batch of standard forms.

S. Mehrotra, On the implementation of a primal-dual interior point method, SIAM J. Optim. 2 (1992). Instances that are
done leave the batch, so that one which is infeasible costs and changes nothing in the others.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from dgpg.convex.newton import Iterate, Residuals, Unknowns, direction, factorise, residuals, solve_newton
from dgpg.convex.program import Status
from dgpg.convex.standard import Standard, times, transposed_times

RUNNING = -1
CERTIFICATE = 1e-6
"""A proof of infeasibility may leave out points this many times farther away than the current one."""
TINY = 1e-300
"""What stands for zero in a denominator."""
BOUNDARY = 0.995
"""Part of the way to the nearest bound that a step goes."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where the iterations ended, for B instances."""

    point: Iterate
    status: Tensor
    """`Status`, `[B]`."""
    residual: Tensor
    """`[B]`."""
    iterations: Tensor
    """`[B]`."""


def iterate(program: Standard, tolerance: float, max_iterations: int) -> Outcome:
    """Solve every instance to a relative residual of `tolerance`, or as far as it goes."""
    count = len(program.linear)
    live = torch.arange(count, device=program.linear.device)
    status = torch.full_like(live, Status.NOT_CONVERGED)
    done, residual = torch.zeros_like(live), program.linear.new_full((count,), torch.inf)
    point = start(program)
    result = Iterate(*(tensor.clone() for tensor in point.tensors()))
    for k in range(max_iterations + 1):
        missing = residuals(program, point)
        error, state = assess(program, point, missing, tolerance)
        if k == max_iterations:
            state = torch.where(state == RUNNING, Status.NOT_CONVERGED, state)
        keep = state == RUNNING
        if not bool(keep.all()):
            ended = (~keep).nonzero().squeeze(-1)
            sound = ended[error[ended].isfinite()]  # an instance that broke down keeps its start
            for target, tensor in zip(result.tensors(), point.tensors(), strict=True):
                target[live[sound]] = tensor[sound]
            status[live[ended]], residual[live[ended]], done[live[ended]] = state[ended], error[ended], k
            rest = keep.nonzero().squeeze(-1)
            if not len(rest):
                break
            live, program = live[rest], program.select(rest)
            point, missing = _select(Iterate, point, rest), _select(Residuals, missing, rest)
        point = advance(program, point, missing)
    return Outcome(result, status, residual, done)


def start(program: Standard) -> Iterate:
    """The least squares solution and, around it, pairs of one product: a row far from its bound gets a small dual."""
    m = program.matrix.shape[-2]
    hard = program if program.penalty is None else replace(program, penalty=None)
    springs = Iterate(program.linear, program.target, torch.ones_like(program.bound), program.active)
    factor = factorise(hard, springs)
    x, y, _ = solve_newton(hard, factor, Unknowns(-program.linear, program.target, program.bound))
    gap = (program.bound - program.rows(x)) * program.active
    distance = 1.5 * _largest(gap.clamp(max=0)) + 0.01 * (1 + _largest(x))
    price = _largest(program.linear + program.curvature(x)) + 0.01
    slack = torch.where(program.active > 0, torch.maximum(gap, distance[:, None]), 1.0)
    dual = program.active * (distance * price)[:, None] / slack
    if program.penalty is None:
        return Iterate(x, y, slack, dual)
    soft = program.penalty.isfinite() & (program.active[:, :m] > 0)
    half = torch.where(soft, torch.minimum(dual[:, :m], program.penalty / 2), dual[:, :m])
    left = torch.where(soft, program.penalty - half, 1.0)
    beyond = torch.where(soft, (distance * price)[:, None] / left, 0.0)
    return Iterate(x, y, torch.cat([slack, beyond], -1), torch.cat([half, dual[:, m:], left], -1))


def assess(program: Standard, point: Iterate, missing: Residuals, tolerance: float) -> tuple[Tensor, Tensor]:
    """Relative residual `[B]` and status `[B]`, RUNNING if undecided."""
    size = program.bound.shape[-1]
    z = point.dual[:, :size]
    upward = transposed_times(program.equality, point.y) + program.transposed(z)
    curvature = program.curvature(point.x)
    linear = (program.linear * point.x).sum(-1)
    objective = linear + (curvature * point.x).sum(-1) / 2
    length = torch.maximum(_largest(point.x), _largest(program.target))
    primal = torch.maximum(_largest(missing.equality), _largest(missing.rows)) / (1 + length)
    force = torch.maximum(_largest(program.linear), torch.maximum(_largest(upward), _largest(curvature)))
    dual = _largest(missing.stationarity) / (1 + force)
    gap = (point.slack * point.dual).sum(-1) / (1 + objective.abs())
    error = torch.maximum(torch.maximum(primal, dual), gap)
    state = torch.full_like(error, RUNNING, dtype=torch.long)
    state[_infeasible(program, point)] = Status.INFEASIBLE
    state[_unbounded(program, point, curvature)] = Status.UNBOUNDED
    state[~error.isfinite()] = Status.NOT_CONVERGED
    state[error <= tolerance] = Status.OPTIMAL
    return error, state


def advance(program: Standard, point: Iterate, missing: Residuals) -> Iterate:
    """One predictor-corrector step."""
    factor = factorise(program, point)
    pairs = _pairs_alive(program)
    count = pairs.sum(-1, keepdim=True).clamp(min=1)
    product = point.slack * point.dual
    mean = product.sum(-1, keepdim=True) / count
    predictor = direction(program, factor, point, missing, -product, refine=0)
    primal, dual = _lengths(program, point, predictor, 1.0)
    ahead = (point.slack + primal * predictor.slack) * (point.dual + dual * predictor.dual)
    centring = (ahead.sum(-1, keepdim=True) / (count * mean).clamp(min=TINY)).clamp(max=1).pow(3)
    wanted = centring * mean * pairs - product - predictor.slack * predictor.dual
    step = direction(program, factor, point, missing, wanted, refine=1)
    primal, dual = _lengths(program, point, step, BOUNDARY)
    return point.moved(step, primal, dual)


def _lengths(program: Standard, point: Iterate, step: Iterate, part: float) -> tuple[Tensor, Tensor]:
    """Primal and dual step length `[B, 1]`; a linear program may take two different ones."""
    primal, dual = _reach(point.slack, step.slack, part), _reach(point.dual, step.dual, part)
    if program.quadratic is None:
        return primal, dual
    both = torch.minimum(primal, dual)
    return both, both


def _reach(value: Tensor, step: Tensor, part: float) -> Tensor:
    """Largest step up to 1 that keeps values positive, `[B, 1]`."""
    if not value.shape[-1]:
        return value.new_ones(len(value), 1)
    fastest = (step / value.clamp(min=TINY)).amin(-1, keepdim=True)  # pairs that do not exist have 0 / 0
    return part / (-fastest).clamp(min=part)


def _infeasible(program: Standard, point: Iterate) -> Tensor:
    """Farkas: combined by their duals, the hard rows contradict each other; `[B]`, boolean."""
    m, size = program.matrix.shape[-2], program.bound.shape[-1]
    z = point.dual[:, :size]
    if program.penalty is not None:
        z = torch.cat([z[:, :m].where(program.penalty.isinf(), 0.0), z[:, m:]], -1)
    gain = -(program.target * point.y).sum(-1) - (program.bound * z).sum(-1)
    slope = transposed_times(program.equality, point.y) + program.transposed(z)
    return (gain > 0) & (_largest(slope) * (1 + point.x.abs().sum(-1)) <= CERTIFICATE * gain)


def _unbounded(program: Standard, point: Iterate, curvature: Tensor) -> Tensor:
    """The point is a direction along which the objective falls and no row rises; `[B]`, boolean."""
    m, size = program.matrix.shape[-2], program.bound.shape[-1]
    rise = (program.rows(point.x) * program.active).clamp(min=0)
    cost = (program.linear * point.x).sum(-1)
    if program.penalty is not None:
        soft = program.penalty.isfinite()
        cost = cost + torch.where(soft, program.penalty * rise[:, :m], 0.0).sum(-1)
        rise = torch.cat([rise[:, :m].where(~soft, 0.0), rise[:, m:]], -1)
    rise = torch.maximum(_largest(rise), _largest(times(program.equality, point.x)))
    price = 1 + point.y.abs().sum(-1) + point.dual[:, :size].abs().sum(-1)
    straight = torch.ones_like(cost, dtype=torch.bool)
    if program.quadratic is not None:
        straight = _largest(curvature) <= CERTIFICATE * program.quadratic.abs().amax((-2, -1)) * _largest(point.x)
    return straight & (rise * price <= -CERTIFICATE * cost) & (cost < 0)


def _select(kind: type[Any], parts: Any, index: Tensor) -> Any:
    return kind(*(getattr(parts, field.name).index_select(0, index) for field in fields(kind)))


def _pairs_alive(program: Standard) -> Tensor:
    """1 for pairs that exist, `[B, K]`."""
    if program.penalty is None:
        return program.active
    soft = program.active[:, : program.penalty.shape[-1]] * program.penalty.isfinite()
    return torch.cat([program.active, soft], -1)


def _largest(x: Tensor) -> Tensor:
    """Largest magnitude `[B]` of `[B, *]`; zero if there are no entries."""
    return x.abs().amax(-1) if x.shape[-1] else x.new_zeros(len(x))
