"""The entry point `power` of group `dgpg.deploy`: a unit's signals as an operator writes them in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgpg.deploy import number, numbers, only, which
from dgpg_power.deploy.features import Signals, features
from dgpg_power.deploy.scales import Scales, following
from dgpg_power.deploy.snapshot import bounds

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
        names = (*ALWAYS, *MORE[scales.level])
        self.example: Mapping[str, Any] = {name: x for name, x in example.items() if name in names}

    def features(self, plain: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Arguments of `Policy.act` for one unit.

        Raises:
            DecisionError: a value is missing, unknown or impossible, with its place.
        """
        names = (*ALWAYS, *MORE[self.scales.level])
        given, scales = only(plain, "plain", names), self.scales
        unit = which(given, "plain", "unit", scales.units)
        told = {name: number(given, "plain", name) for name in ALWAYS[3:7]}
        output = number(given, "plain", "output")
        available = number(given, "plain", "available", float(scales.unit_max[unit]), least=0)
        low, high = bounds(scales, np.array([output], np.float32), np.array([available], np.float32), [unit])
        more: dict[str, Any] = {n: number(given, "plain", n, 0.0) for n in ("residual", "overload_price") if n in names}
        if "own_flow" in names:
            more["own_flow"] = numbers(given, "plain", "own_flow", scales.own_lines.shape[1])[None]
        if "base_flow" in names:
            more["base_flow"] = numbers(given, "plain", "base_flow", len(scales.broadcast))
        hour = number(given, "plain", "hour", least=0)
        signals = Signals(
            unit=[unit], low=low, high=high, output=[output], local_load=[told["local_load"]],
            last_local_load=[told["last_local_load"]], total_load=told["total_load"],
            last_total_load=told["last_total_load"], hour=hour, **more,
        )  # fmt: skip
        return {name: x[0] for name, x in features(scales, signals).items()}


def make(description: Mapping[str, Any]) -> Dispatch:
    """Of an exported policy."""
    return Dispatch(Scales.read(description["plain"]))
