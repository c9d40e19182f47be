"""AC power flow of one moment: what voltage, reactive power and losses make of outputs that were dispatched.

It is PYPOWER's (Newton's method), on the source case with its reactive loads, set-points of voltage, taps, shunts and
condensers. PYPOWER 5.1 fails with an IndexError when it is to enforce limits of reactive power, so voltages are held
and the steps that break such a limit are counted.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pypower.api import ppoption, runpf

from dgpg.errors import ConfigError, DataError
from dgpg_power.config import Config
from dgpg_power.data.branch import RATE
from dgpg_power.data.build import GS, PD, STATUS, TYPE, Kept, kept_rows
from dgpg_power.data.case import Case
from dgpg_power.data.load import load_case
from dgpg_power.network import FloatArray, Network
from dgpg_power.recorded import folder_of
from dgpg_power.system import source_of

QD, BS, VM, VA, VMAX, VMIN, PG, QG, QMAX, QMIN, VG, B, ON = 3, 5, 7, 8, 11, 12, 1, 2, 3, 4, 5, 4, 10
VOLT = [VM, VA]
ENDS = ((13, 14), (15, 16))
"""Columns of MW and Mvar at either end of a line in a result; MATPOWER User's Manual, table B-3."""
HELD, SLACK, ISOLATED = 2, 3, 4
"""Types of buses: voltage held, slack, isolated."""
GEN_COLUMNS = 21
VOLTAGE_ERROR, POWER_ERROR = 1e-4, 1e-3
"""Per unit and MW or Mvar that count as rounding."""


@dataclass(frozen=True, eq=False)
class Moment:
    """A step of an episode: true load `[nb]` and output `[N]`, MW, and the line that is out, -1 for none."""

    load: FloatArray
    output: FloatArray
    outage: int


@dataclass(frozen=True, eq=False)
class Source:
    """The case behind a network, as PYPOWER takes it."""

    case: Case
    kept: Kept
    network: Network
    """As configured: its costs and the order of loads and units."""
    slack: int
    """The unit at the slack bus that takes what AC losses differ."""
    rate: FloatArray
    """Rate A times the configured scale, MVA, `[nl]`; inf where there is none."""


@dataclass(frozen=True)
class Solved:
    """What an AC power flow says of one moment."""

    cost: float
    """Generation with the slack's real output, $ per hour."""
    losses: float
    """MW: all that is fed in less the loads and shunts."""
    slack: float
    """What the slack unit gives more than it was told, MW."""
    voltage: bool
    """Whether a bus is outside its limits."""
    reactive: bool
    """Whether a unit or condenser is outside its reactive limits."""
    volt: FloatArray
    """Size and angle of the voltage at every bus of the source, per unit and degrees, `[buses, 2]`."""
    flow: NDArray[np.complex128]
    """P + jQ that enters each line at either end, MVA, `[2, nl]`."""
    loading: FloatArray
    """MVA over rate A of the lines that have one, `[lines]`."""


def read_source(config: Config, network: Network) -> Source:
    """The source case of a configuration whose network is `network`.

    Raises:
        ConfigError: no source case stands behind the configuration unit by unit.
        DataError: the source case has no single slack unit, or a number is none that an AC power flow needs.
    """
    if folder_of(config):
        raise ConfigError(
            f"network = {config.network}: a recorded series merges and drops units of its source, which an AC power "
            "flow needs; set load.source=noise, or leave --judge and margin out"
        )
    source = source_of(config)
    name = source.name
    if name.startswith("synthetic-"):
        raise ConfigError(
            f"network = {name}: a generated grid has no reactive power to judge; use a MATPOWER file or a case such as "
            "case39, or leave --judge and margin out"
        )
    case = load_case(name, bus=source.bus)
    kept = kept_rows(case)
    _check_numbers(case, kept)
    rate = case.branch.array(13)[kept.branch, RATE] * source.limit
    return Source(case, kept, network, _slack(case, kept), np.where(rate > 0, rate, np.inf))


def _check_numbers(case: Case, kept: Kept) -> None:
    """DataError for the first value in service that is no number, of those that DC power flow does not need."""
    bus, gen = case.bus.array(13), case.gen.array(10)
    on = (gen[:, STATUS] > 0) & np.isin(gen[:, 0], bus[kept.bus, 0])
    for matrix, values, rows, finite, limits in (
        (case.bus, bus, kept.bus, {"Qd": QD, "Bs": BS, "Vm": VM, "Va": VA}, {"Vmax": VMAX, "Vmin": VMIN}),
        (case.gen, gen, np.flatnonzero(on), {"Vg": VG}, {"Qmax": QMAX, "Qmin": QMIN}),
        (case.branch, case.branch.array(13), kept.branch, {"b": B}, {}),
    ):
        idle = ~np.isin(np.arange(len(values)), rows)
        for name, at in finite.items():
            matrix.require(idle | np.isfinite(values[:, at]), name, values[:, at], "a finite number")
        for name in finite.keys() & {"Vm", "Vg"}:
            matrix.require(idle | (values[:, finite[name]] > 0), name, values[:, finite[name]], "per unit, above 0")
        for name, at in limits.items():
            matrix.require(idle | ~np.isnan(values[:, at]), name, values[:, at], "a number")


