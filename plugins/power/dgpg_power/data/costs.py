"""Rows of mpc.gencost as the convex costs of a network: constant, linear, quadratic, and kinks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgpg.errors import DataError
from dgpg_power.network import FloatArray, IntArray

from .case import Matrix

ROUNDING = 1e-3
"""A marginal cost that falls by less than this share is rounded data and taken as constant."""


@dataclass(frozen=True)
class Cost:
    """The cost of one unit: constant + linear p + quadratic p² + sum slope max(p - kink, 0), $ per hour, p in MW."""

    constant: float
    linear: float
    quadratic: float = 0.0
    kink: tuple[float, ...] = ()
    slope: tuple[float, ...] = ()
    fall: float = 0.0
    """Largest share by which the marginal cost fell in the source, at most `ROUNDING`."""

    @property
    def at_rest(self) -> float:
        """At an output of 0, $ per hour."""
        return self.constant + sum(-slope * kink for kink, slope in zip(self.kink, self.slope, strict=True) if kink < 0)


def unit_cost(matrix: Matrix, row: int) -> Cost:
    """The cost in a row of gencost; DataError names the row if it is malformed or not convex."""
    values, at = matrix.rows[row], matrix.at(row)
    if len(values) < 4 or not np.isfinite(values).all():
        raise DataError(f"{at}: expected finite numbers: model, startup, shutdown, n, and the n numbers or points")
    model, n = values[0], int(values[3])
    width = {1: 4 + 2 * n, 2: 4 + n}.get(int(model), 0)
    if not width or model not in (1, 2):
        raise DataError(f"{at}: model {model:g}, expected 1 (points) or 2 (polynomial)")
    if n != values[3] or n < 4 - 2 * model:
        raise DataError(f"{at}: n is {values[3]:g}, expected a whole number of at least {4 - 2 * model:g}")
    if len(values) < width:
        raise DataError(f"{at}: expected {width} numbers for n = {n}, got {len(values)}: correct n or the row")
    return _polynomial(values[4:width], at) if model == 2 else _points(np.array(values[4:width]), at)


def resting_cost(matrix: Matrix, row: int) -> float:
    """What the unit of a row costs at an output of 0, $ per hour, whatever the degree of a polynomial."""
    values = matrix.rows[row]
    n = int(values[3]) if len(values) > 3 and np.isfinite(values).all() else 0
    if n > 0 and values[0] == 2 and len(values) >= 4 + n:
        return values[3 + n]
    return unit_cost(matrix, row).at_rest


def _polynomial(coefficients: tuple[float, ...], at: str) -> Cost:
    """A polynomial, highest power first."""
    if any(coefficients[:-3]):
        raise DataError(f"{at}: a polynomial of degree {len(coefficients) - 1}, expected at most 2: fit a quadratic")
    quadratic, linear, constant = (0.0, 0.0, 0.0, *coefficients)[-3:]
    if quadratic < 0:
        raise DataError(f"{at}: quadratic coefficient {quadratic:g}, expected one of at least 0: costs must be convex")
    return Cost(constant, linear, quadratic)


def _points(values: FloatArray, at: str) -> Cost:
    """Straight pieces between points x1 y1 x2 y2 ...; the first and last go on beyond the points."""
    x, y = values[::2], values[1::2]
    again = np.append(False, (np.diff(x) == 0) & (np.diff(y) == 0))  # a point that is there twice
    x, y = x[~again], y[~again]
    if len(x) < 2:
        raise DataError(f"{at}: all points are the same one, expected two that differ: give a second, or model 2")
    if not (np.diff(x) > 0).all():
        raise DataError(f"{at}: the outputs of the points do not ascend, expected x1 < x2 < ...: sort them")
    slope = np.diff(y) / np.diff(x)
    fall = np.maximum(slope[:-1] - slope[1:], 0.0)
    share = fall / np.maximum(np.abs(slope[:-1]), 1e-9)
    for piece in np.flatnonzero(share > ROUNDING)[:1]:
        found = f"the marginal cost falls from {slope[piece]:g} to {slope[piece + 1]:g} $/MWh at {x[piece + 1]:g} MW"
        raise DataError(f"{at}: {found}, expected it to rise: costs must be convex")
    rise = np.diff(np.maximum.accumulate(slope))
    kept = rise > 0
    kink, slopes = tuple(x[1:-1][kept].tolist()), tuple(rise[kept].tolist())
    worst = float(share.max(initial=0.0))
    return Cost(float(y[0] - slope[0] * x[0]), float(slope[0]), 0.0, kink, slopes, worst)


def unit_costs(matrix: Matrix, units: IntArray) -> list[Cost]:
    """The costs of the given rows."""
    return [unit_cost(matrix, int(row)) for row in units]


def kink_table(costs: list[Cost]) -> tuple[FloatArray, FloatArray]:
    """Kinks and their slopes, each `[N, S]`, padded with slopes of 0."""
    width = max((len(cost.kink) for cost in costs), default=0)
    kink, slope = np.zeros((len(costs), width)), np.zeros((len(costs), width))
    for row, cost in enumerate(costs):
        kink[row, : len(cost.kink)] = cost.kink
        slope[row, : len(cost.slope)] = cost.slope
    return kink, slope
