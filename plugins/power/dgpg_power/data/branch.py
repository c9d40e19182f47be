"""What a convention of the DC approximation makes of branches: susceptances, phase shifts, limits either way.

Two conventions of the DC approximation are in use and contradict each other once there are taps, shifts or resistance:

* "matpower": b = 1 / (x tap), a phase shift φ moves the flow to b (θ_from - θ_to - φ); makeBdc of MATPOWER and PYPOWER.
* "pglib": b = x / (r² + x²), taps and phase shifts are left out; DCPPowerModel of PowerModels.jl, whose optima PGLib
  publishes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from dgpg_power.config import Flow
from dgpg_power.network import FloatArray

R, X, RATE, TAP, SHIFT, ANGLE_MIN, ANGLE_MAX = 2, 3, 5, 8, 9, 11, 12
"""Columns of mpc.branch, from 0; MATPOWER User's Manual, table B-3."""
OPEN: Mapping[Flow, float] = MappingProxyType({"pglib": 90.0, "matpower": 360.0})
"""Degrees from which an angle limit is none. PowerModels has 60 in the place of those; PGLib's cases keep below."""


@dataclass(frozen=True, eq=False)
class BranchPhysics:
    """What a convention makes of branches, `[nl]` each; the fields of `Network` that have these names."""

    susceptance: FloatArray
    shift_flow: FloatArray
    flow_min: FloatArray
    flow_max: FloatArray
    notes: tuple[str, ...]


def branch_physics(branch: FloatArray, base_mva: float, flow: Flow) -> BranchPhysics:
    """Susceptances, flows at equal angles and limits of branches in service, `[nl, 13]`, and notes.

    Limits are rate A either way and the angles between which θ_from - θ_to may be. Of these, 0 and 0 are none, as in
    MATPOWER 8 and PowerModels (PYPOWER 5.1 takes a single 0 as none too); so are angles of `OPEN` or more.
    """
    b, shift = _susceptance(branch, flow)
    rate = np.where(branch[:, RATE] > 0, branch[:, RATE], np.inf)
    low, high = branch[:, ANGLE_MIN], branch[:, ANGLE_MAX]
    none = (low == 0) & (high == 0)
    angles = np.where(none | (low <= -OPEN[flow]), -np.inf, low), np.where(none | (high >= OPEN[flow]), np.inf, high)
    # A negative susceptance turns the larger angle into the smaller flow.
    ends = np.sort([(np.deg2rad(angle) - shift) * b * base_mva for angle in angles], axis=0)
    flow_min, flow_max = np.maximum(-rate, ends[0]), np.minimum(rate, ends[1])
    unlimited = np.isinf(flow_min) & np.isinf(flow_max)
    narrower = (flow_min > -rate) | (flow_max < rate)
    notes = (
        _flow_note(branch, flow),
        *counted(int(unlimited.sum()), "line", "lines", "no limit in the source"),
        *counted(int(narrower.sum()), "line", "lines", "limited by its angle difference, below rateA"),
        *counted(int((flow_min != -flow_max).sum()), "line", "lines", "limits differ by direction"),
    )
    return BranchPhysics(b, 0.0 - b * shift * base_mva, flow_min, flow_max, notes)


def _susceptance(branch: FloatArray, flow: Flow) -> tuple[FloatArray, FloatArray]:
    """b, per unit, and the phase shift that counts, radians, `[nl]` each."""
    r, x, tap = branch[:, R], branch[:, X], branch[:, TAP]
    if flow == "pglib":
        return x / (r**2 + x**2), np.zeros(len(branch))
    return 1 / (x * np.where(tap == 0, 1.0, tap)), np.deg2rad(branch[:, SHIFT])


def _flow_note(branch: FloatArray, flow: Flow) -> str:
    changed = int((((branch[:, TAP] != 0) & (branch[:, TAP] != 1)) | (branch[:, SHIFT] != 0)).sum())
    lines = f"{changed} {'line' if changed == 1 else 'lines'}"
    if flow == "pglib":
        left = f", tap ratio or phase shift of {lines} left out" if changed else ""
        return f"flow = pglib: b = x / (r² + x²){left}"
    return f"flow = matpower: b = 1 / (x tap){f', tap ratio or phase shift of {lines} counted' if changed else ''}"


def counted(number: int, one: str, more: str, what: str) -> tuple[str, ...]:
    """A note about some things, or none if there are none: "1 line out of service: left out"."""
    return (f"{number} {one if number == 1 else more}: {what}",) if number else ()
