"""RTS-GMLC: the grid of RTS_GMLC.m and the hourly series of the CSV files beside it.

C. Barrows et al., "The IEEE Reliability Test System: A Proposed 2019 Update", IEEE Transactions on Power
Systems 35(1), 2020. Series are the day-ahead ones of 2020, days 1 to 21 of each month.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dgpg.errors import DataError
from dgpg.files import csv_rows
from dgpg_power.commitment.schedule import StartRules
from dgpg_power.config import Flow
from dgpg_power.network import BoolArray, FloatArray, IntArray, Network

from .build import GEN_BUS, STATUS, to_network
from .case import Case, Matrix, positions
from .load import load_case
from .series import Series, hours, numbers, series_values

CASE = "RTS_GMLC.m"
DISPATCHED = ("thermal", "wind", "pv")
GIVEN = ("hydro", "rtpv")
RULES = ("Min Down Time Hr", "Min Up Time Hr", "Ramp Rate MW/Min")
STARTUP = 1  # column of mpc.gencost


@dataclass(frozen=True, eq=False)
class Rts:
    """The grid with its year: 73 thermal, 4 wind and 25 photovoltaic units.

    Attributes:
        network: the grid; its load is the yearly peak, without hydro and rooftop PV.
        rules: minimum up and down times and start-up costs of the units.
        series: load and available output hour by hour.
    """

    network: Network
    rules: StartRules
    series: Series


def load_rts(folder: str | os.PathLike[str], flow: Flow | None = None) -> Rts:
    """Load RTS-GMLC from the folder of RTS_GMLC.m, gen.csv and the files DAY_AHEAD_*_days01-21.csv.

    `flow` is the convention of the DC approximation, the file's own if None.

    Hydro and rooftop PV produce what their series say and reduce the load of their buses. The unit for
    concentrated solar power, the storage and the condensers are left out.

    Raises:
        DataError: a file is missing or not what is expected, with its line.
    """
    folder = Path(folder)
    case = load_case(str(folder / CASE), flow=flow)
    if not case.unit_name:
        raise DataError(f"{case.where}: no mpc.gen_name, expected the names of the units: fetch the file again")
    network = to_network(_dispatched(case))
    ramp, rules = _rules(folder / "gen.csv", network, _start_cost(case, network))
    network = replace(network, ramp=ramp)
    return Rts(network, rules, _series(folder, case, network))


def _dispatched(case: Case) -> Case:
    """The case with the units to dispatch only, wind and PV in service (the file has them out of service)."""
    kept = [row for row, kind in enumerate(case.unit_kind) if kind in DISPATCHED]
    rows = {"gen": [case.gen.rows[row] for row in kept], "gencost": [case.gencost.rows[row] for row in kept]}
    for at, row in enumerate(kept):
        if case.unit_kind[row] != "thermal":
            values = list(rows["gen"][at])
            values[STATUS] = 1.0
            rows["gen"][at] = tuple(values)
    count = {kind: case.unit_kind.count(kind) for kind in (*GIVEN, "csp", "storage")}
    notes = (
        f"{count['hydro']} hydro and {count['rtpv']} rooftop PV units: given injections, taken off the load",
        f"{count['csp']} concentrated solar and {count['storage']} storage unit: left out",
    )
    return replace(
        case,
        gen=_rows_of(case.gen, kept, rows["gen"]),
        gencost=_rows_of(case.gencost, kept, rows["gencost"]),
        unit_name=tuple(case.unit_name[row] for row in kept),
        unit_kind=tuple(case.unit_kind[row] for row in kept),
        notes=(*case.notes, *notes),
    )


def _rows_of(matrix: Matrix, kept: list[int], rows: list[tuple[float, ...]]) -> Matrix:
    return replace(matrix, rows=tuple(rows), line=tuple(matrix.line[row] for row in kept))


def _start_cost(case: Case, network: Network) -> FloatArray:
    """$ per start, `[N]`, from the column `startup` of mpc.gencost."""
    row = {name: at for at, name in enumerate(case.unit_name)}
    return np.array([case.gencost.rows[row[name]][STARTUP] for name in network.unit_name])


def _rules(path: Path, network: Network, start_cost: FloatArray) -> tuple[FloatArray, StartRules]:
    """Ramps in MW per hour `[N]`, and the start rules with times rounded up to whole hours."""
    rows = csv_rows(path, ("GEN UID", *RULES))
    values = numbers(rows, RULES)
    for at, field in enumerate(RULES):
        rows.check(values[:, at] >= 0, field, "a number of at least 0")
    row = {name: at for at, name in enumerate(rows.column("GEN UID"))}
    missing = [name for name in network.unit_name if name not in row]
    if missing:
        raise DataError(f"{path}: no row for the unit {missing[0]} of {CASE} (and {len(missing) - 1} more)")
    own = values[[row[name] for name in network.unit_name]]
    down, up = np.ceil(own[:, :2]).astype(np.int64).T
    ramp = np.where(own[:, 2] > 0, 60 * own[:, 2], np.inf)
    return ramp, StartRules(min_up=up, min_down=down, cost=start_cost)


def _series(folder: Path, case: Case, network: Network) -> Series:
    areas = tuple(map(str, sorted(set(network.area.tolist()))))
    path = folder / "DAY_AHEAD_regional_Load_days01-21.csv"
    regional = csv_rows(path, ("Year", "Month", "Day", "Period", *areas))
    clock = hours(regional)
    area = np.searchsorted(np.array(areas, np.int64), network.area)
    share = network.load / np.bincount(area, network.load)[area]
    load = series_values(regional, areas)[:, area] * share
    bus = positions(network.bus_number, case.gen.array(10)[:, GEN_BUS])
    for kind in GIVEN:
        rows = [row for row, found in enumerate(case.unit_kind) if found == kind]
        given = _by_unit(folder, kind, [case.unit_name[row] for row in rows], clock)
        for at, row in enumerate(rows):
            load[:, bus[row]] -= given[:, at]
    available = np.tile(network.unit_max, (len(clock), 1))
    for kind in ("wind", "pv"):
        units: BoolArray = np.array([found == kind for found in network.unit_kind])
        names = [network.unit_name[n] for n in np.flatnonzero(units)]
        available[:, units] = _by_unit(folder, kind, names, clock, network.unit_max[units])
    return Series(month=clock[:, 1], day=clock[:, 2], hour=clock[:, 3] - 1, load=load, available=available)


def _by_unit(
    folder: Path, kind: str, names: Iterable[str], clock: IntArray, most: FloatArray | None = None
) -> FloatArray:
    """Output of the units of a kind, MW, `[H, units]`, at the hours of `clock`, at most `most`."""
    units = tuple(names)
    rows = csv_rows(folder / f"DAY_AHEAD_{kind}_days01-21.csv", ("Year", "Month", "Day", "Period", *units))
    hours(rows, clock)
    return series_values(rows, units, most)