def _slack(case: Case, kept: Kept) -> int:
    """Position among the units of the one that PYPOWER moves: the first in service at the slack bus.

    That is the bus of type 3, or, where no unit is in service there, the first of type 2 that has one.
    """
    bus, gen = case.bus.array(13)[kept.bus], case.gen.array(10)
    on = gen[:, STATUS] > 0
    served = np.isin(bus[:, 0], gen[on, 0])
    named = bus[bus[:, TYPE] == SLACK, 0]
    found = bus[(bus[:, TYPE] == SLACK) & served, 0]
    if not len(found):
        found = bus[(bus[:, TYPE] == HELD) & served, 0][:1]
    remedy = f"give type {SLACK} in mpc.bus to the bus of one large unit in service"
    if len(found) != 1:
        said = f"slack buses {', '.join(f'{b:g}' for b in found)}" if len(found) else "no slack bus"
        off = (
            f" (no unit is in service at bus {named[0]:g}, or at one of type {HELD})"
            if len(named) and not len(found)
            else ""
        )
        raise DataError(f"{case.where}: {said}{off}, expected one: {remedy}")
    first = int(np.flatnonzero(on & (gen[:, 0] == found[0]))[0])
    if first not in kept.gen:
        which = f"the first unit in service at slack bus {found[0]:g} is a condenser (mpc.gen row {first + 1})"
        raise DataError(f"{case.where}: {which}, expected one that can cover losses: {remedy}")
    return int(np.flatnonzero(kept.gen == first)[0])


def solve_all(source: Source, moments: Iterable[Moment]) -> list[Solved | None]:
    """AC power flow of each moment, from the voltages of the one before; None where it does not converge."""
    found: list[Solved | None] = []
    start = None
    for moment in moments:
        one = solve(source, moment, start)
        if one is None and start is not None:
            one = solve(source, moment)
        start = start if one is None else one.volt
        found.append(one)
    return found


def solve(source: Source, moment: Moment, start: FloatArray | None = None) -> Solved | None:
    """AC power flow of a moment from voltages as in `Solved.volt`, the source's if None; None if it diverges."""
    case = _posed(source, moment)
    if start is not None:
        case["bus"][:, VOLT] = start
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a singular Jacobian on the way to a divergence, which is counted
        try:
            found, success = runpf(case, ppoption(VERBOSE=0, OUT_ALL=0))
        except (np.linalg.LinAlgError, RuntimeError):
            return None
    bus, gen, branch = (np.asarray(found[name], float) for name in ("bus", "gen", "branch"))
    if not success or not np.isfinite(bus[:, VM]).all():
        return None
    live, on = source.kept.bus, gen[:, STATUS] > 0
    volt, output = bus[live, VM], gen[source.kept.gen, PG]
    outside = (volt > bus[live, VMAX] + VOLTAGE_ERROR) | (volt < bus[live, VMIN] - VOLTAGE_ERROR)
    reactive = (gen[:, QG] > gen[:, QMAX] + POWER_ERROR) | (gen[:, QG] < gen[:, QMIN] - POWER_ERROR)
    flow = np.stack([branch[source.kept.branch, p] + 1j * branch[source.kept.branch, q] for p, q in ENDS])
    return Solved(
        cost=float(source.network.cost(output).sum()),
        losses=float(gen[on, PG].sum() - (bus[live, PD] + bus[live, GS] * volt**2).sum()),
        slack=float(output[source.slack] - moment.output[source.slack]),
        voltage=bool(outside.any()),
        reactive=bool((reactive & on).any()),
        volt=bus[:, VOLT],
        flow=flow,
        loading=(np.abs(flow).max(0) / source.rate)[source.rate < np.inf],
    )


def _posed(source: Source, moment: Moment) -> dict[str, Any]:
    """The case at a moment: P, Q and shunt of a bus times its load over the source's, and what units give."""
    bus, gen, branch = source.case.bus.array(13), source.case.gen.array(10), source.case.branch.array(13)
    live = source.kept.bus
    bus[np.setdiff1d(np.arange(len(bus)), live), TYPE] = ISOLATED  # PYPOWER leaves these out with all that is there
    nominal = bus[live, PD] + bus[live, GS]
    # For reactive load where there is no active one; of loads alone, as feed-ins may come near them.
    common = np.maximum(moment.load, 0.0).sum() / np.maximum(nominal, 0.0).sum()
    scale = np.divide(moment.load, nominal, out=np.full_like(nominal, common), where=nominal != 0)
    for column in (PD, QD, GS):
        bus[live, column] *= scale
    gen[source.kept.gen, PG] = moment.output
    gen = np.pad(gen, ((0, 0), (0, max(0, GEN_COLUMNS - gen.shape[1]))))
    if moment.outage >= 0:
        branch[source.kept.branch[moment.outage], ON] = 0
    return {"version": "2", "baseMVA": source.case.base_mva, "bus": bus, "gen": gen, "branch": branch[:, :13]}
