"""RTS-GMLC: its counts and totals, a small folder of the same make by hand, and each fault by file and line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dgpg.errors import DataError
from dgpg_power.data import Rts, load_rts

CASE = """\
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
\t1 3 30 0 0 0 1 1 0 230 1 1.1 0.9;
\t2 1 70 0 0 0 1 1 0 230 1 1.1 0.9;
\t3 1 50 0 0 0 2 1 0 230 1 1.1 0.9;
];
mpc.gen = [
\t1 0 0 9 -9 1 100 1 200 40;
\t2 0 0 9 -9 1 100 0 60 0;
\t3 0 0 9 -9 1 100 0 30 0;
\t2 0 0 9 -9 1 100 1 20 0;
\t3 0 0 9 -9 1 100 0 10 0;
\t1 0 0 9 -9 1 100 0 50 0;
\t1 0 0 9 -9 1 100 0 50 0;
];
mpc.branch = [
\t1 2 0 0.1 0 100 0 0 0 0 1 -180 180;
\t2 3 0 0.1 0 100 0 0 0 0 1 -180 180;
];
mpc.gencost = [
\t1 70 0 2 40 800 200 4000;
\t1 0 0 2 0 0 60 0;
\t1 0 0 2 0 0 30 0;
\t1 0 0 2 0 0 20 0;
\t1 0 0 2 0 0 10 0;
\t1 0 0 2 0 0 50 0;
\t1 0 0 2 0 0 50 0;
];
mpc.gen_name = {
'coal' 'STEAM' 'Coal'; 'wind' 'WIND' 'Wind'; 'pv' 'PV' 'Solar'; 'water' 'HYDRO' 'Hydro'; 'roof' 'RTPV' 'Solar';
'mirror' 'CSP' 'Solar'; 'battery' 'STORAGE' 'Storage'
};
"""
GEN = "GEN UID,Min Down Time Hr,Min Up Time Hr,Ramp Rate MW/Min\ncoal,2.2,4,2\nwind,0,0,60\npv,0,0,0\n"
LOAD = "regional_Load"


def _table(header: str, cells: Callable[[int], str]) -> str:
    days = [(1, 1), (1, 2), (2, 1)]
    rows = [f"2020,{m},{d},{h},{cells(24 * i + h - 1)}" for i, (m, d) in enumerate(days) for h in range(1, 25)]
    return "\n".join([f"Year,Month,Day,Period,{header}", *rows]) + "\n"


TABLES = {
    LOAD: _table("1,2", lambda t: f"{100 + t},{40}"),
    "wind": _table("wind", lambda t: f"{t % 60}"),
    "pv": _table("pv", lambda t: f"{t % 24}.5"),
    "hydro": _table("water", lambda t: "20"),
    "rtpv": _table("roof", lambda t: "5"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "RTS_GMLC.m").write_text(CASE)
    (tmp_path / "gen.csv").write_text(GEN)
    for name, text in TABLES.items():
        (tmp_path / f"DAY_AHEAD_{name}_days01-21.csv").write_text(text)
    return tmp_path


def test_a_small_folder_by_hand(folder: Path) -> None:
    rts = load_rts(folder)
    network, series = rts.network, rts.series
    assert network.unit_name == ("coal", "wind", "pv") and network.unit_kind == ("thermal", "wind", "pv")
    assert network.ramp.tolist() == [120, 3600, np.inf]
    assert rts.rules.min_down.tolist() == [3, 0, 0] and rts.rules.min_up.tolist() == [4, 0, 0]
    assert rts.rules.cost.tolist() == [70, 0, 0]
    assert len(series) == 72 and series.month[[0, 47, 48]].tolist() == [1, 1, 2]
    assert series.day[[23, 24, 48]].tolist() == [1, 2, 1] and series.hour[[0, 23, 24]].tolist() == [0, 23, 0]
    np.testing.assert_allclose(series.load[5], [0.3 * 105, 0.7 * 105 - 20, 40 - 5])
    np.testing.assert_allclose(series.available[30], [200, 30, 6.5])
    assert "1 hydro and 1 rooftop PV units: given injections, taken off the load" in network.notes
    assert "1 concentrated solar and 1 storage unit: left out" in network.notes


def test_selection_by_month_and_day(folder: Path) -> None:
    series = load_rts(folder).series
    chosen = series.select(months=[1], days=[2])
    assert len(chosen) == 24 and set(chosen.day.tolist()) == {2}
    np.testing.assert_array_equal(chosen.load, series.load[24:48])
    np.testing.assert_array_equal(series.select([2]).available, series.available[48:])
    with pytest.raises(DataError, match=r"no hours of months \[3\] and days .*: the series have months 1 to 2"):
        series.select([3])


FAULTS: dict[str, tuple[str, str, str, str]] = {
    "not a number": (
        "wind",
        "2020,1,1,7,6",
        "2020,1,1,7,x",
        r"wind_days01-21.csv:8: wind: found 'x', expected a number",
    ),
    "above the maximum": (
        "wind",
        "2020,1,1,7,6",
        "2020,1,1,7,61",
        r":8: wind: found '61', .* 0 to .* maximum, 60",
    ),
    "negative": (
        LOAD,
        "2020,1,1,7,106",
        "2020,1,1,7,-1",
        r"Load_days01-21.csv:8: 1: found '-1', expected a number of at",
    ),
    "gap": (
        LOAD,
        "2020,1,1,7,106,40\n",
        "",
        r"Load_.*:8: Year/.*: found 2020/1/1/8, expected the hour after 2020/1/1/6",
    ),
    "gap in one": ("pv", "2020,1,1,7,6.5\n", "", r"pv_.*:8: Year/.*: found 2020/1/1/8, expected 2020/1/1/7"),
    "no first hour": (
        LOAD,
        "2020,1,1,1,100,40\n",
        "",
        r"Load_.*:2: Period: found '2', expected 1 in the first row",
    ),
    "no last hour": (
        LOAD,
        "2020,2,1,24,171,40\n",
        "",
        r"Load_.*:72: Period: found '23', expected 24 in the last row",
    ),
    "short": ("rtpv", "2020,2,1,24,5\n", "", r"rtpv_days01-21.csv: 71 hours, expected 72, those of the load"),
    "period": (
        LOAD,
        "2020,1,1,7,",
        "2020,1,1,25,",
        r"Load_.*:8: Period: found '25', expected a whole number from 1 to 24",
    ),
    "header": ("hydro", "water", "fire", r"hydro_.*:1: the header has no column water"),
    "cells": ("hydro", "2020,1,1,7,20", "2020,1,1,7", r"hydro_.*:8: expected 5 fields, got 4"),
    "quote": ("hydro", "2020,1,1,7,20", '2020,1,1,7,"20', r"hydro_.*: not valid CSV"),
    "no rows": ("pv", TABLES["pv"].partition("\n")[2], "", r"pv_days01-21.csv: found no rows"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_file_and_line(folder: Path, fault: str) -> None:
    name, old, new, message = FAULTS[fault]
    assert TABLES[name].count(old) == 1
    (folder / f"DAY_AHEAD_{name}_days01-21.csv").write_text(TABLES[name].replace(old, new))
    with pytest.raises(DataError, match=message):
        load_rts(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("coal,2.2", "coal,-1", r"gen.csv:2: Min Down Time Hr: found '-1', expected a number of at least 0"),
        ("coal,", "cool,", r"gen.csv: no row for the unit coal of RTS_GMLC.m"),
        ("Min Up Time Hr", "Up", r"gen.csv:1: the header has no column Min Up Time Hr"),
    ],
)
def test_a_fault_of_the_unit_table(folder: Path, old: str, new: str, message: str) -> None:
    (folder / "gen.csv").write_text(GEN.replace(old, new))
    with pytest.raises(DataError, match=message):
        load_rts(folder)


@pytest.mark.parametrize("name", ["RTS_GMLC.m", "gen.csv", "DAY_AHEAD_pv_days01-21.csv"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name}: no such file"):
        load_rts(folder)


def test_a_case_without_names_is_refused(folder: Path) -> None:
    (folder / "RTS_GMLC.m").write_text(CASE.partition("mpc.gen_name")[0])
    with pytest.raises(DataError, match=r"RTS_GMLC\.m: no mpc\.gen_name"):
        load_rts(folder)


@pytest.fixture(scope="module")
def rts(data_file: Callable[[str], Path]) -> Rts:
    return load_rts(data_file("rts_gmlc"))


def test_counts_of_the_real_grid(rts: Rts) -> None:
    network = rts.network
    assert (network.num_buses, network.num_lines, network.num_units) == (73, 120, 102)
    assert [network.unit_kind.count(kind) for kind in ("thermal", "wind", "pv")] == [73, 4, 25]
    assert sorted(set(network.area.tolist())) == [1, 2, 3]
    # sums over PMax and PMin of gen.csv by unit type, and over MW Load of bus.csv
    thermal = np.array(network.unit_kind) == "thermal"
    assert network.unit_max[thermal].sum() == pytest.approx(8076)
    assert network.load.sum() == pytest.approx(8550)


def test_totals_of_the_real_series(rts: Rts, data_file: Callable[[str], Path]) -> None:
    series = rts.series
    assert len(series) == 12 * 21 * 24 and (np.bincount(series.month)[1:] == 504).all()

    def total(name: str) -> float:
        table = np.loadtxt(data_file(f"rts_gmlc/DAY_AHEAD_{name}_days01-21.csv"), delimiter=",", skiprows=1)
        return float(table[:, 4:].sum())

    assert series.load.sum() == pytest.approx(total("regional_Load") - total("hydro") - total("rtpv"))
    kind = np.array(rts.network.unit_kind)
    assert series.available[:, kind == "wind"].sum() == pytest.approx(total("wind"))
    assert series.available[:, kind == "pv"].sum() == pytest.approx(total("pv"))
    assert (series.available[:, kind == "thermal"] == rts.network.unit_max[kind == "thermal"]).all()
    assert (series.available <= rts.network.unit_max).all()
