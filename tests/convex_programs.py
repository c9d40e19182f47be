"""Programs with every kind of row, and what to compare their solutions with."""

from typing import Any

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from dgpg.convex import QuadraticProgram, Solution
from dgpg.convex.program import present

f64 = torch.float64
inf = float("inf")


def tensor(values: Any) -> Tensor:
    return torch.as_tensor(values, dtype=f64)


def instance(program: QuadraticProgram, at: int) -> QuadraticProgram:
    """One instance of a program with one batch dimension."""
    matrices = ("quadratic", "equality_matrix", "inequality_matrix")
    fields = {name: t[at] if t.dim() > 1 + (name in matrices) else t for name, t in present(program)}
    return QuadraticProgram(**fields)


def random_program(seed: int, *, batched: bool, quadratic: bool, soft: bool = False) -> QuadraticProgram:
    """Two feasible, bounded instances with rows of every kind: fixed and free variables, infinite bounds, prices."""
    rng = np.random.default_rng(seed)
    n, p, m = int(rng.integers(1, 7)), int(rng.integers(0, 3)), int(rng.integers(0, 9))
    p, lead = min(p, n - 1), (2,) if batched else ()
    inside = rng.normal(size=(2, n))
    equality, rows = rng.normal(size=(*lead, p, n)), rng.normal(size=(*lead, m, n))
    factor = rng.normal(size=(*lead, n, n))
    lower = inside - rng.uniform(0.1, 2, (2, n))
    upper = inside + rng.uniform(0.1, 2, (2, n))
    if quadratic:  # else the program would be unbounded
        lower, upper = np.where(rng.random((2, n)) < 0.2, -inf, lower), np.where(rng.random((2, n)) < 0.2, inf, upper)
    price = np.where(rng.random((2, m)) < 0.5, inf, rng.uniform(0.1, 2, (2, m)))
    room = rng.exponential(size=(2, m)) - (np.isfinite(price) if soft else 0)
    return QuadraticProgram(
        linear=tensor(3 * rng.normal(size=(2, n))),
        quadratic=tensor(factor @ factor.swapaxes(-1, -2) + 0.3 * np.eye(n)) if quadratic else None,
        equality_matrix=tensor(equality),
        equality_vector=tensor((equality @ inside[..., None])[..., 0]),
        inequality_matrix=tensor(rows),
        inequality_bound=tensor((rows @ inside[..., None])[..., 0] + room),
        lower=tensor(lower),
        upper=tensor(upper),
        penalty=tensor(price) if soft else None,
    )


def highs(program: QuadraticProgram) -> Any:
    """scipy's answer to one instance of a linear program; soft rows get slack variables of their own."""
    m = program.size[2]
    assert program.quadratic is None and program.inequality_matrix is not None and program.equality_matrix is not None
    cost, rows, equality = program.linear, program.inequality_matrix, program.equality_matrix
    bounds = torch.stack([program.lower, program.upper], 1)  # type: ignore[list-item]
    if program.penalty is not None:
        soft = program.penalty.isfinite().nonzero().squeeze(-1)
        rows = torch.cat([rows, -torch.eye(m, dtype=f64)[:, soft]], 1)
        equality = torch.nn.functional.pad(equality, (0, len(soft)))
        cost = torch.cat([cost, program.penalty[soft]])
        bounds = torch.cat([bounds, tensor([[0.0, inf]] * len(soft)).view(-1, 2)])
    parts = (cost, rows, program.inequality_bound, equality, program.equality_vector, bounds)
    return linprog(*(None if t is None else t.numpy() for t in parts), method="highs")


def lagrangian_gap(program: QuadraticProgram, found: Solution) -> Tensor:
    """Largest of the optimality conditions' residuals, written out once more, `[B]`."""
    gradient = program.linear - found.lower_dual + found.upper_dual
    parts = []
    if program.quadratic is not None:
        gradient = gradient + (program.quadratic @ found.x[..., None]).squeeze(-1)
    if program.equality_matrix is not None and program.equality_vector is not None:
        gradient = gradient + (program.equality_matrix.mT @ found.equality_dual[..., None]).squeeze(-1)
        parts.append((program.equality_matrix @ found.x[..., None]).squeeze(-1) - program.equality_vector)
    if program.inequality_matrix is not None and program.inequality_bound is not None:
        gradient = gradient + (program.inequality_matrix.mT @ found.inequality_dual[..., None]).squeeze(-1)
        over = (program.inequality_matrix @ found.x[..., None]).squeeze(-1) - program.inequality_bound
        price = torch.full_like(over, inf) if program.penalty is None else program.penalty.expand_as(over)
        z = found.inequality_dual
        # A row is slack with z = 0, tight with z in between, or violated with z = its price.
        at_price = (over.clamp(min=0) * (price - z)).where(price.isfinite(), over.clamp(min=0))
        parts += [z * (-over).clamp(min=0), at_price, (-z).clamp(min=0), (z - price).clamp(min=0)]
    for bound, dual, sign in ((program.lower, found.lower_dual, 1), (program.upper, found.upper_dual, -1)):
        if bound is not None:
            room = (sign * (found.x - bound)).where(bound.isfinite(), 1.0)
            parts += [(-room).clamp(min=0), dual * room, (-dual).clamp(min=0)]
    return torch.cat([gradient, *parts], -1).abs().amax(-1)
