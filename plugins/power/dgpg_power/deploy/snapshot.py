"""A whole grid in a moment: what its units see, and what becomes of what they do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgpg_power.deploy.features import Signals, scaled
from dgpg_power.deploy.scales import Floats, Scales

_FLOAT = np.dtype(np.float32)
_NONE, _ONE, _MINUS = (np.array(x, np.float32) for x in (0, 1, -1))


@dataclass(frozen=True)
class Snapshot:
    """N units, nb buses and L lines in the order of `Scales`; MW."""

    load: ArrayLike
    """Forecast of each bus, `[nb]`."""
    last_load: ArrayLike
    """What it was in the last step, `[nb]`."""
    output: ArrayLike
    """Of each unit in the last step, `[N]`."""
    flow: ArrayLike
    """Of each line in the last step, `[L]`."""
    hour: float
    """Of the day."""
    residual: float = 0.0
    """Demand less the sum of base points in the last step."""
    available: ArrayLike | None = None
    """Most that each unit can give, by weather and commitment, 0 where it is off, `[N]`; its maximum by default."""

    def signals(self, scales: Scales) -> Signals:
        """What all units measure and are told.

        The price of overloads of an area is the flow that one MW more of its units causes on lines over their limit,
        less that on lines under their least, so that a unit knows which way more output there moves them.
        """
        output, load, flow = _float(self.output), _float(self.load), _float(self.flow)
        last = _float(self.last_load)
        most = scales.unit_max if self.available is None else _float(self.available)
        low, high = bounds(scales, output, most)
        base = scales.base_flow - scales.base_factors @ load if scales.level == "P" else ()
        return Signals(
            unit=scales.everyone,
            low=low,
            high=high,
            output=output,
            local_load=load[scales.unit_bus],
            last_local_load=last[scales.unit_bus],
            total_load=scales.sum(load),
            last_total_load=scales.sum(last),
            hour=self.hour,
            residual=self.residual,
            overload_price=_overload_price(scales, flow),
            own_flow=flow[scales.own_lines],
            base_flow=base,
        )

    def seen(self, scales: Scales) -> dict[str, NDArray[np.generic]]:
        """`features` of the signals of all units, number for number, in a third of the time.

        All that is measured stands in one row, of which each feature of each unit is one place: over a few units it is
        the number of steps that takes time.
        """
        load, last = _float(self.load), _float(self.last_load)
        output, flow = _float(self.output), _float(self.flow)
        most = scales.unit_max if self.available is None else _float(self.available)
        angle, total = 2 * math.pi * (self.hour % 24) / 24, scales.sum(load)
        singles = [0.0, total, total - scales.sum(last), math.sin(angle), math.cos(angle), self.residual]
        row = [np.array(singles, np.float32), load, load - last, output, *bounds(scales, output, most)]
        if scales.level in "BCP":
            row += (_overload_price(scales, flow), flow)
        if scales.level == "P":
            row.append(scales.base_flow - scales.base_factors @ load)
        measured = np.concatenate(row).take(scales.places)
        return {"agent": scaled(measured, *scales.affine), "index": scales.everyone}


def _overload_price(scales: Scales, flow: Floats) -> Floats:
    """Of each unit, `[N]`."""
    loading = flow - scales.middle
    loading *= scales.within
    # Bytes of 0 and 1, whose difference is a sign.
    beyond = (loading > _ONE).view(np.int8) - (loading < _MINUS).view(np.int8)
    found: Floats = beyond.astype(np.float32).dot(scales.unit_factors)
    return found


def bounds(scales: Scales, output: Floats, most: Floats, unit: Any = slice(None)) -> tuple[Floats, Floats]:
    """Outputs that limits, ramps and `most` allow next, low and high, `[N]` each; see `dynamics.next_range`.

    Of some units alone where `unit` says which, of which `output` and `most` are then.
    """
    reach = output + scales.ramps[:, unit]
    np.maximum(reach, scales.unit_min[unit] * (most > _NONE), out=reach)
    low, high = np.minimum(reach, most, out=reach)
    return low, high


def dispatch(scales: Scales, action: ArrayLike, low: ArrayLike, high: ArrayLike, demand: float) -> Floats:
    """Outputs `[N]` for base points and shares `[N, A]` of all units: set-points that meet demand within bounds.

    As `dgpg_power.dynamics.dispatch`: base points, the residual by share, what is left by headroom.
    """
    low, high, action = _float(low), _float(high), _float(action)
    size = scales.unit_max - scales.unit_min
    share = np.clip(action[:, 1], 0, 1) * size if action.shape[1] == 2 else size
    base = np.clip(action[:, 0], low, high)
    weight = share / share.sum() if share.sum() > 0 else np.full_like(share, 1 / len(share))
    output = np.clip(base + weight * (demand - base.sum()), low, high)
    left = demand - output.sum()
    room = high - output if left > 0 else output - low
    moved: Floats = output + np.sign(left) * min(abs(left) / max(room.sum(), 1e-6), 1.0) * room
    return moved


def _float(x: ArrayLike) -> Floats:
    return np.asarray(x, _FLOAT)
