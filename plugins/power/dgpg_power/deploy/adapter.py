"""The entry point `power` of group `dgpg.deploy`: a unit's signals as an operator writes them in JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgpg.deploy import number, numbers, only, which
from dgpg_power.deploy.features import scaled
from dgpg_power.deploy.scales import Scales, following

ALWAYS = ("unit", "output", "available", "local_load", "last_local_load", "total_load", "last_total_load", "hour")
MORE = {"A": (), "B": ("residual", "overload_price")}
MORE["C"] = (*MORE["B"], "own_flow")
MORE["P"] = (*MORE["C"], "base_flow")


class Dispatch:
    """One unit's signals, MW and hours, to features; the unit by its name or number."""

    def __init__(self, scales: Scales) -> None:
        self.scales = scales
        self.rules = {"follow-load": partial(following, scales)}
        half = float((scales.unit_min[0] + scales.unit_max[0]) / 2)
        local, total = (float(x) for x in (scales.local[0, 0], scales.total[0]))
        loads = {"local_load": local, "last_local_load": local, "total_load": total, "last_total_load": total}
        lines = scales.own_lines[0]
        arrays = {
            "own_flow": (scales.middle[lines]).round(1).tolist(),
            "base_flow": scales.middle[scales.broadcast].round(1).tolist(),
        }
        example = {"unit": scales.units[0], "output": half, **loads, "hour": 12.0, **arrays}
        self.names = (*ALWAYS, *MORE[scales.level])
        self.example: Mapping[str, Any] = {name: x for name, x in example.items() if name in self.names}

    def features(self, plain: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Arguments of `Policy.act` for one unit.

        Raises:
            DecisionError: a value is missing, unknown or impossible, with its place.
        """
        given, scales = only(plain, "plain", self.names), self.scales
        unit = which(given, "plain", "unit", scales.units)
        output, hour = number(given, "plain", "output"), number(given, "plain", "hour", least=0)
        available = number(given, "plain", "available", float(scales.unit_max[unit]), least=0)
        load, last, total, last_total = (number(given, "plain", name) for name in ALWAYS[3:7])
        low, high = self._bounds(unit, output, available)
        angle = 2 * math.pi * (hour % 24) / 24
        # In the order of `measured`.
        row = [0.0, 0.0, 0.0, 0.0, low, high, output, load, total, math.sin(angle), math.cos(angle), load - last]
        row.append(total - last_total)
        if "residual" in self.names:
            row += (number(given, "plain", name, 0.0) for name in ("residual", "overload_price"))
        if "own_flow" in self.names:
            row += numbers(given, "plain", "own_flow", scales.own_lines.shape[1]).tolist()
        if "base_flow" in self.names:
            row += numbers(given, "plain", "base_flow", len(scales.broadcast)).tolist()
        gain, shift = scales.affine
        return {"agent": scaled(np.array(row, np.float32), gain[unit], shift[unit]), "index": np.array(unit, np.int64)}

    def _bounds(self, unit: int, output: float, available: float) -> tuple[float, float]:
        """As `snapshot.bounds`, of one unit."""
        scales = self.scales
        least, ramp = float(scales.unit_min[unit]) if available > 0 else 0.0, float(scales.ramp[unit])
        return min(max(output - ramp, least), available), min(max(output + ramp, least), available)


def make(description: Mapping[str, Any]) -> Dispatch:
    """Of an exported policy."""
    return Dispatch(Scales.read(description["plain"]))
