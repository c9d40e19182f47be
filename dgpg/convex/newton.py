"""Newton's step for the perturbed optimality conditions of a standard form, condensed to the variables.

A row with slack w and dual z, softened by a violation s whose dual v is what is left of the price, obeys
Rx + w - s = r, z + v = penalty, zw = mu and sv = mu. Eliminated, it is a spring of compliance C = w/z + s/v: what
remains is (Q + R'DR) dx + A'dy = f, A dx = g with D = 1/C, solved by two Cholesky factorisations an instance. See
Nocedal and Wright, Numerical Optimization, sections 14.2 and 16.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dgpg.convex.standard import Standard, times, transposed_times


@dataclass(frozen=True, eq=False)
class Iterate:
    """A point of the iterations, for B instances. Pairs are K = M rows, then the m inequalities' violations if soft."""

    x: Tensor
    """`[B, n]`."""
    y: Tensor
    """Duals of the equalities, `[B, p]`."""
    slack: Tensor
    """w, then s: `[B, K]`."""
    dual: Tensor
    """z, then v: `[B, K]`. Product with `slack` is zero for pairs that do not exist."""

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """In the order of the fields, each `[B, ...]`."""
        return self.x, self.y, self.slack, self.dual

    def moved(self, step: Iterate, primal: Tensor, dual: Tensor) -> Iterate:
        """The point a step `[B, 1]` further."""
        return Iterate(
            self.x + primal * step.x, self.y + dual * step.y,
            self.slack + primal * step.slack, self.dual + dual * step.dual,
        )  # fmt: skip


class Unknowns(NamedTuple):
    """Of Newton's equations, or their right-hand sides."""

    x: Tensor
    """`[B, n]`."""
    y: Tensor
    """`[B, p]`."""
    z: Tensor
    """`[B, M]`."""


@dataclass(frozen=True, eq=False)
class Residuals:
    """What is missing to optimality, apart from the products of pairs."""

    stationarity: Tensor
    """Qx + c + A'y + R'z, `[B, n]`."""
    equality: Tensor
    """Ax - b, `[B, p]`."""
    rows: Tensor
    """Rx + w - s - r, `[B, M]`."""


@dataclass(frozen=True, eq=False)
class Factor:
    """The condensed system at one point, factorised."""

    compliance: Tensor
    """C = w/z + s/v, `[B, M]`; zero in rows that do not exist."""
    weight: Tensor
    """D = min(1 / C, cap), `[B, M]`; zero in rows that do not exist."""
    cholesky: Tensor
    """Of H = Q + R'DR + lift A'A, `[B, n, n]`. The last term leaves the solution alone and makes H definite."""
    lift: Tensor
    """`[B, 1]`."""
    columns: Tensor
    """H^-1 A', `[B, n, p]`."""
    schur: Tensor
    """Cholesky factor of A H^-1 A', `[B, p, p]`."""


def factorise(program: Standard, point: Iterate, cap: Tensor | None = None) -> Factor:
    """Factorise at a point whose slacks are positive, with weights of at most `cap` `[B, 1]`."""
    m, size = program.matrix.shape[-2], program.bound.shape[-1]
    compliance = point.slack[:, :size] / point.dual[:, :size]
    if program.penalty is not None:
        compliance[:, :m] += point.slack[:, size:] / point.dual[:, size:]
    exists = program.active > 0
    weight = torch.where(exists, 1 / compliance, 0.0)
    weight = weight if cap is None else torch.minimum(weight, cap)
    hessian = program.hessian(weight)
    lift = hessian.diagonal(dim1=-2, dim2=-1).amax(-1, keepdim=True)
    equality = program.equality
    if equality.shape[-2]:
        hessian += lift[..., None] * (equality.mT @ equality)
    cholesky = robust_cholesky(hessian)
    columns = torch.cholesky_solve(equality.mT.expand(len(hessian), *equality.mT.shape[-2:]), cholesky)
    schur = equality @ columns
    schur = robust_cholesky((schur + schur.mT) / 2)
    return Factor(torch.where(exists, compliance, 0.0), weight, cholesky, lift, columns, schur)


