"""Two programs as layers, with either solver."""

from typing import Any

import pytest
import torch

from dgpg.convex import ConvexLayer

cp: Any = pytest.importorskip("cvxpy", reason="cvxpy (extra 'convex') is not installed")
pytest.importorskip("cvxpylayers", reason="cvxpylayers (extra 'convex') is not installed")

f64 = torch.float64


def simplex(n: int = 3, **settings: Any) -> ConvexLayer:
    """The point of the simplex nearest to p; x = max(p - mu, 0)."""
    x, p = cp.Variable(n, name="x"), cp.Parameter(n, name="p")
    problem = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(x - p)), [x >= 0, cp.sum(x) == 1])
    return ConvexLayer(problem, [p], [x], **settings)


def box(**settings: Any) -> ConvexLayer:
    """min 1/2 |x - q|^2 over low <= x, sum x = total: infeasible where the sum of low exceeds total."""
    x, q, low, total = (
        cp.Variable(2),
        cp.Parameter(2),
        cp.Parameter(2, name="low"),
        cp.Parameter(name="total"),
    )
    goal = cp.Minimize(0.5 * cp.sum_squares(x - q))
    return ConvexLayer(cp.Problem(goal, [x >= low, x <= 10, cp.sum(x) == total]), [q, low, total], [x], **settings)


LSQR, LSMR, DENSE = ({"derivative": name} for name in ("lsqr", "lsmr", "dense"))
OURS = {"solver": "interior-point"}
