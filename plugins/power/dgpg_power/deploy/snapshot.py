"""A whole grid in a moment: what its units see, and what becomes of what they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dgpg_power.deploy.features import Signals
from dgpg_power.deploy.scales import Floats, Scales

_NONE, _ONE = (np.array(x, np.float32) for x in (0, 1))


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
            total_load=float(load.sum()),
            last_total_load=float(last.sum()),
            hour=self.hour,
            residual=self.residual,
            overload_price=_overload_price(scales, flow),
            own_flow=flow[scales.own_lines],
            base_flow=base,
        )


def _overload_price(scales: Scales, flow: Floats) -> Floats:
    """Of each unit, `[N]`; in most moments no line is beyond its limits."""
    loading = flow - scales.middle
    loading *= scales.within
    over = np.abs(loading) > _ONE
    if not np.count_nonzero(over):
        return np.zeros(len(scales.area), np.float32)
    found: Floats = ((np.sign(loading) * over) @ scales.area_factors)[scales.area]
    return found


def bounds(scales: Scales, output: Floats, most: Floats, unit: Any = slice(None)) -> tuple[Floats, Floats]:
    """Outputs that limits, ramps and `most` allow next, low and high, `[N]` each; see `dynamics.next_range`.

    Of some units alone where `unit` says which, of which `output` and `most` are then.
    """
    least, ramp = scales.unit_min[unit] * (most > _NONE), scales.ramp[unit]
    high = np.minimum(np.maximum(output + ramp, least), most)
    return np.minimum(np.maximum(output - ramp, least), high), high


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
    return np.asarray(x, np.float32)
