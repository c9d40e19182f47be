"""From a case in MATPOWER's columns to a network: what is in service, checked row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgpg.errors import DataError
from dgpg_power.network import BoolArray, FloatArray, IntArray, Network, validate

from .branch import ANGLE_MAX, ANGLE_MIN, RATE, SHIFT, TAP, BranchPhysics, R, X, branch_physics, counted
from .case import Case, Matrix, positions
from .costs import ROUNDING, Cost, kink_table, resting_cost, unit_costs
from .islands import labels

# Columns, from 0; MATPOWER User's Manual, tables B-1 to B-3.
BUS, TYPE, PD, GS, AREA = 0, 1, 2, 4, 6
GEN_BUS, STATUS, PMAX, PMIN, RAMP_AGC = 0, 7, 8, 9, 16
FROM, TO, ON = 0, 1, 10
ISOLATED = 4
LARGEST = 10**9
"""Largest number of a bus or area: beyond it a file is damaged."""


def to_network(case: Case) -> Network:
    """The network of a case: units and lines in service at buses that are not isolated.

    Units with Pmin = Pmax = 0 are synchronous condensers and are left out. Units with negative output
    (dispatchable loads) are kept. Notes say what was left out.
    """
    bus, gen, branch = case.bus.array(13), case.gen.array(10), case.branch.array(13)
    kept = kept_rows(case)
    live, units, lines = kept.bus, kept.gen, kept.branch
    physics = branch_physics(branch[lines], case.base_mva, case.flow)
    _check_room(case.branch, lines, physics)
    costs = _costs(case, len(gen), units)
    unsaid = _fixed_cost(case, bus, gen, kept)
    notes = (*case.notes, *kept.notes, *unsaid, *_load_notes(bus[live]), *physics.notes, *_cost_notes(costs))
    names = tuple(case.unit_name[n] if case.unit_name else f"gen{n + 1}" for n in units)
    kinds = tuple(case.unit_kind[n] if case.unit_kind else "thermal" for n in units)
    network = _assemble(case, (bus[live], gen[units], branch[lines]), physics, costs, (names, kinds), notes)
    return validate(network, case.where, case.branch.place)


@dataclass(frozen=True, eq=False)
class Kept:
    """Rows of a case, from 0, in the order of the network made of it.

    Attributes:
        bus: rows of `case.bus`, `[nb]`.
        gen: rows of `case.gen`, `[N]`.
        branch: rows of `case.branch`, `[nl]`.
        notes: what was left out.
    """

    bus: IntArray
    gen: IntArray
    branch: IntArray
    notes: tuple[str, ...]


def kept_rows(case: Case) -> Kept:
    """Which rows of a case its network consists of; DataError for the first row that is damaged."""
    bus, gen, branch = case.bus.array(13), case.gen.array(10), case.branch.array(13)
    _check_buses(case.bus, bus)
    live = bus[:, TYPE] != ISOLATED
    if not live.any():
        raise DataError(f"{case.where}: every bus is isolated (type {ISOLATED}), expected a connected grid")
    isolated = counted(int((~live).sum()), "isolated bus", "isolated buses", "left out")
    dead = live & _dead(case, bus, gen, branch, live)
    live = live & ~dead
    units, unit_notes = _kept_units(case.gen, gen, bus[:, BUS], live)
    lines, line_notes = _kept_lines(case.branch, branch, bus[:, BUS], live)
    cut = counted(int(dead.sum()), "bus", "buses", "cut off, without load: left out")
    return Kept(np.flatnonzero(live), units, lines, (*isolated, *cut, *unit_notes, *line_notes))


def _dead(case: Case, bus: FloatArray, gen: FloatArray, branch: FloatArray, live: BoolArray) -> BoolArray:
    """Buses of islands that ask for nothing and must give nothing, `[nb]`: of such the DC optimum is 0."""
    ends = [_known(case.branch, branch[:, end], bus[:, BUS]) for end in (FROM, TO)]
    on = (branch[:, ON] > 0) & live[ends[0]] & live[ends[1]]
    island = labels(len(bus), ends[0], ends[1], on)
    at = _known(case.gen, gen[:, GEN_BUS], bus[:, BUS])
    must = at[(gen[:, STATUS] > 0) & ((gen[:, PMIN] > 0) | (gen[:, PMAX] < 0))]
    asks = (bus[:, PD] != 0) | (bus[:, GS] != 0)
    asks[must] = True
    asks |= np.isin(island, _trading(island[at], gen))
    if not (asks & live).any():  # what is wrong with such a case is said elsewhere
        return np.zeros(len(bus), bool)
    dead: BoolArray = ~np.isin(island, island[asks & live])
    return dead


def _trading(island: IntArray, gen: FloatArray) -> IntArray:
    """Islands in which one unit may take what another gives; `island` of each row of `gen`."""
    on = gen[:, STATUS] > 0
    takes, gives = island[on & (gen[:, PMIN] < 0)], island[on & (gen[:, PMAX] > 0)]
    number, count = np.unique(island[on], return_counts=True)
    trading: IntArray = np.intersect1d(np.intersect1d(takes, gives), number[count > 1])
    return trading


def _assemble(
    case: Case,
    rows: tuple[FloatArray, FloatArray, FloatArray],
    physics: BranchPhysics,
    costs: list[Cost],
    units: tuple[tuple[str, ...], tuple[str, ...]],
    notes: tuple[str, ...],
) -> Network:
    """The network of the rows of buses, units and lines that are kept, and the names and kinds of the units."""
    bus, gen, branch = rows
    number = bus[:, BUS].astype(np.int64)
    kink, kink_slope = kink_table(costs)
    return Network(
        name=case.name,
        base_mva=case.base_mva,
        bus_number=number,
        area=bus[:, AREA].astype(np.int64),
        load=_load(bus),
        line_from=positions(number, branch[:, FROM]),
        line_to=positions(number, branch[:, TO]),
        susceptance=physics.susceptance,
        resistance=branch[:, R],
        shift_flow=physics.shift_flow,
        flow_min=physics.flow_min,
        flow_max=physics.flow_max,
        unit_bus=positions(number, gen[:, GEN_BUS]),
        unit_name=units[0],
        unit_kind=units[1],
        unit_min=gen[:, PMIN],
        unit_max=gen[:, PMAX],
        ramp=_ramp(gen),
        cost_constant=np.array([cost.constant for cost in costs]),
        cost_linear=np.array([cost.linear for cost in costs]),
        cost_quadratic=np.array([cost.quadratic for cost in costs]),
        kink=kink,
        kink_slope=kink_slope,
        notes=notes,
    )


def _check_buses(matrix: Matrix, bus: FloatArray) -> None:
    for column, name in ((BUS, "bus_i"), (TYPE, "type"), (PD, "Pd"), (GS, "Gs"), (AREA, "area")):
        matrix.require(np.isfinite(bus[:, column]), name, bus[:, column], "a finite number")
    number = bus[:, BUS]
    kinds = np.isin(bus[:, TYPE], (1, 2, 3, ISOLATED))
    matrix.require(kinds, "type", bus[:, TYPE], f"1 (load), 2 (voltage held), 3 (slack) or {ISOLATED} (isolated)")
    whole = (number > 0) & (number == np.floor(number)) & (number <= LARGEST)
    matrix.require(whole, "bus_i", number, f"a whole number from 1 to {LARGEST}")
    matrix.require(np.abs(bus[:, AREA]) <= LARGEST, "area", bus[:, AREA], f"a number of at most {LARGEST}")
    first: dict[float, int] = {}
    for row, value in enumerate(number.tolist()):
        if value in first:
            message = f"bus {value:g} occurs twice, first in row {first[value] + 1}: renumber or remove one"
            raise DataError(f"{matrix.at(row)}: {message}")
        first[value] = row


def _load(bus: FloatArray) -> FloatArray:
    """Demand and shunt losses in MW, `[nb]`."""
    load: FloatArray = bus[:, PD] + bus[:, GS]
    return load


def _load_notes(bus: FloatArray) -> tuple[str, ...]:
    negative = int((_load(bus) < 0).sum())
    return counted(negative, "bus with negative load", "buses with negative load", "taken as injections")


def _known(matrix: Matrix, end: FloatArray, number: FloatArray) -> IntArray:
    """Row in mpc.bus of each bus number; DataError for one that is not there."""
    at = positions(number.astype(np.int64), end)
    for row in np.flatnonzero(at < 0)[:1]:
        raise DataError(f"{matrix.at(int(row))}: bus {end[row]:g} is not in mpc.bus: correct the number or add the bus")
    return at


def _kept_units(
    matrix: Matrix, gen: FloatArray, number: FloatArray, live: BoolArray
) -> tuple[IntArray, tuple[str, ...]]:
    """Rows of the units to keep, and notes."""
    there = live[_known(matrix, gen[:, GEN_BUS], number)]
    matrix.require(np.isfinite(gen[:, STATUS]), "status", gen[:, STATUS], "1 (in service) or 0")
    on = (gen[:, STATUS] > 0) & there
    low, high = gen[:, PMIN], gen[:, PMAX]
    for name, values in (("Pmin", low), ("Pmax", high)):
        matrix.require(~on | np.isfinite(values), name, values, "a finite number for a unit in service")
    matrix.check(~on | (low <= high), "Pmin is above Pmax, expected Pmin <= Pmax: correct them")
    if gen.shape[1] > RAMP_AGC:
        ramp = gen[:, RAMP_AGC]
        matrix.require(~on | (ramp >= 0), "ramp_agc", ramp, "MW per minute of at least 0, 0 for no limit")
    condenser = on & (low == 0) & (high == 0)
    off, away = gen[:, STATUS] <= 0, (gen[:, STATUS] > 0) & ~there
    notes = (
        *counted(int(off.sum()), "unit out of service", "units out of service", "left out"),
        *counted(int(away.sum()), "unit", "units", "at a bus that is left out, left out too"),
        *counted(int(condenser.sum()), "synchronous condenser", "synchronous condensers", "left out (Pmin = Pmax = 0)"),
        *counted(
            int((on & (low < 0)).sum()), "unit", "units", "output can be below 0 (dispatchable load), its cost kept"
        ),
    )
    return np.flatnonzero(on & ~condenser), notes


def _kept_lines(
    matrix: Matrix, branch: FloatArray, number: FloatArray, live: BoolArray
) -> tuple[IntArray, tuple[str, ...]]:
    """Rows of the lines to keep, and notes."""
    ends = [_known(matrix, branch[:, end], number) for end in (FROM, TO)]
    # MATPOWER multiplies susceptances by the status: another number would be another line there.
    matrix.require(np.isin(branch[:, ON], (0, 1)), "status", branch[:, ON], "1 (in service) or 0")
    on = (branch[:, ON] > 0) & live[ends[0]] & live[ends[1]]
    names = [f"line {int(a)}-{int(b)}" for a, b in branch[:, [FROM, TO]]]
    for row in np.flatnonzero(on & ~np.isfinite(branch[:, [R, X]]).all(1))[:1]:
        raise DataError(f"{matrix.at(int(row))}: {names[row]} has r or x that is not finite: correct it")
    for row in np.flatnonzero(on & (branch[:, X] == 0))[:1]:
        found = f"{names[row]} has r = {branch[row, R]:g}, x = 0, expected x other than 0"
        raise DataError(f"{matrix.at(int(row))}: {found}: merge its buses or give it a small reactance")
    for row in np.flatnonzero(on & ~(branch[:, RATE] >= 0))[:1]:
        raise DataError(f"{matrix.at(int(row))}: {names[row]} has rateA {branch[row, RATE]:g}, expected 0 or more")
    matrix.check(~on | (ends[0] != ends[1]), "the line leads from a bus to itself: remove it")
    for column, name in ((TAP, "tap ratio"), (SHIFT, "phase shift"), (ANGLE_MIN, "angmin"), (ANGLE_MAX, "angmax")):
        good = ~np.isnan(branch[:, column]) if column in (ANGLE_MIN, ANGLE_MAX) else np.isfinite(branch[:, column])
        matrix.require(~on | good, name, branch[:, column], "a number")
    matrix.require(~on | (branch[:, TAP] >= 0), "tap ratio", branch[:, TAP], "0 for a line, or one above 0")
    matrix.check(~on | (branch[:, ANGLE_MIN] <= branch[:, ANGLE_MAX]), "angmin is above angmax: correct them")
    notes = (
        *counted(int((~on).sum()), "line out of service", "lines out of service", "left out"),
        *counted(int((on & (branch[:, X] < 0)).sum()), "line", "lines", "negative reactance (series capacitor), kept"),
    )
    return np.flatnonzero(on), notes


def _check_room(matrix: Matrix, lines: IntArray, physics: BranchPhysics) -> None:
    """DataError for the first line that no flow suits, or one alone."""
    for at in np.flatnonzero(~(physics.flow_min < physics.flow_max))[:1]:
        low, high = physics.flow_min[at], physics.flow_max[at]
        found = f"rateA, angmin and angmax leave flows from {low:g} to {high:g} MW"
        raise DataError(f"{matrix.at(int(lines[at]))}: {found}, expected the first below the second: correct them")


def _fixed_cost(case: Case, bus: FloatArray, gen: FloatArray, kept: Kept) -> tuple[str, ...]:
    """A note on what units cost that are on and can give nothing, if they do: condensers, and those cut off."""
    there = np.isin(gen[:, GEN_BUS], bus[bus[:, TYPE] != ISOLATED, BUS]) & (gen[:, STATUS] > 0)
    there[kept.gen] = False
    cost = sum(resting_cost(case.gencost, int(row)) for row in np.flatnonzero(there))
    return (f"units left out at an output of 0 cost {cost:g} $ per hour whatever is done: not counted",) if cost else ()


def _ramp(gen: FloatArray) -> FloatArray:
    """MW per hour from RAMP_AGC in MW per minute, `[N]`; inf where it is absent or 0."""
    if gen.shape[1] <= RAMP_AGC:
        return np.full(len(gen), np.inf)
    return np.where(gen[:, RAMP_AGC] > 0, 60 * gen[:, RAMP_AGC], np.inf)


def _costs(case: Case, count: int, units: IntArray) -> list[Cost]:
    rows = len(case.gencost)
    if rows not in (count, 2 * count):
        expected = f"{count}, one a row of mpc.gen, or {2 * count} with reactive costs"
        raise DataError(f"{case.gencost.place} has {rows} rows, expected {expected}: add or remove rows")
    return unit_costs(case.gencost, units)


def _cost_notes(costs: list[Cost]) -> tuple[str, ...]:
    fallen = [cost.fall for cost in costs if cost.fall > 0]
    limit = f"marginal cost falls by up to {max(fallen, default=0.0):.2g} (share, at most {ROUNDING:g}), held constant"
    return counted(len(fallen), "unit", "units", limit)
