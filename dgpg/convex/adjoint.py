"""Gradients of a solution in the fields of its program, by the implicit function theorem.

The conditions are Qx + c + A'y + R'z = 0, Ax = b and Rx + w(z) = r, with w(z) = mu/z - mu/v in a row. Their derivative
K is symmetric, so gradients g of the solution become multipliers l with K l = g, and each field's gradient is a product
of l and the solution (Amos and Kolter, OptNet, 2017, section 3; here at the end of a barrier, mu > 0).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dgpg.convex.newton import Iterate, Unknowns, factorise, solve_newton
from dgpg.convex.standard import Data, Scaling, Standard, times, transposed_times

STIFF = 1e6


class Parts(NamedTuple):
    """A solution, a gradient of it, or multipliers of its conditions: one tensor a kind of unknown."""

    x: Tensor
    """`[B, n]`."""
    y: Tensor
    """`[B, p]`."""
    z: Tensor
    """`[B, m]`."""
    lower: Tensor
    """`[B, n]`."""
    upper: Tensor
    """`[B, n]`."""


def unscaled(data: Data, standard: Standard, scaling: Scaling, point: Iterate) -> Parts:
    """The solution of a program from that of its standard form."""
    z, *bounds = standard.split(point.dual[:, : standard.bound.shape[-1]])
    lower, upper = (torch.zeros_like(point.x) if bound is None else bound for bound in bounds)
    y, z = point.y / scaling.equality, z / scaling.inequality
    if scaling.fixed is None:
        return Parts(point.x, y, z, lower, upper)
    x = point.x.where(~scaling.fixed, scaling.value)
    cost = _curvature(data, x) + data.linear + transposed_times(data.equality_matrix, y)
    cost = cost + transposed_times(data.inequality_matrix, z)
    lower = lower.where(~scaling.fixed, cost.clamp(min=0))
    return Parts(x, y, z, lower, upper.where(~scaling.fixed, (-cost).clamp(min=0)))


def violation(data: Data, x: Tensor) -> Tensor:
    """How far x `[B, n]` is beyond each inequality with a finite price, `[B, m]`; zero for the others."""
    beyond = (times(data.inequality_matrix, x) - data.inequality_bound).clamp(min=0)
    return torch.zeros_like(beyond) if data.penalty is None else beyond.where(data.penalty.isfinite(), 0.0)


def objective(data: Data, x: Tensor) -> Tensor:
    """1/2 x'Qx + c'x + penalties, `[B]`."""
    value = ((_curvature(data, x) / 2 + data.linear) * x).sum(-1)
    if data.penalty is None:
        return value
    price = data.penalty.where(data.penalty.isfinite(), 0.0)
    return value + (price * violation(data, x)).sum(-1)


def gradients(
    data: Data, standard: Standard, scaling: Scaling, point: Iterate, g: Parts | None, value: Tensor | None
) -> Data:
    """Gradients of every field, in the shape of the field.

    Args:
        data: The program.
        standard: Its standard form.
        scaling: The way back from it.
        point: Its solution.
        g: Incoming gradient of the solution.
        value: That of the objective, `[B]`.
    """
    answer = unscaled(data, standard, scaling, point)
    x, y, z = answer[:3]
    if g is None:
        multipliers, price, force = Parts(*map(torch.zeros_like, answer)), torch.zeros_like(z), torch.zeros_like(x)
    else:
        multipliers, price, force = _multipliers(data, standard, scaling, point, answer, g)
    by_value = torch.zeros_like(x[:, :1]) if value is None else value[:, None]
    # The objective's own gradient (envelope theorem) has the form of the multipliers -value * (x / 2, y, z, zl, zu).
    ly, lz, lower, upper = (m - by_value * part for m, part in zip(multipliers[1:], answer[1:], strict=True))
    lx, half = multipliers.x, multipliers.x - by_value * x / 2
    return Data(
        linear=by_value * x - lx,
        quadratic=None if data.quadratic is None else -_symmetric(_outer(half, x, data.quadratic)),
        equality_matrix=-_outer(y, lx, data.equality_matrix) - _outer(ly, x, data.equality_matrix),
        equality_vector=ly,
        inequality_matrix=-_outer(z, lx, data.inequality_matrix) - _outer(lz, x, data.inequality_matrix),
        inequality_bound=lz,
        lower=None if data.lower is None else force / 2 - lower,
        upper=None if data.upper is None else force / 2 + upper,
        penalty=None if data.penalty is None else price + by_value * violation(data, x),
    )


def _multipliers(
    data: Data, standard: Standard, scaling: Scaling, point: Iterate, answer: Parts, g: Parts
) -> tuple[Parts, Tensor, Tensor]:
    """The solution l of K l = g; gradient of the penalties `[B, m]`, and of fixed variables' values `[B, n]`."""
    sides = [g.z / scaling.inequality, *([g.lower] if standard.lower else []), *([g.upper] if standard.upper else [])]
    right, held = Unknowns(g.x, g.y / scaling.equality, torch.cat(sides, -1)), torch.zeros_like(g.x)
    if scaling.fixed is not None and standard.free is not None:
        # The dual of a fixed variable is the sum of its bounds'; its gradient is what the variable's multiplier is.
        held = (g.upper * (answer.upper > 0) - g.lower * (answer.lower > 0)).where(scaling.fixed, 0.0)
        right = Unknowns(
            (g.x - _curvature(data, held)) * standard.free,
            right.y - times(data.equality_matrix, held) / scaling.equality,
            right.z - standard.rows(held),
        )
    right = right._replace(z=right.z * standard.active)
    factor = factorise(standard, point, _cap(data, answer))
    lx, ly, rows = solve_newton(standard, factor, right, refine=3)
    lx, (lz, *bounds) = lx + held, standard.split(rows)
    price = torch.zeros_like(lz)
    if standard.penalty is not None:
        size = standard.bound.shape[-1]
        price = -lz * point.slack[:, size:] / point.dual[:, size:] * scaling.inequality
    ly, lz = ly / scaling.equality, lz / scaling.inequality
    # Rows of bounds are -x <= -lower and x <= upper.
    lower, upper = (torch.zeros_like(lx) if bound is None else bound for bound in bounds)
    force = torch.zeros_like(lx)
    if scaling.fixed is not None:
        pull = _curvature(data, lx) + transposed_times(data.equality_matrix, ly)
        force = (g.x - pull - transposed_times(data.inequality_matrix, lz)).where(scaling.fixed, 0.0)
    return Parts(lx, ly, lz, lower, upper), price, force


def _cap(data: Data, answer: Parts) -> Tensor:
    """Weight that is stiff in the program's own units, `[B, 1]`: with those of the last iterate, 1e10 and more times
    it, gradients of duals would drown in rounding errors."""
    largest = [t.abs().amax(-1, keepdim=True) for t in (data.linear, answer.x)]
    scale = (1e-3 + largest[0]) / (1 + largest[1])
    if data.quadratic is not None:
        scale = scale + data.quadratic.diagonal(dim1=-2, dim2=-1).amax(-1)[..., None]
    return STIFF * scale


def _curvature(data: Data, x: Tensor) -> Tensor:
    if data.quadratic is None:
        return torch.zeros_like(x)
    return times(_symmetric(data.quadratic), x)


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.mT) / 2


def _outer(rows: Tensor, columns: Tensor, like: Tensor) -> Tensor:
    """rows columns' of each instance `[B, r, c]`, summed over the batch `[r, c]` where the matrix is shared."""
    return rows.mT @ columns if like.dim() == 2 else rows[:, :, None] * columns[:, None, :]
