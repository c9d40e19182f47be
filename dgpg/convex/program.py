"""A batch of convex quadratic programs, and what solving one returns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum

import torch
from torch import Tensor

from dgpg.errors import ProgramError, SolverError


class Status(IntEnum):
    """How the search for one instance's solution ended."""

    OPTIMAL = 0
    INFEASIBLE = 1
    UNBOUNDED = 2
    NOT_CONVERGED = 3


MATRICES = ("quadratic", "equality_matrix", "inequality_matrix")
"""Fields of a program that are matrices; the others are vectors."""
FAULTS = {
    Status.INFEASIBLE: "no point satisfies its constraints; loosen them, or give inequality rows a penalty",
    Status.UNBOUNDED: "its objective falls for ever; bound the variables",
    Status.NOT_CONVERGED: "no solution found; raise max_iterations or tolerance, or look at its scale",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class QuadraticProgram:
    """min 1/2 x'Qx + c'x + sum_k penalty_k max(g_k x - h_k, 0), with Ax = b, Gx <= h, lower <= x <= upper.

    Every field has leading batch dimensions `*`, which broadcast. Leave them away for a matrix that all
    instances share: it is then never copied. Units are the caller's: rows in MW and costs in $/h need no scaling.

    Raises:
        ProgramError: shapes, types or devices do not fit, or an entry is not a number; names the field.
    """

    linear: Tensor
    """c, `[*, n]`."""
    quadratic: Tensor | None = None
    """Q, `[*, n, n]`, positive semidefinite, of which only the symmetric part counts; None for a linear program."""
    equality_matrix: Tensor | None = None
    """A, `[*, p, n]`, of full row rank; None if there are no equalities."""
    equality_vector: Tensor | None = None
    """b, `[*, p]`."""
    inequality_matrix: Tensor | None = None
    """G, `[*, m, n]`; None if there are no inequalities."""
    inequality_bound: Tensor | None = None
    """h, `[*, m]`; infinite where there is no bound."""
    lower: Tensor | None = None
    """`[*, n]`, minus infinity where there is none. A variable with lower == upper is fixed."""
    upper: Tensor | None = None
    """`[*, n]`, infinity where there is none."""
    penalty: Tensor | None = None
    """Price of one unit of violation of an inequality, `[*, m]`, not negative; infinite where the row is hard."""

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_values(self)

    @property
    def size(self) -> tuple[int, int, int]:
        """n variables, p equalities, m inequalities."""
        p = 0 if self.equality_matrix is None else self.equality_matrix.shape[-2]
        return self.linear.shape[-1], p, 0 if self.inequality_matrix is None else self.inequality_matrix.shape[-2]

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch dimensions of all fields, broadcast.

        Raises:
            ProgramError: they do not broadcast.
        """
        leading = {name: tuple(tensor.shape[: -_trailing(name)]) for name, tensor in present(self)}
        try:
            return tuple(torch.broadcast_shapes(*leading.values()))  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise ProgramError(f"convex program: batch dimensions do not broadcast: {leading}") from error


@dataclass(frozen=True, eq=False)
class Solution:
    """One entry an instance, in the batch dimensions and type of the program. All but the last three differentiate.

    Duals belong to the Lagrangian objective + y'(Ax - b) + z'(Gx - h) - zl'(x - lower) + zu'(x - upper): the optimal
    objective rises by -y a unit of b and falls by z a unit of h. An instance that is not optimal holds
    some finite point, and passes no gradient on.
    """

    x: Tensor
    """`[*, n]`."""
    equality_dual: Tensor
    """y, `[*, p]`."""
    inequality_dual: Tensor
    """z, `[*, m]`, from 0 to the penalty."""
    lower_dual: Tensor
    """zl, `[*, n]`, not negative; of a fixed variable, the positive part of its reduced cost."""
    upper_dual: Tensor
    """zu, `[*, n]`, not negative."""
    objective: Tensor
    """`[*]`, with the penalties."""
    status: Tensor
    """`Status` as integers, `[*]`."""
    residual: Tensor
    """Largest of the relative primal residual, dual residual and duality gap, `[*]`, float64."""
    iterations: Tensor
    """`[*]`, integer."""

    @property
    def optimal(self) -> Tensor:
        """`[*]`, boolean."""
        return self.status == Status.OPTIMAL


def require_optimal(solution: Solution, batch: tuple[int, ...] | None = None) -> Solution:
    """The solution, if every instance has one.

    Args:
        solution: What `solve` returned.
        batch: Batch dimensions to name an instance by, if not those of the solution.

    Raises:
        SolverError: the first instance that has none, by its place in the batch, and why.
    """
    batch = tuple(solution.status.shape) if batch is None else batch
    bad = (~solution.optimal).reshape(batch).nonzero()
    if len(bad) == 0:
        return solution
    at = tuple(bad[0].tolist())
    where = f"instance {list(at)} of batch {list(batch)}" if batch else "its only instance"
    code, residual, count = (t.reshape(batch)[at] for t in (solution.status, solution.residual, solution.iterations))
    status = Status(int(code))
    raise SolverError(
        f"convex program, {where}: {status.name.lower().replace('_', ' ')} after {int(count)} iterations "
        f"with residual {float(residual):.2g}: {FAULTS[status]}"
    )


def present(program: QuadraticProgram) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors `[B, ...]` of the fields that are given."""
    for field in fields(program):
        tensor = getattr(program, field.name)
        if tensor is not None:
            yield field.name, tensor


def _trailing(name: str) -> int:
    """Dimensions of a field that are not batch dimensions."""
    return 2 if name in MATRICES else 1


def _check_shapes(program: QuadraticProgram) -> None:
    for name, tensor in present(program):
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ProgramError(f"convex program: {name} expects a floating point tensor, got {kind}")
        if tensor.dim() < _trailing(name):
            raise ProgramError(
                f"convex program: {name} expects {_trailing(name)} dimensions or more, got {tensor.dim()}"
            )
        if tensor.device != program.linear.device:
            devices = f"{tensor.device} and linear on {program.linear.device}"
            raise ProgramError(f"convex program: {name} lies on {devices}; move them to one device")
    for one, other in (("equality_matrix", "equality_vector"), ("inequality_matrix", "inequality_bound")):
        if (getattr(program, one) is None) != (getattr(program, other) is None):
            raise ProgramError(f"convex program: give both {one} and {other}, or neither")
    n, p, m = program.size
    expected: dict[str, tuple[int, ...]] = {
        "quadratic": (n, n), "equality_matrix": (p, n), "equality_vector": (p,), "inequality_matrix": (m, n),
        "inequality_bound": (m,), "lower": (n,), "upper": (n,), "penalty": (m,),
    }  # fmt: skip
    for name, shape in expected.items():
        tensor = getattr(program, name)
        if tensor is not None and tuple(tensor.shape[-len(shape) :]) != shape:
            raise ProgramError(
                f"convex program: {name} expects a shape that ends in {list(shape)} (n = {n} from linear"
                f"{', rows from its matrix' if shape[0] != n else ''}), got {list(tensor.shape)}"
            )
    _ = program.batch


def _check_values(program: QuadraticProgram) -> None:
    # The infinity that means "no bound", and none other, is allowed.
    allowed = {"inequality_bound": math.inf, "lower": -math.inf, "upper": math.inf, "penalty": math.inf}
    for name, tensor in present(program):
        good = tensor.isfinite() | (tensor == allowed.get(name, 0.0))
        if name == "penalty":
            good &= tensor >= 0
        if not good.all():
            at = tuple((~good).nonzero()[0].tolist())
            expected = f"a finite number or {allowed[name]}" if name in allowed else "a finite number"
            sign = ", not negative" if name == "penalty" else ""
            raise ProgramError(
                f"convex program: {name} is {tensor[at].item()} at {list(at)}; expected {expected}{sign}"
            )
