"""Solve a batch of quadratic programs: an interior point method forward, the implicit function theorem backward.

At the solution the optimality conditions hold for every value of the program's fields. Their derivative is the
symmetric system that Newton's step solves; one solution of it for the incoming gradients gives those of every field.
See Amos and Kolter, OptNet, ICML 2017. Gradients of the objective alone are the multipliers: they cost no solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from dgpg.convex.adjoint import Parts, gradients, objective, unscaled
from dgpg.convex.interior_point import iterate
from dgpg.convex.newton import Iterate
from dgpg.convex.program import MATRICES, QuadraticProgram, Solution, Status, present
from dgpg.convex.standard import Data, standardise

TOLERANCE = 1e-9
MAX_ITERATIONS = 60


def solve(program: QuadraticProgram, *, tolerance: float = TOLERANCE, max_iterations: int = MAX_ITERATIONS) -> Solution:
    """Solve every instance of a program in float64; each has a status and a residual of its own.

        >>> cost, demand = torch.tensor([1.0, 2.0]), torch.tensor([[3.0], [4.0]])
        >>> supply = QuadraticProgram(
        ...     linear=cost, lower=torch.zeros(2), equality_matrix=torch.ones(1, 2), equality_vector=demand
        ... )
        >>> solution = solve(supply)  # x is [[3, 0], [4, 0]], up to the tolerance

    The solution, its duals and its objective are differentiable in every field, to first order. Where the solution
    map has a kink, the derivative lies between those of its sides. That of a fixed variable's value is shared
    equally by its two bounds. `require_optimal` turns a bad status into an error.

    Args:
        program: On any device.
        tolerance: Largest relative residual of a solution.
        max_iterations: Newton steps before an instance is given up.
    """
    data, batch = flatten(program), program.batch
    outputs = _Solve.apply(tolerance, max_iterations, *data)  # type: ignore[no-untyped-call]
    dtype = program.linear.dtype
    for _, tensor in present(program):
        dtype = torch.promote_types(dtype, tensor.dtype)
    shaped = [tensor.to(dtype).reshape((*batch, *tensor.shape[1:])) for tensor in outputs[:6]]
    return Solution(*shaped, *(tensor.reshape(batch) for tensor in outputs[6:]))


def flatten(program: QuadraticProgram) -> Data:
    """The program's fields in float64 with one batch dimension; shared matrices stay without one."""
    batch, like = program.batch, program.linear
    count, (n, p, m) = prod(batch), program.size

    def vector(tensor: Tensor, size: int) -> Tensor:
        return tensor.double().expand(*batch, size).reshape(count, size)

    def matrix(tensor: Tensor | None, rows: int) -> Tensor:
        tensor = (like.new_zeros(rows, n) if tensor is None else tensor).double()
        return tensor if tensor.dim() == 2 else tensor.expand(*batch, rows, n).reshape(count, rows, n)

    def optional(tensor: Tensor | None, size: int) -> Tensor | None:
        return None if tensor is None else vector(tensor, size)

    equality_vector = like.new_zeros(0) if program.equality_vector is None else program.equality_vector
    bound = like.new_zeros(0) if program.inequality_bound is None else program.inequality_bound
    return Data(
        linear=vector(like, n),
        quadratic=None if program.quadratic is None else matrix(program.quadratic, n),
        equality_matrix=matrix(program.equality_matrix, p),
        equality_vector=vector(equality_vector, p),
        inequality_matrix=matrix(program.inequality_matrix, m),
        inequality_bound=vector(bound, m),
        lower=optional(program.lower, n),
        upper=optional(program.upper, n),
        penalty=optional(program.penalty, m),
    )


class _Solve(torch.autograd.Function):
    """x, y, z, zl, zu, objective; then status, residual, iterations."""

    @staticmethod
    def forward(ctx: Any, tolerance: float, max_iterations: int, *fields: Tensor | None) -> tuple[Tensor, ...]:
        data = Data(*fields)  # type: ignore[arg-type]
        standard, scaling = standardise(data)
        outcome = iterate(standard, tolerance, max_iterations)
        answer = unscaled(data, standard, scaling, outcome.point)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(outcome.status, outcome.residual, outcome.iterations)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*fields, *outcome.point.tensors(), outcome.status)
        return *answer, objective(data, answer.x), outcome.status, outcome.residual, outcome.iterations

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *incoming: Tensor | None) -> tuple[Tensor | None, ...]:
        data, point, status = Data(*ctx.saved_tensors[:9]), Iterate(*ctx.saved_tensors[9:13]), ctx.saved_tensors[13]
        solved = (status == Status.OPTIMAL).nonzero().squeeze(-1)
        parts, value = _filled(incoming[:5], point, data), incoming[5]
        # Instances without a solution take no part: their systems may be singular.
        standard, scaling = standardise(data)
        found = gradients(
            select(data, solved),
            standard.select(solved),
            scaling.select(solved),
            Iterate(*(t[solved] for t in point.tensors())),
            None if parts is None else Parts(*(t[solved] for t in parts)),
            None if value is None else value[solved],
        )
        return None, None, *(_spread(g, field, solved) for g, field in zip(found, data, strict=True))


def select(data: Data, index: Tensor) -> Data:
    """Some instances, by their places `[S]`."""
    fields = zip(data._fields, data, strict=True)
    return Data(*(t if t is None or _shared(name, t) else t[index] for name, t in fields))  # type: ignore[arg-type]


def _shared(name: str, tensor: Tensor) -> bool:
    return name in MATRICES and tensor.dim() == 2


def _filled(incoming: Sequence[Tensor | None], point: Iterate, data: Data) -> Parts | None:
    """Incoming gradients with zeros for those that did not come; None if none did."""
    if all(g is None for g in incoming):
        return None
    like = (point.x, point.y, data.inequality_bound, point.x, point.x)
    return Parts(*(torch.zeros_like(t) if g is None else g for g, t in zip(incoming, like, strict=True)))


def _spread(gradient: Tensor | None, field: Tensor | None, index: Tensor) -> Tensor | None:
    """The gradient of a field from that of some of its instances, zero for the others."""
    if gradient is None or field is None or gradient.shape == field.shape:
        return gradient
    return torch.zeros_like(field).index_copy(0, index, gradient)
