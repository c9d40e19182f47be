"""MATPOWER files: every real one parses and has its published DC optimum; faults are named with file and line."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from dgpg.errors import DataError
from dgpg.testing import damaged
from dgpg_power.data import load_network
from dgpg_power.network import Network, validate

from ..oracle import dc_optimum

GRID = """\
function mpc = grid
%% a 'comment' with quotes
mpc.version = '2';
mpc.baseMVA = 100.0;
mpc.bus = [ % bus_i type Pd Qd Gs Bs area Vm Va baseKV zone Vmax Vmin
\t1 3 0 0 0 0 1 1 0 230 1 1.1 0.9;
\t2 1 1e2 0 5 0 1 1 0 230 1 1.1 0.9; 7 1 50 0 0 0 2 1 0 230 1 1.1 0.9
];
mpc.gen = [
\t1 0 0 Inf -Inf 1 100 1 200 10;
\t2, 0, 0, 9, -9, 1, 100, 1, 60, 0;
\t7 0 0 9 -9 1 100 1 0 0;
\t7 0 0 9 -9 1 100 0 80 0;
];
mpc.branch = [
\t1 2 0.01 0.1 0 120 0 0 0 0 1 -30 30;
\t2 7 0.00 0.2 0 0 ... the rest of the row
\t\t0 0 0 0 1 -360 360;
\t1 7 0.02 0.1 0 500 0 0 0 0 1 -20 10;
];
mpc.gencost = [
\t2 0 0 3 0.01 20 100;
\t1 0 0 3 0 0 20 200 60 1000;
\t2 0 0 1 0 0 0;
\t2 0 0 4 1 0 0 0;
];
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Network]:
    """Load GRID after replacing one text in it by another."""

    def replaced(old: str = "", new: str = "") -> Network:
        assert old in GRID
        path = tmp_path / "grid.m"
        path.write_text(GRID.replace(old, new, 1) if old else GRID)
        return load_network(str(path))

    return replaced


def test_every_column_lands_where_it_belongs(load: Callable[..., Network]) -> None:
    network = load()
    assert (network.name, network.base_mva) == ("grid", 100.0)
    assert network.bus_number.tolist() == [1, 2, 7] and network.area.tolist() == [1, 1, 2]
    assert network.load.tolist() == [0, 105, 50]
    assert network.line_from.tolist() == [0, 1, 0] and network.line_to.tolist() == [1, 2, 2]
    np.testing.assert_allclose(network.susceptance, [10, 5, 10])
    np.testing.assert_allclose(network.flow_max, [120, np.inf, np.deg2rad(10) * 10 * 100])
    np.testing.assert_allclose(network.flow_min, [-120, -np.inf, -np.deg2rad(20) * 10 * 100])
    assert network.unit_bus.tolist() == [0, 1] and network.unit_name == ("gen1", "gen2")
    assert network.unit_min.tolist() == [10, 0] and network.unit_max.tolist() == [200, 60]
    np.testing.assert_allclose(network.cost([50, 0]), [0.01 * 2500 + 1000 + 100, 0])
    np.testing.assert_allclose(network.cost([0, 40]), [100, 200 + 20 * 20])
    assert network.notes == (
        "1 unit out of service: left out",
        "1 synchronous condenser: left out (Pmin = Pmax = 0)",
        "flow = matpower: b = 1 / (x tap)",
        "1 line: no limit in the source",
        "1 line: limited by its angle difference, below rateA",
        "1 line: limits differ by direction",
    )


def test_names_and_kinds_and_what_is_ignored(load: Callable[..., Network]) -> None:
    names = "mpc.gen_name = {\n'A;1' 'WIND' 'Wind';\n'B' 'CT' 'NG'; 'C' 'x' 'y'; 'D' 'PV' 'Solar'\n};\n"
    network = load("mpc.gencost", names + "mpc.dcline = [1 2 1];\nmpc.extra = 7;\nmpc.gencost")
    assert network.unit_name == ("A;1", "B") and network.unit_kind == ("wind", "thermal")
    assert network.notes[:2] == ("mpc.extra is ignored", "1 DC line (mpc.dcline) ignored")


def test_ramps_come_in_a_column_beyond_the_first_ten(load: Callable[..., Network]) -> None:
    gen = GRID[GRID.index("mpc.gen = [") : GRID.index("mpc.branch")]
    wide = gen.replace(";\n\t", " 0 0 0 0 0 0 2;\n\t").replace("80 0;", "80 0 0 0 0 0 0 0 0;")
    assert load(gen, wide).ramp.tolist() == [120, 120]


