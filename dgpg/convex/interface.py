"""`dgpg.convex.solve` as a solver of cvxpylayers: CvxpyLayer(problem, parameters, variables, solver=InteriorPoint()).

Import this module only where cvxpylayers (extra "convex") is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from cvxpylayers.interfaces.base import SolverInterface
from torch import Tensor

from dgpg.convex.program import QuadraticProgram, require_optimal
from dgpg.convex.solver import solve
from dgpg.errors import ProgramError

CONES = {"exp": "exponential", "soc": "second-order", "psd": "semidefinite", "p3d": "power", "pnd": "power"}
"""Names of the cones that a quadratic program has not."""


@dataclass(frozen=True)
class Pattern:
    """Where the values that cvxpylayers evaluates lie in a dense matrix."""

    places: Tensor
    """Of each value, counted along rows, `[nnz]`."""
    shape: tuple[int, int]
    constant: bool
    """Whether the values are the same for all values of the parameters."""

    def dense(self, values: Tensor) -> Tensor:
        """`[B, *shape]`, or `[*shape]` if constant, of values `[B, nnz]`."""
        values = values[0] if self.constant else values
        flat = values.new_zeros(*values.shape[:-1], self.shape[0] * self.shape[1])
        flat = flat.index_copy(-1, self.places.to(values.device), values)
        return flat.view(*values.shape[:-1], *self.shape)


class _Graph(NamedTuple):
    inputs: tuple[Tensor | None, Tensor, Tensor]
    outputs: tuple[Tensor, Tensor]


class InteriorPoint(SolverInterface):
    """Linear and quadratic programs by `dgpg.convex.solve`, in one batch, on the device of the parameters.

    Arguments of a call (`solver_args`): `tolerance` and `max_iterations` of `solve`; `batch`, the batch dimensions by
    which a `SolverError` names an instance that has no solution.
    """

    canon_solver = "CLARABEL"
    supports_quad_obj = True

    def setup(self, ctx: Any) -> None:
        """Take the program's structure from cvxpylayers' context.

        Raises:
            ProgramError: the problem needs a cone that quadratic programs have not.
        """
        other = sorted({name for cone, name in CONES.items() if getattr(ctx.cone_dims, cone)})
        if other:
            raise ProgramError(
                f"the interior point solver takes linear constraints and a linear or convex quadratic objective; the "
                f"problem has {' and '.join(other)} cones: write it without norms, exponentials, ..., or use Clarabel"
            )
        self.equalities = int(ctx.cone_dims.zero)
        indices, pointers, (rows, columns) = ctx.reduced_A.problem_data_index
        self.count = int(pointers[-2])  # of the matrix's values; those of the right-hand side, a last column, follow
        self.matrix = _pattern(indices[: self.count], pointers[:-1], (rows, columns - 1), ctx.reduced_A.reduced_mat)
        self.vector = torch.from_numpy(indices[self.count :].astype(np.int64))
        self.quadratic: Pattern | None = None
        if ctx.reduced_P.problem_data_index is not None:
            indices, pointers, shape = ctx.reduced_P.problem_data_index
            self.quadratic = _pattern(indices, pointers, shape, ctx.reduced_P.reduced_mat)

    def solve_torch_batch(
        self, P: Tensor | None, q: Tensor, A: Tensor, dims: Any, solver_args: dict[str, Any], needs_grad: bool
    ) -> tuple[Tensor, Tensor, _Graph | None]:
        """x and duals `[B, *]` from the values of P `[B, nnz]`, q `[B, n + 1]` and A `[B, nnz]`; and the graph.

        Raises:
            SolverError: an instance has no solution.
        """
        settings = dict(solver_args)
        batch = settings.pop("batch", None)
        q_, A_ = (values.detach().double().requires_grad_(needs_grad) for values in (q, A))
        P_ = None if P is None else P.detach().double().requires_grad_(needs_grad)
        with torch.set_grad_enabled(needs_grad):
            solution = require_optimal(solve(self._program(P_, q_, A_), **settings), batch)
            outputs = solution.x, torch.cat([solution.equality_dual, solution.inequality_dual], -1)
        primal, dual = (tensor.detach().to(q.dtype) for tensor in outputs)
        return primal, dual, _Graph((P_, q_, A_), outputs) if needs_grad else None

    def derivative_torch_batch(
        self, dprimal: Tensor, ddual: Tensor, saved_state: _Graph
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        """Gradients of the values of P, q and A, each `[B, *]`."""
        wanted = [value for value in saved_state.inputs if value is not None]
        found = torch.autograd.grad(
            saved_state.outputs,
            wanted,
            [dprimal.double(), ddual.double()],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        parts: list[Any] = [gradient.to(dprimal.dtype) for gradient in found]
        dP, dq, dA = parts if saved_state.inputs[0] is not None else [None, *parts]
        return dP, dq, dA

    def _program(self, P: Tensor | None, q: Tensor, A: Tensor) -> QuadraticProgram:
        """Canonical rows Ax + b are zero, or not negative; those of a program are Ax = b, Gx <= h."""
        matrix = -self.matrix.dense(A[:, : self.count])
        vector = A.new_zeros(len(A), self.matrix.shape[0])
        vector = vector.index_copy(-1, self.vector.to(A.device), A[:, self.count :])
        p = self.equalities
        return QuadraticProgram(
            linear=q[:, :-1],
            quadratic=None if P is None or self.quadratic is None else self.quadratic.dense(P),
            equality_matrix=matrix[..., :p, :],
            equality_vector=vector[:, :p],
            inequality_matrix=matrix[..., p:, :],
            inequality_bound=vector[:, p:],
        )


def _pattern(indices: Any, pointers: Any, shape: tuple[int, int], reduced: Any) -> Pattern:
    """Of a matrix in compressed columns, whose values are `reduced @ [parameters, 1]`."""
    columns = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
    places = np.asarray(indices, dtype=np.int64) * int(shape[1]) + columns
    constant = abs(reduced[: len(places), :-1]).sum() == 0
    return Pattern(torch.from_numpy(places), (int(shape[0]), int(shape[1])), bool(constant))