def robust_cholesky(matrix: Tensor) -> Tensor:
    """Lower factors `[B, k, k]`. Where a matrix is numerically singular its diagonal is raised until it has one."""
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(matrix)
    raise_by = 1e-14
    while bool(failed.any()) and raise_by < 1:
        bad = failed.nonzero().squeeze(-1)
        worse = matrix[bad].nan_to_num(0.0, 0.0, 0.0)
        diagonal = worse.diagonal(dim1=-2, dim2=-1)
        diagonal += raise_by * diagonal.abs() + raise_by * diagonal.abs().amax(-1, keepdim=True).clamp(min=1e-30)
        factor[bad], failed_again = torch.linalg.cholesky_ex(worse)
        failed = failed.index_copy(0, bad, failed_again)
        raise_by *= 100
    return factor


def solve_newton(program: Standard, factor: Factor, right: Unknowns, refine: int = 1) -> Unknowns:
    """The step with Q dx + A'dy + R'dz = right.x, A dx = right.y and R dx - C dz = right.z.

    Each refinement takes rounding errors off, and what the cap on D left out.
    """
    step = _condensed(program, factor, right)
    for _ in range(refine):
        dx, dy, dz = step
        upward = transposed_times(program.equality, dy) + program.transposed(dz)
        missing = Unknowns(
            right.x - program.curvature(dx) - upward,
            right.y - times(program.equality, dx),
            (right.z - program.rows(dx) + factor.compliance * dz) * program.active,
        )
        step = Unknowns(*(one + more for one, more in zip(step, _condensed(program, factor, missing), strict=True)))
    return step


def _condensed(program: Standard, factor: Factor, right: Unknowns) -> Unknowns:
    lifted = right.x + program.transposed(factor.weight * right.z)
    lifted = lifted + factor.lift * transposed_times(program.equality, right.y)
    dx = torch.cholesky_solve(lifted[..., None], factor.cholesky).squeeze(-1)
    dy = right.y
    if dy.shape[-1]:
        dy = torch.cholesky_solve((times(program.equality, dx) - right.y)[..., None], factor.schur).squeeze(-1)
        dx = dx - (factor.columns @ dy[..., None]).squeeze(-1)
    return Unknowns(dx, dy, factor.weight * (program.rows(dx) - right.z))


def residuals(program: Standard, point: Iterate) -> Residuals:
    """How far a point is from satisfying the linear conditions."""
    m, size = program.matrix.shape[-2], program.bound.shape[-1]
    rows = program.rows(point.x) + point.slack[:, :size] - program.bound
    if program.penalty is not None:
        rows[:, :m] -= point.slack[:, size:]
    stationarity = program.curvature(point.x) + program.linear + program.transposed(point.dual[:, :size])
    return Residuals(
        stationarity + transposed_times(program.equality, point.y),
        times(program.equality, point.x) - program.target,
        rows * program.active,
    )


def direction(
    program: Standard, factor: Factor, point: Iterate, missing: Residuals, product: Tensor, refine: int
) -> Iterate:
    """The step to zero residuals and to `product` `[B, K]` more in slack times dual, to first order."""
    m, size = program.matrix.shape[-2], program.bound.shape[-1]
    offset = missing.rows + product[:, :size] / point.dual[:, :size]
    if program.penalty is not None:
        violation, left = point.slack[:, size:], point.dual[:, size:]
        offset[:, :m] -= product[:, size:] / left
    offset = torch.where(program.active > 0, -offset, 0.0)
    dx, dy, dz = solve_newton(program, factor, Unknowns(-missing.stationarity, -missing.equality, offset), refine)
    slack = -missing.rows - program.rows(dx)
    if program.penalty is None:
        return Iterate(dx, dy, slack * program.active, dz)
    soft = program.penalty.isfinite() * program.active[:, :m]
    more = soft * (product[:, size:] + violation * dz[:, :m]) / left
    slack[:, :m] += more
    return Iterate(dx, dy, torch.cat([slack * program.active, more], -1), torch.cat([dz, -soft * dz[:, :m]], -1))