@pytest.mark.parametrize("ramp", ["NaN", "-2"])
def test_a_ramp_that_is_none_is_refused(load: Callable[..., Network], ramp: str) -> None:
    wide = GRID[GRID.index("mpc.gen = [") : GRID.index("mpc.branch")]
    columns = wide.replace("200 10;", f"200 10 0 0 0 0 0 0 {ramp} 0 0 0 0;").replace(
        "60, 0;", "60, 0 0 0 0 0 0 0 1 0 0 0 0;"
    )
    columns = columns.replace("1 0 0;", "1 0 0 0 0 0 0 0 0 1 0 0 0 0;").replace(
        "80 0;", f"80 0 0 0 0 0 0 0 {ramp} 0 0 0 0;"
    )
    with pytest.raises(
        DataError, match=r"grid\.m:10: mpc.gen row 1: ramp_agc is .*, expected MW per minute of at least"
    ):
        load(wide, columns)  # that of row 4 does not matter: its unit is off


def test_isolated_buses_leave_with_what_hangs_on_them(load: Callable[..., Network]) -> None:
    network = load("7 1 50", "7 4 50")
    assert network.bus_number.tolist() == [1, 2] and network.num_lines == 1
    assert "1 isolated bus: left out" in network.notes


FAULTS: dict[str, tuple[str, str, str]] = {
    "short row": (" 0.9;\n\t2 1", ";\n\t2 1", r":6: mpc.bus row 1: expected 13 numbers, got 12: add what"),
    "long row": (
        "1.1 0.9;\n\t2 1",
        "1.1 0.9 7;\n\t2 1",
        r":6: .* expected 13 numbers, got 14: remove some, or end the row",
    ),
    "second row of a line": ("7 1 50 0", "7 1 50", r":7: mpc.bus row 3: expected 13 numbers, got 12"),
    "continued row": ("\t\t0 0 0 0 1 -360 360", "\t\t0 0 0 0 1 -360", r":17: mpc.branch row 2: expected 13 .* got 12"),
    "word": ("0.01 0.1", "0.01 abc", r":16: mpc.branch row 1: found 'abc', expected a number"),
    "expression": ("0.01 0.1", "0.01 1/*2", r":16: mpc.branch row 1: found '1/\*2', expected a number"),
    "division by 0": ("0.01 0.1", "0.01 1/0", r":16: mpc.branch row 1: found '1/0', expected a number"),
    "name": ("0.01 0.1", "0.01 2*x", r":16: mpc.branch row 1: found '2\*x', expected a number"),
    "call": ("0.01 0.1", "0.01 exit()", r":16: mpc.branch row 1: found 'exit\(\)', expected a number"),
    "bracket within": ("\t1 2 0.01", "\t[1 2] 0.01", r":16: mpc.branch: found a bracket within its brackets"),
    "one point": ("0 0 20 200 60 1000", "5 50 5 50 5 50", r":23: mpc.gencost row 2: all points are the same one"),
    "upright cost": ("0 0 20 200 60 1000", "0 0 20 200 20 1000", r":23: mpc.gencost row 2: the outputs .* not ascend"),
    "outputs of several": ("function mpc = grid", "function [a, b] = grid", r":1: found the code 'function \[a, b\]"),
    "bracket below": ("mpc.gen = [", "mpc.gen =\n[", r":9: mpc.gen is set to nothing, expected a value or '\['"),
    "no bracket": ("mpc.gen = [", "mpc.gen = 1 0", r":9: line 10 continues mpc.gen outside .* 'mpc.gen = \[' above"),
    "bracket too early": ("200 10;", "200 10; ];", r":9: line 11 continues mpc.gen outside of brackets, '2, 0, 0"),
    "bracket twice": ("];\nmpc.gen ", "];\n];\nmpc.gen ", r":5: line 9 continues mpc.bus outside of brackets, '\];'"),
    "not closed": ("];\nmpc.gen = ", "mpc.gen = ", r":5: mpc.bus is not closed, expected '\];'"),
    "end of file": ("\t2 0 0 4 1 0 0 0;\n];\n", "", r":21: mpc.gencost is not closed"),
    "text behind": ("];\nmpc.gen ", "] * 2;\nmpc.gen ", r":8: mpc.bus: found '\* 2' behind '\]'"),
    "code": (
        "mpc.gen = ",
        "mpc.bus(2, 3) = 7;\nmpc.gen = ",
        r":9: found the code 'mpc.bus\(2, 3\) = 7;', which is not",
    ),
    "twice": ("mpc.gen = ", "mpc.baseMVA = 1;\nmpc.gen = ", r":9: mpc.baseMVA is set again, first in line 4"),
    "version": ("'2'", "'1'", r":3: mpc.version is '1', expected '2'"),
    "base": ("100.0;", "base;", r":4: mpc.baseMVA: found 'base', expected a number above 0, .*: correct it"),
    "base 0": ("100.0;", "0;", r":4: mpc.baseMVA: found '0', expected a number above 0, such as 100: correct it"),
    "quote": ("'2'", "'2", r":3: a quote is not closed"),
    "absent": ("mpc.gen = ", "mpc.gem = ", r": no mpc.gen, expected"),
    "scalar": ("mpc.gencost = [", "mpc.gencost = 1;\nmpc.x = [", r":21: mpc.gencost: expected rows of numbers"),
    "no rows": ("mpc.gencost = [", "mpc.gencost = [];\nmpc.x = [", r":21: mpc.gencost has 0 rows, expected 4"),
    "no units": ("mpc.gen = [", "mpc.gen = [];\nmpc.x = [", r":9: mpc.gen has no rows, expected at least one: add it"),
    "no lines": (
        "mpc.branch = [",
        "mpc.branch = [];\nmpc.x = [",
        r":15: mpc.branch has no rows, expected at least one",
    ),
    "cost rows": ("\t2 0 0 1 0 0 0;\n", "", r":21: mpc.gencost has 3 rows, expected 4, .*: add or remove rows"),
    "block comment": ("mpc.gencost", "%{\nmpc.gencost", r":21: a block comment is not closed, expected '%}'"),
    "other variable": ("mpc.gen =", "s.gen =", r":9: s.gen is no field of mpc, which the case is, expected mpc.gen"),
    "digits of another script": (
        "0.01 0.1",
        "0.01 \uff11",
        r":16: mpc.branch row 1: found '\uff11', expected",
    ),
    "bus type": ("\t2 1 1e2", "\t2 5 1e2", r":7: mpc.bus row 2: type is 5, expected 1 \(load\), 2 .* or 4"),
    "bus number": ("\t2 1 1e2", "\t2.5 1 1e2", r":7: mpc.bus row 2: bus_i is 2.5, expected a whole number from 1"),
    "load": ("1e2", "NaN", r":7: mpc.bus row 2: Pd is nan, expected a finite number: correct it"),
    "shunt": (" 5 0 1 1 0 230", " Inf 0 1 1 0 230", r":7: mpc.bus row 2: Gs is inf, expected a finite number"),
    "area": ("0 0 2 1 0", "0 0 2e9 1 0", r":7: mpc.bus row 3: area is 2e\+09, expected a number of at most"),
    "duplicate bus": ("7 1 50", "2 1 50", r":7: mpc.bus row 3: bus 2 occurs twice, first in row 2"),
    "unit elsewhere": ("\t2, 0", "\t3, 0", r":11: mpc.gen row 2: bus 3 is not in mpc.bus"),
    "line elsewhere": ("\t2 7 0.00", "\t2 8 0.00", r":17: mpc.branch row 2: bus 8 is not in mpc.bus"),
    "loop": ("\t2 7 0.00", "\t2 2 0.00", r":17: mpc.branch row 2: the line leads from a bus to itself"),
    "zero impedance": ("0.00 0.2", "0 0", r":17: mpc.branch row 2: line 2-7 has r = 0, x = 0, expected x other than 0"),
    "rating": (" 500 ", " -5 ", r":19: mpc.branch row 3: line 1-7 has rateA -5, expected 0 or more"),
    "minimum": ("200 10", "200 210", r":10: mpc.gen row 1: Pmin is above Pmax"),
    "unlimited": ("200 10", "Inf 10", r":10: mpc.gen row 1: Pmax is inf, expected a finite number for a unit in"),
    "status of a unit": ("100 1 200 10", "100 NaN 200 10", r":10: mpc.gen row 1: status is nan, expected 1 \(in serv"),
    "status of a line": (
        "1 -30 30",
        "NaN -30 30",
        r":16: mpc.branch row 1: status is nan, expected 1 \(in service\) or",
    ),
    "another status": ("1 -20 10", "2 -20 10", r":19: mpc.branch row 3: status is 2, expected 1 \(in service\) or 0"),
    "falling": (
        "0 0 20 200 60 1000",
        "0 0 20 800 60 1000",
        r":23: .* row 2: the marginal cost falls from 40 to 5 \$/MWh at 20",
    ),
    "unsorted": ("0 0 20 200 60 1000", "0 0 60 200 20 1000", r":23: mpc.gencost row 2: the outputs .* do not ascend"),
    "concave": ("0.01 20 100", "-0.01 20 100", r":22: mpc.gencost row 1: quadratic coefficient -0.01, expected"),
    "cubic": ("3 0.01 20 100", "4 1e-3 0.01 20 100", r":22: mpc.gencost row 1: a polynomial of degree 3, expected at"),
    "model": ("1 0 0 3 0 0", "3 0 0 3 0 0", r":23: mpc.gencost row 2: model 3, expected 1 \(points\) or 2"),
    "count": ("2 0 0 3 0.01", "2 0 0 2.5 0.01", r":22: mpc.gencost row 1: n is 2.5, expected a whole number"),
    "short cost": ("60 1000", "60", r":23: mpc.gencost row 2: expected 10 numbers for n = 3, got 9: correct"),
    "names": ("mpc.gencost", "mpc.gen_name = {'a'; 'b'};\nmpc.gencost", r":21: mpc.gen_name has 2 rows, expected 4"),
    "same name": ("mpc.gencost", "mpc.gen_name = {\n'a'\n'b'\n'a'\n'd'\n};\nmpc.gencost", r":24: .* 'a' occurs twice"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_file_and_line(load: Callable[..., Network], fault: str) -> None:
    old, new, message = FAULTS[fault]
    with pytest.raises(DataError, match=rf"grid\.m{message}"):
        load(old, new)


def test_islands_are_named_by_their_buses(tmp_path: Path) -> None:
    off = GRID.replace("0 0 0 0 1 -360", "0 0 0 0 0 -360").replace("0 0 0 0 1 -20", "0 0 0 0 0 -20")
    (tmp_path / "grid.m").write_text(off)
    with pytest.raises(DataError, match=r"grid\.m:15: mpc\.branch: 2 islands, expected one connected grid: .* bus 7"):
        load_network(str(tmp_path / "grid.m"))


def test_a_zero_polynomial_of_high_degree_is_accepted(load: Callable[..., Network]) -> None:
    network = load("3 0.01 20 100", "5 0 0 0.01 20 100")
    assert (network.cost_quadratic[0], network.cost_linear[0], network.cost_constant[0]) == (0.01, 20, 100)


def test_a_marginal_cost_that_falls_by_rounding_is_held(load: Callable[..., Network]) -> None:
    network = load("0 0 20 200 60 1000", "0 0 20 200 60 599.99")
    assert not network.kink_slope.any() and network.cost_linear[1] == 10
    assert network.notes[-1].startswith("1 unit: marginal cost falls by up to 2.5e-05")


def test_a_dispatchable_load_is_kept_and_said(load: Callable[..., Network]) -> None:
    network = load("60, 0;", "60, -30;")
    assert network.unit_min[1] == -30
    assert "1 unit: output can be below 0 (dispatchable load), its cost kept" in network.notes


def test_negative_loads_are_kept_and_said(load: Callable[..., Network]) -> None:
    network = load("7 1 50", "7 1 -20")
    assert network.load.tolist() == [0, 105, -20]
    assert "1 bus with negative load: taken as injections" in network.notes


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.m: no such file"):
        load_network(str(tmp_path / "nowhere.m"))
    for name, text in (("gen.csv", "unit,MW\ncoal,200\n"), ("notes.txt", "It's a grid of 3 buses.\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=rf"{name}: this is not a MATPOWER case, expected a \.m file"):
            load_network(str(tmp_path / name))
    (tmp_path / "empty.m").write_text("\n")
    with pytest.raises(DataError, match=r"empty\.m: the file is empty"):
        load_network(str(tmp_path / "empty.m"))
    (tmp_path / "bytes.m").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"bytes\.m: not a text file \(byte 0\)"):
        load_network(str(tmp_path / "bytes.m"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=damaged(GRID, ["", "-", "9" * 20, "nan", "Inf", ";", "[", "]", "{", "'", "%", "...", "\n", "="]))
def test_a_damaged_file_loads_or_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "grid.m"
    path.write_text(text)
    try:
        network = load_network(str(path))
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert validate(network) is network and np.isfinite(network.cost(network.unit_max)).all()


CASES = ("5_pjm", "14_ieee", "24_ieee_rts", "30_ieee", "39_epri", "57_ieee", "118_ieee")


@pytest.mark.parametrize("case", [f"pglib_opf_case{name}{group}" for name in CASES for group in ("", "__api")])
def test_the_dc_optimum_is_the_published_one(data_file: Callable[[str], Path], case: str) -> None:
    with data_file("pglib/baseline_public.csv").open() as file:
        published = {row["case"]: float(row["dc_cost"]) for row in csv.DictReader(file)}
    found = dc_optimum(load_network(str(data_file(f"pglib/{case}.m"))))
    assert found is not None
    assert found[0] == pytest.approx(published[case], rel=1e-4)


def test_the_file_of_rts_gmlc_parses(data_file: Callable[[str], Path]) -> None:
    network = load_network(str(data_file("rts_gmlc/RTS_GMLC.m")))
    assert (network.num_buses, network.num_lines, network.num_units) == (73, 120, 93)
    assert network.unit_kind.count("hydro") == 20
