"""Routes of each pair, and the sums over their links and over the routes of a link, for batches.

Sums are products with sparse CSR matrices: for batches of 64 on one core 12 to 120 times faster than gathering and
adding padded indices on real networks, 1 to 3 times faster than COO (benchmarks/traffic_routes.py).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from dgpg_traffic.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Routes:
    """Up to K routes of each of N pairs, each of at most P links.

    Attributes:
        links: positions of the links in order of travel, then -1, `[N, K, P]`; a slot without a route is all -1.
    """

    links: IntArray

    def __post_init__(self) -> None:
        links = np.array(self.links, np.int64)
        links.flags.writeable = False
        object.__setattr__(self, "links", links)

    @property
    def exists(self) -> BoolArray:
        """Which slots hold a route, `[N, K]`; those that do come first."""
        found: BoolArray = self.links[..., 0] >= 0
        return found

    def times(self, link_time: FloatArray) -> FloatArray:
        """Time of each route at times `[L]` of the links, `[N, K]`; inf in an empty slot."""
        time = np.append(link_time, 0.0)[self.links].sum(-1)
        return np.where(self.exists, time, np.inf)


def pack(pair: IntArray, links: IntArray, score: FloatArray, most: int | None = None) -> tuple[Routes, FloatArray]:
    """Sort routes into slots, the highest score first; equal routes of a pair become one, their scores added.

    Args:
        pair: pair of each route, `[R]`; every pair has one at least.
        links: `[R, P]`, padded with -1.
        score: `[R]`.
        most: K; routes behind it are left out. None takes as many as the pair with the most routes has.

    Returns:
        The routes and their scores `[N, K]`, 0 in empty slots.
    """
    rows, total = _distinct(np.column_stack([pair, links]), score)
    order = np.lexsort((-total, rows[:, 0]))
    rows, total = rows[order], total[order]
    count = np.bincount(rows[:, 0])
    slot = np.arange(len(rows)) - np.repeat(count.cumsum() - count, count)
    slots = min(most or int(count.max()), int(count.max()))
    kept = slot < slots
    length = int((links >= 0).sum(1).max())
    packed, scores = np.full((len(count), slots, length), -1), np.zeros((len(count), slots))
    packed[rows[kept, 0], slot[kept]] = rows[kept, 1 : 1 + length]
    scores[rows[kept, 0], slot[kept]] = total[kept]
    return Routes(packed), scores


def _distinct(rows: IntArray, score: FloatArray) -> tuple[IntArray, FloatArray]:
    """The rows that differ, `[R, P]`, in an order that only they decide, and the sums of their scores.

    By hashes, and exactly: `numpy.unique` sorts whole rows, which took most of the time of column generation.
    """
    weight = np.random.default_rng(0).integers(1, 2**63, rows.shape[1], dtype=np.uint64)  # fixed, no chance
    order = np.lexsort((((rows + 1).astype(np.uint64) * weight).sum(1), rows[:, 0]))
    rows = rows[order]
    other = np.append(True, (rows[1:] != rows[:-1]).any(1))
    return rows[other], np.add.reduceat(score[order], np.flatnonzero(other))


def unpack(routes: Routes, score: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """The routes as rows: pair `[R]`, links `[R, P]` and what `score`, `[N, K]`, says of each, `[R]`."""
    exists = routes.exists
    return np.nonzero(exists)[0], routes.links[exists], score[exists]


def stack_rows(parts: Sequence[IntArray]) -> IntArray:
    """Arrays of links `[R, P]` of different P as one, padded with -1."""
    width = max(part.shape[1] for part in parts)
    padded = [np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=-1) for part in parts]
    return np.concatenate(padded)


class Incidence:
    """Which routes use which links, on a device. Differentiable, also twice."""

    def __init__(
        self,
        routes: Routes,
        num_links: int,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.routes, self.num_links, self._kind = routes, num_links, (device, dtype)
        self.shape = routes.exists.shape
        """(N, K)."""
        self.exists = torch.as_tensor(routes.exists, device=device)
        """Which slots hold a route, `[N, K]`."""
        flat = routes.links.reshape(-1, routes.links.shape[-1])
        row, at = np.nonzero(flat >= 0)
        self._links = matrices(row, flat[row, at], (len(flat), num_links), *self._kind)

    def flow(self, route_flow: Tensor) -> Tensor:
        """Flow on each link, `[..., L]`, of flows on routes `[..., N, K]`, 0 in empty slots."""
        return applied(self._links.T, route_flow.flatten(-2))

    def cost(self, link_cost: Tensor) -> Tensor:
        """Cost of each route, `[..., N, K]`, of costs of links `[..., L]`; 0 in an empty slot."""
        return applied(self._links, link_cost).reshape(*link_cost.shape[:-1], *self.shape)

    def common(self, link_cost: Tensor) -> Tensor:
        """Cost of the links that two routes of a pair share, `[..., N, K, K]`."""
        n, k = self.shape
        return applied(self._common, link_cost).reshape(*link_cost.shape[:-1], n, k, k)

    @cached_property
    def contested(self) -> tuple[Tensor, Incidence]:
        """Positions of the pairs that have a choice, more than one route, and the incidence of these alone."""
        pairs = np.flatnonzero(self.routes.exists.sum(-1) > 1)
        part = Incidence(Routes(self.routes.links[pairs]), self.num_links, *self._kind)
        return torch.as_tensor(pairs, device=self._kind[0]), part

    @cached_property
    def _common(self) -> _Pair:
        """Links that routes k and j of a pair share, a row (n, k, j): each link joins all routes that use it."""
        n, k, _ = self.routes.links.shape
        pair, slot, at = np.nonzero(self.routes.links >= 0)
        link = self.routes.links[pair, slot, at]
        order = np.lexsort((slot, link, pair))
        pair, slot, link = pair[order], slot[order], link[order]
        begins = np.flatnonzero(np.append(True, (np.diff(pair) != 0) | (np.diff(link) != 0)))
        size = np.diff(begins, append=len(pair))
        many, start = np.repeat(size, size), np.repeat(begins, size)
        one = np.repeat(np.arange(len(pair)), many)
        other = np.repeat(start, many) + np.arange(len(one)) - np.repeat(many.cumsum() - many, many)
        row = (pair[one] * k + slot[one]) * k + slot[other]
        return matrices(row, link[one], (n * k * k, self.num_links), *self._kind)


@dataclass(frozen=True, eq=False)
class _Pair:
    """A sparse matrix and its transpose: the derivative of a product with the one is a product with the other."""

    matrix: Tensor
    transposed: Tensor

    @property
    def T(self) -> _Pair:
        return _Pair(self.transposed, self.matrix)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Pair:
        """Itself: nothing changes it, and PyTorch cannot copy CSR matrices."""
        return self


def matrices(
    row: IntArray, column: IntArray, shape: tuple[int, int], device: torch.device | None, dtype: torch.dtype
) -> _Pair:
    """Ones at these places of a matrix, and its transpose."""
    matrix = csr_array((np.ones(len(row)), (row, column)), shape=shape)
    return _Pair(*(_on_device(one, device, dtype) for one in (matrix, matrix.T.tocsr())))


def _on_device(matrix: Any, device: torch.device | None, dtype: torch.dtype) -> Tensor:
    """A CSR matrix of SciPy, by indices of 32 bits: products take half the time that those of 64 do."""
    first, column = (torch.from_numpy(x.astype(np.int32)) for x in (matrix.indptr, matrix.indices))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)
        values = torch.from_numpy(matrix.data).to(dtype)
        return torch.sparse_csr_tensor(first, column, values, matrix.shape, check_invariants=False).to(device)


def applied(pair: _Pair, values: Tensor) -> Tensor:
    """`values @ matrix.T` over the last dimension."""
    flat = values.reshape(-1, values.shape[-1])
    product: Tensor = _Product.apply(pair, flat)  # type: ignore[no-untyped-call]
    return product.reshape(*values.shape[:-1], product.shape[-1])


class _Product(torch.autograd.Function):
    """`values @ matrix.T`, `[B, columns]` -> `[B, rows]`; PyTorch has no derivative of CSR products of its own."""

    @staticmethod
    def forward(ctx: Any, pair: _Pair, values: Tensor) -> Tensor:
        ctx.pair = pair
        if len(values) == 1:  # of one instance, half the time of a product of matrices
            return torch.mv(pair.matrix, values[0])[None]
        return (pair.matrix @ values.t()).t()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, applied(ctx.pair.T, gradient)
