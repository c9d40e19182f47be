"""Rules on what a pair sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgpg.deploy import Rows
from dgpg_traffic.deploy.scales import BOUND, Scales

SENSITIVITY = 10.0
"""Of the logit rule: a route a tenth slower than another has a share smaller by e."""


def usual(scales: Scales, rows: Rows) -> NDArray[Any]:
    """The splits that the policy began at, `[R, K]`: those of the usual day's equilibrium, unless set otherwise."""
    found: NDArray[Any] = scales.first[rows["index"]]
    return found


def logit(scales: Scales, rows: Rows) -> NDArray[Any]:
    """Discrete choice on the route times of the last period, exp(-10 time / least time), `[R, K]`."""
    time = _times(scales, rows)
    weight = np.exp(-SENSITIVITY * (time / time.min(-1, keepdims=True) - 1))
    found: NDArray[Any] = weight / weight.sum(-1, keepdims=True)
    return found


def fastest(scales: Scales, rows: Rows) -> NDArray[Any]:
    """All vehicles on the route that was the fastest in the last period, `[R, K]`."""
    found: NDArray[Any] = np.eye(rows["mask"].shape[1])[_times(scales, rows).argmin(-1)]
    return found


def _times(scales: Scales, rows: Rows) -> NDArray[Any]:
    """Route times that features stand for, at least a thousandth of the usual, inf where there is no route."""
    mean, deviation = scales.route_time[:, rows["index"]].astype(np.float64)
    seen = (rows["choices"][..., 0] / BOUND).clip(-1 + 1e-6, 1 - 1e-6)
    time = np.maximum(mean + deviation * BOUND * np.arctanh(seen), 1e-3 * mean)
    return np.where(rows["mask"], np.maximum(time, 1e-9), np.inf)
