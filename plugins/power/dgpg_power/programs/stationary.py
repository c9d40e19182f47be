"""Where a calibration starts: costs under which logged outputs are stationary, by linear least squares.

A unit between its limits has the price of its bus as marginal cost, b + 2 a p = price + H' times prices of full lines.
That is linear in a and b; prices of a moment are projected out. Inverse optimisation, R. K. Ahuja and J. B. Orlin,
Oper. Res. 49 (2001), for the dispatch. It says nothing of units at their limits, which the fit of the outputs does.
"""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_CURVE = 0.05
"""Least part of its own quadratic coefficient that a unit starts from."""
RIDGE = 1e-9
"""Pull to the network's own values, part of the largest weight of a coefficient."""


def stationary_costs(
    quadratic: Tensor, linear: Tensor, given: Tensor, output: Tensor, within: Tensor,
    factors: Tensor, full: Tensor, price: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """a and b, `[N]` each. Outputs leave their scale and shift open: without prices their means change by zero.

    Args:
        quadratic: The network's own a, `[N]`; one that is 0 stays 0.
        linear: Its own b, `[N]`.
        given: What a MWh saves besides its cost, $ per MWh, `[N]`.
        output: p, `[T, N]`.
        within: True where p is between its limits, `[T, N]`.
        factors: H of m lines, `[m, N]`.
        full: True where a line may be at its limit, `[T, m]`.
        price: What one more MWh of demand costs, $ per MWh, `[T]`; None if it is not known.
    """
    n = len(linear)
    scale = (linear + 2 * quadratic * output).abs().mean().clamp(min=1e-6)
    normal, right = torch.zeros(2 * n, 2 * n).double(), torch.zeros(2 * n).double()
    for t, (p, between, lines) in enumerate(zip(output, within, full, strict=True)):
        units = between.nonzero().squeeze(-1)
        ones = torch.ones(int(price is None), len(units)).double()
        basis = _basis(torch.cat([ones, factors[lines][:, units]]).mT)
        rows = torch.zeros(len(units), 2 * n).double()
        at = torch.arange(len(units))
        rows[at, units] = 2 * quadratic[units] * p[units] / scale  # of a relative change of a
        rows[at, n + units] = 1.0  # of a change of b by `scale`
        gap = (linear - given + 2 * quadratic * p - (0.0 if price is None else price[t]))[units] / scale
        rows, gap = rows - basis @ (basis.mT @ rows), gap - basis @ (basis.mT @ gap)
        normal, right = normal + rows.mT @ rows, right - rows.mT @ gap
    seen = within.any(0).double()
    weight = normal.diagonal().max().clamp(min=1e-12)
    for level in (
        () if price is not None else (torch.cat([seen * (quadratic > 0), 0 * seen]), torch.cat([0 * seen, seen]))
    ):
        normal = normal + weight * torch.outer(level, level) / level.sum().clamp(min=1).square()
    change = torch.linalg.solve(normal + RIDGE * weight * torch.eye(2 * n).double(), right)
    return quadratic * (1 + change[:n]).clamp(min=LEAST_CURVE), linear + scale * change[n:]


def worth(slope: Tensor, within: Tensor, factors: Tensor, full: Tensor, price: Tensor | None) -> Tensor:
    """What a MWh is worth at each unit, $ per MWh, `[T, N]`, by the units between their limits.

    Args:
        slope: marginal costs less what a MWh saves besides, $ per MWh, `[T, N]`.
        within, factors, full, price: as of `stationary_costs`.
    """
    rows = []
    for t, (between, lines) in enumerate(zip(within, full, strict=True)):
        columns = torch.cat([torch.ones(1, slope.shape[-1]).double(), factors[lines]]).mT
        known = slope.new_zeros(()) if price is None else price[t]
        columns = columns if price is None else columns[:, 1:]
        prices = torch.linalg.lstsq(
            columns[between], (slope[t] - known)[between].unsqueeze(-1), driver="gelsd"
        ).solution
        rows.append(known + (columns @ prices).squeeze(-1))
    return torch.stack(rows)


def _basis(columns: Tensor) -> Tensor:
    """Orthonormal columns that span those of `[u, c]`; none of dependent ones twice."""
    vectors: Tensor
    sizes: Tensor
    vectors, sizes, _ = torch.linalg.svd(columns, full_matrices=False)
    return vectors[:, sizes > 1e-9 * sizes.max()] if len(sizes) else vectors
