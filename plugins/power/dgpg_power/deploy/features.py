"""What units measure and are told as what they see; the same numbers as `dgpg_power.observation`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgpg_power.deploy.scales import BOUND, Floats, Scales


@dataclass(frozen=True)
class Signals:
    """Of R units in a moment, before it is dispatched; MW. What all units are told has no R."""

    unit: ArrayLike
    """Which, from 0, `[R]`."""
    low: ArrayLike
    """Least output that limits and ramps allow, `[R]`."""
    high: ArrayLike
    """Largest, `[R]`; 0 if the unit is off."""
    output: ArrayLike
    """In the last step, `[R]`."""
    local_load: ArrayLike
    """Forecast at the unit's bus, `[R]`."""
    last_local_load: ArrayLike
    """What it was in the last step, `[R]`."""
    total_load: float
    """Forecast."""
    last_total_load: float
    """What it was."""
    hour: float
    """Of the day."""
    residual: float = 0.0
    """Demand less the sum of base points in the last step; from level B on."""
    overload_price: ArrayLike = 0.0
    """See `Snapshot.signals`, `[R]`; from level B on."""
    own_flow: ArrayLike = 0.0
    """Last flow of `own_lines`, `[R, 8]`; from level C on."""
    base_flow: ArrayLike = 0.0
    """Of the lines that are broadcast, what loads alone cause, `[20]`; at level P."""


def features(scales: Scales, signals: Signals) -> dict[str, NDArray[np.generic]]:
    """What units see: `agent` `[R, F]` and `index` `[R]`, arguments of `dgpg.deploy.Policy`."""
    unit = np.asarray(signals.unit, np.int64)
    gain, shift = scales.affine
    if unit is not scales.everyone:
        gain, shift = gain[unit], shift[unit]
    return {"agent": scaled(measured(scales, signals, len(unit)), gain, shift), "index": unit}


def scaled(measurements: Floats, gain: Floats, shift: Floats) -> Floats:
    """What units see of measurements, `[R, F]` each; they are changed in place."""
    measurements *= gain
    measurements += shift
    np.minimum(measurements, _MOST, out=measurements)
    return np.maximum(measurements, _LEAST, out=measurements)


_MOST, _LEAST = (np.array(x, np.float32) for x in (BOUND, -BOUND))


def measured(scales: Scales, signals: Signals, count: int) -> Floats:
    """Measurements `[R, F]` where the features that are affine in them lie; what never changes is left 0."""
    angle = 2 * math.pi * (signals.hour % 24) / 24
    x = np.zeros((count, scales.affine[0].shape[1]), np.float32)
    x[:, 4], x[:, 5], x[:, 6], x[:, 7] = signals.low, signals.high, signals.output, signals.local_load
    x[:, 8], x[:, 9], x[:, 10] = signals.total_load, math.sin(angle), math.cos(angle)
    x[:, 11] = np.subtract(signals.local_load, signals.last_local_load)
    x[:, 12] = signals.total_load - signals.last_total_load
    if scales.level in "BCP":
        x[:, 13], x[:, 14] = signals.residual, signals.overload_price
    if scales.level in "CP":
        own = scales.own_lines.shape[1]
        x[:, 15 : 15 + own] = signals.own_flow
        if scales.level == "P":
            x[:, 15 + own :] = signals.base_flow
    return x
