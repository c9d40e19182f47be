"""A whole grid in a moment: what its units see, and what becomes of what they do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dgpg_power.deploy.features import Signals
from dgpg_power.deploy.scales import Floats, Scales


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
        most = scales.unit_max if self.available is None else _float(self.available)
        low, high = bounds(scales, output, most)
        loading = (flow - scales.middle) * scales.within
        over = np.sign(loading) * (np.abs(loading) > 1)
        base = scales.base_flow - scales.base_factors @ load if scales.level == "P" else np.zeros(0)
        return Signals(
            unit=np.arange(len(output)),
            low=low,
            high=high,
            output=output,
            local_load=load[scales.unit_bus],
            last_local_load=_float(self.last_load)[scales.unit_bus],
            total_load=float(load.sum()),
            last_total_load=float(_float(self.last_load).sum()),
            hour=self.hour,
            residual=self.residual,
            overload_price=(over @ scales.area_factors)[scales.area],
            own_flow=flow[scales.own_lines],
            base_flow=base,
        )


def bounds(scales: Scales, output: Floats, most: Floats) -> tuple[Floats, Floats]:
    """Outputs that limits, ramps and `most` allow next, low and high, `[N]` each; see `dynamics.next_range`."""
    least = np.where(most > 0, scales.unit_min, np.float32(0))
    high = np.minimum(np.maximum(output + scales.ramp, least), most)
    return np.minimum(np.maximum(output - scales.ramp, least), high), high


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
