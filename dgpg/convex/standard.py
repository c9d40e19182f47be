"""The form that the iterations work on: min 1/2 x'Qx + c'x with Ax = b, Rx <= r, rows of length one, bounds as rows.

Batch dimensions are one, B. A vector is `[B, *]`; a matrix is `[*, *]` if all instances share it, else `[B, *, *]`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

PAIRS = 1 << 22
"""Largest number of products of columns to keep for a shared matrix: 32 MiB."""
ROUNDING = 1e-12
"""A row so much shorter than the longest is zero but for rounding errors: scaled up, they would be taken for data."""


class Data(NamedTuple):
    """A program's fields in float64: vectors `[B, *]`, matrices `[*, *]` or `[B, *, *]`, perhaps without rows."""

    linear: Tensor
    quadratic: Tensor | None
    equality_matrix: Tensor
    equality_vector: Tensor
    inequality_matrix: Tensor
    inequality_bound: Tensor
    lower: Tensor | None
    upper: Tensor | None
    penalty: Tensor | None


@dataclass(frozen=True, eq=False)
class Standard:
    """A program whose rows are its inequalities, then its lower, then its upper bounds: M = m (+ n) (+ n) of them.

    A fixed variable is zero here: its column is masked and its value moved to the right-hand sides.
    """

    quadratic: Tensor | None
    """Q, symmetric, `[n, n]` or `[B, n, n]`."""
    linear: Tensor
    """c, `[B, n]`."""
    equality: Tensor
    """A, `[p, n]` or `[B, p, n]`."""
    target: Tensor
    """b, `[B, p]`."""
    matrix: Tensor
    """G, the first rows of R, `[m, n]` or `[B, m, n]`."""
    bound: Tensor
    """r, `[B, M]`; zero in rows that are not `active`."""
    active: Tensor
    """1 where a row exists, 0 where its bound is infinite or its price zero, `[B, M]`."""
    penalty: Tensor | None
    """Largest dual of an inequality, `[B, m]`; infinite where the row is hard, None if all are."""
    free: Tensor | None
    """0 for a fixed variable, else 1, `[B, n]`; None if none is fixed."""
    pairs: Tensor | None
    """Products of columns j <= k of a shared G, `[m, n (n + 1) / 2]`."""
    lower: bool
    upper: bool

    def select(self, index: Tensor) -> Standard:
        """Some instances, by their places `[S]`."""
        chosen: dict[str, Any] = {}
        for name in (field.name for field in fields(self)):
            tensor = getattr(self, name)
            if not isinstance(tensor, Tensor) or name == "pairs":
                continue
            if tensor.dim() == 3 or name not in ("quadratic", "equality", "matrix"):
                chosen[name] = tensor.index_select(0, index)
        return replace(self, **chosen)

    def rows(self, x: Tensor) -> Tensor:
        """Rx `[B, M]` of x `[B, n]`."""
        parts = [times(self.matrix, x), *([-x] if self.lower else []), *([x] if self.upper else [])]
        return torch.cat(parts, -1) if len(parts) > 1 else parts[0]

    def transposed(self, z: Tensor) -> Tensor:
        """R'z `[B, n]` of z `[B, M]`, zero in fixed variables."""
        inequality, lower, upper = self.split(z)
        total = transposed_times(self.matrix, inequality)
        if lower is not None:
            total = total - lower
        if upper is not None:
            total = total + upper
        return total if self.free is None else total * self.free

    def split(self, z: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """`[B, M]` as parts of the inequalities `[B, m]`, lower and upper bounds `[B, n]` (None if not given)."""
        m, n = self.matrix.shape[-2:]
        lower = z[:, m : m + n] if self.lower else None
        return z[:, :m], lower, z[:, z.shape[-1] - n :] if self.upper else None

    def curvature(self, x: Tensor) -> Tensor:
        """Qx `[B, n]`."""
        return torch.zeros_like(x) if self.quadratic is None else times(self.quadratic, x)

    def hessian(self, weight: Tensor) -> Tensor:
        """Q + R' diag(weight) R, `[B, n, n]`; the identity in fixed variables."""
        inequality, lower, upper = self.split(weight)
        total = self._gram(inequality)
        diagonal = total.diagonal(dim1=-2, dim2=-1)
        for bound in (lower, upper):
            if bound is not None:
                diagonal += bound
        if self.quadratic is not None:
            total += self.quadratic
        if self.free is not None:
            total *= self.free[:, :, None] * self.free[:, None, :]
            diagonal += 1 - self.free
        return total

    def _gram(self, weight: Tensor) -> Tensor:
        """G' diag(weight) G `[B, n, n]` of a weight `[B, m]`."""
        n = self.matrix.shape[-1]
        if self.pairs is None:
            return self.matrix.mT @ (weight[..., None] * self.matrix)
        j, k = torch.triu_indices(n, n, device=weight.device)
        place = torch.empty(n, n, dtype=torch.long, device=weight.device)
        place[j, k] = place[k, j] = torch.arange(len(j), device=weight.device)
        return (weight @ self.pairs).index_select(1, place.flatten()).view(-1, n, n)


def times(matrix: Tensor, x: Tensor) -> Tensor:
    """`[B, rows]` from a matrix `[rows, n]` or `[B, rows, n]` and x `[B, n]`."""
    return x @ matrix.mT if matrix.dim() == 2 else (matrix @ x[..., None]).squeeze(-1)


def transposed_times(matrix: Tensor, z: Tensor) -> Tensor:
    """`[B, n]` from a matrix `[rows, n]` or `[B, rows, n]` and z `[B, rows]`."""
    return z @ matrix if matrix.dim() == 2 else (z[:, None, :] @ matrix).squeeze(-2)


@dataclass(frozen=True, eq=False)
class Scaling:
    """What turns a solution of the standard form into one of the program."""

    equality: Tensor
    """Length of each equality, `[1, p]` or `[B, p]`."""
    inequality: Tensor
    """Length of each inequality, `[1, m]` or `[B, m]`."""
    fixed: Tensor | None
    """True for fixed variables, `[B, n]`; None if none is."""
    value: Tensor
    """Fixed variables' values, zero for the others, `[B, n]`."""

    def select(self, index: Tensor) -> Scaling:
        """Some instances, by their places `[S]`."""
        lengths = [t if len(t) == 1 else t[index] for t in (self.equality, self.inequality)]
        return Scaling(lengths[0], lengths[1], None if self.fixed is None else self.fixed[index], self.value[index])


def standardise(data: Data) -> tuple[Standard, Scaling]:
    """The standard form of a program, and the way back."""
    fixed, value = _fixed(data)
    equality, lengths = _normalised(data.equality_matrix)
    matrix, row_lengths = _normalised(data.inequality_matrix)
    quadratic = None if data.quadratic is None else (data.quadratic + data.quadratic.mT) / 2
    linear, free = data.linear, None
    target = data.equality_vector / lengths
    bounds = [data.inequality_bound / row_lengths]
    if fixed is not None:
        free = 1.0 - fixed.double()
        target = target - times(equality, value)
        bounds[0] = bounds[0] - times(matrix, value)
        linear = linear * free if quadratic is None else (linear + times(quadratic, value)) * free
        equality = equality * free[:, None, :]
        quadratic = None if quadratic is None else quadratic * (free[:, :, None] * free[:, None, :])
    for side, sign in ((data.lower, -1), (data.upper, 1)):
        if side is not None and bool(side.isfinite().any()):
            bounds.append(sign * side if fixed is None else (sign * side).masked_fill(fixed, torch.inf))
    bound = torch.cat(bounds, -1)
    active = bound.isfinite()
    penalty = None
    if data.penalty is not None and not bool(data.penalty.isinf().all()):
        penalty = data.penalty * row_lengths
        active[:, : matrix.shape[-2]] &= penalty > 0
    standard = Standard(
        quadratic=quadratic,
        linear=linear,
        equality=equality,
        target=target,
        matrix=matrix,
        bound=bound.where(active, 0.0),
        active=active.double(),
        penalty=penalty,
        free=free,
        pairs=_pairs(matrix),
        lower=data.lower is not None and bool(data.lower.isfinite().any()),
        upper=data.upper is not None and bool(data.upper.isfinite().any()),
    )
    return standard, Scaling(lengths, row_lengths, fixed, value)


def _fixed(data: Data) -> tuple[Tensor | None, Tensor]:
    """Which variables have one possible value, and that value."""
    nothing = torch.zeros_like(data.linear)
    if data.lower is None or data.upper is None:
        return None, nothing
    fixed = data.lower == data.upper
    return (fixed, data.lower.where(fixed, nothing)) if bool(fixed.any()) else (None, nothing)


def _normalised(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of length one, and their lengths `[1, rows]` or `[B, rows]`; rows of zeros or of rounding errors stay."""
    length = matrix.norm(dim=-1)
    if matrix.shape[-2]:
        length = torch.where(length > ROUNDING * length.amax(-1, keepdim=True), length, 1.0)
    return matrix / length[..., None], length if length.dim() == 2 else length[None]


def _pairs(matrix: Tensor) -> Tensor | None:
    """With these products of columns, G' diag(w) G is one matrix product for the whole batch."""
    n = matrix.shape[-1]
    if matrix.dim() == 3 or matrix.shape[0] * n * (n + 1) // 2 > PAIRS:
        return None
    j, k = torch.triu_indices(n, n, device=matrix.device)
    return matrix[:, j] * matrix[:, k]
