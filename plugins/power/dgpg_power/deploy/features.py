"""What units measure and are told as what they see; the same numbers as `dgpg_power.observation`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgpg_power.deploy.scales import BOUND, CHANGE, Floats, Scales


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
    low, size = scales.unit_min[unit], np.maximum(scales.unit_max[unit] - scales.unit_min[unit], np.float32(1e-6))
    moving = [(_float(x) - low) / size for x in (signals.low, signals.high, signals.output)]
    mean, deviation = scales.local[:, unit]
    local, before = ((_float(x) - mean) / deviation for x in (signals.local_load, signals.last_local_load))
    total, last = (
        (np.float32(x) - scales.total[0]) / scales.total[1] for x in (signals.total_load, signals.last_total_load)
    )
    angle = 2 * np.pi * signals.hour / 24
    common = (total, np.sin(angle), np.cos(angle), (local - before) / CHANGE, (total - last) / CHANGE)
    columns = [*scales.fixed[unit].T, *moving, local, *common]
    if scales.level in "BCP":
        columns += [signals.residual / scales.total[1], signals.overload_price]
    if scales.level in "CP":
        line = scales.own_lines[unit]
        columns += list(_standard(scales.scaled(_float(signals.own_flow), line), scales.loading[:, line]).T)
    if scales.level == "P":
        columns += list(_standard(scales.scaled(_float(signals.base_flow), scales.broadcast), scales.base_loading))
    seen = np.stack([np.broadcast_to(_float(x), unit.shape) for x in columns], -1)
    return {"agent": seen.clip(-BOUND, BOUND), "index": unit}


def _standard(x: Floats, moments: Floats) -> Floats:
    found: Floats = (x - moments[0]) / moments[1]
    return found


def _float(x: ArrayLike) -> Floats:
    return np.asarray(x, np.float32)
