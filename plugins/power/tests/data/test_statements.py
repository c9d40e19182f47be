"""Ways in which the same case can be written, and those that are no case."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgpg.errors import DataError
from dgpg_power.data import load_network
from dgpg_power.data.statements import decimal_comma, elements, masked, statement_end, value_of
from dgpg_power.network import Network

from .test_matpower import GRID

NAMES = "mpc.gen_name = {\n'A' 'WIND' 'Wind'\n'B' 'CT' 'NG'\n'C' 'x' 'y'\n'D' 'PV' 'Solar'\n};\n"
PLAIN = GRID + NAMES


def same(one: Network, other: Network) -> None:
    for field in fields(Network):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b, field.name


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str | bytes], Network]:
    def loaded(text: str | bytes) -> Network:
        path = tmp_path / "grid.m"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_network(str(path))

    return loaded


def _on_one_line(name: str) -> tuple[str, str]:
    start = PLAIN.index(f"mpc.{name} = [")
    block = PLAIN[start : PLAIN.index("];", start)]
    return block, block.replace("\n", " ").replace("... the rest of the row", "")


WRITTEN: dict[str, tuple[str, str]] = {
    "function with brackets": ("function mpc = grid", "function [mpc] = grid"),
    "function with parentheses": ("function mpc = grid", "function mpc = grid()"),
    "function with an argument": ("function mpc = grid", "function mpc = grid(varargin);"),
    "function without output": ("function mpc = grid", "function grid"),
    "no function": ("function mpc = grid", "mpc = struct();"),
    "no block comment, at its end": ("mpc.gen = [\n", "%}\nmpc.gen = [\n"),
    "function and a statement": ("function mpc = grid\n", "function mpc = grid; x = struct;\n"),
    "two statements": ("mpc.version = '2';\nmpc", "mpc.version = '2'; mpc"),
    "two statements with a comma": ("mpc.version = '2';\nmpc", "mpc.version = '2', mpc"),
    "statement behind a matrix": ("];\nmpc.gen = ", "]; mpc.gen = "),
    "statement behind a matrix, comma": ("];\nmpc.gen = ", "], mpc.gen = "),
    "no semicolon": ("];\nmpc.gen = ", "]\nmpc.gen = "),
    "one line": _on_one_line("gencost"),
    "number in quotes of the other kind": ("'2'", '"2"'),
    "version as a number": ("'2'", "2"),
    "base in brackets": ("100.0;", "[100];"),
    "arithmetic": ("100.0;", "10*(5 + 5)^1;"),
    "fraction": ("\t2 7 0.00 0.2", "\t2 7 0/3 1/5"),
    "fraction with spaces": ("\t2 7 0.00 0.2", "\t2 7 0.00 1 / 5"),
    "difference": ("\t2 7 0.00 0.2", "\t2 9 - 2 0.00 0.4-0.2"),
    "sum of a sign": ("\t2 7 0.00", "\t+2 +7 -0.00"),
    "capital infinity": (" Inf -Inf 1", " INF -INF 1"),
    "small infinity": (" Inf -Inf 1", " inf -inf 1"),
    "exponent": ("1e2", "1E+2"),
    "double exponent": ("1e2", "0.1D3"),
    "points without zeros": ("7 0.02 0.1", "7 .02 .1"),
    "commas": ("\t2 7 0.00 0.2", "\t2, 7,0.00,\t0.2"),
    "comma at the end": ("0 80 0;", "0 80 0,;"),
    "hash": ("%% a 'comment'", "## a 'comment'"),
    "hash behind code": ("100.0;", "100.0; # it's MVA"),
    "quote in a comment": ("100.0;", "100.0; % it's MVA"),
    "dots in a comment": ("100.0;", "100.0; % and so on ..."),
    "dots alone": ("mpc.gen = [\n", "mpc.gen = ...\n...\n[\n"),
    "block comment": ("mpc.gen = [\n", "%{\nmpc.gen = [\n%}\nmpc.gen = [\n"),
    "block comment in a block comment": ("mpc.gen = [\n", "%{\n%{\nx\n%}\nmpc.gen = [1\n%}\nmpc.gen = [\n"),
    "block comment of hashes": ("mpc.gen = [\n", "#{\nit's\n#}\nmpc.gen = [\n"),
    "block comment in a matrix": ("mpc.gen = [\n", "mpc.gen = [\n%{\n1 2 3\n%}\n"),
    "no block comment": ("mpc.gen = [\n", "%{ not alone in its line\nmpc.gen = [\n"),
    "separators of Unicode": ("%% a 'comment'", "%% a\u2028b\u0085c\x0cd\x0be 'comment'"),
    "names in a row": (NAMES, "mpc.gen_name = {'A', 'B', 'C', 'D'};\nmpc.gentype = {'WIND','CT','x','PV'};\n"),
    "names turned": (NAMES, "mpc.gen_name = {'A', 'B', 'C', 'D'}';\nmpc.gentype = {'WIND','CT','x','PV'}';\n"),
    "cost rows padded": ("2 0 0 1 0 0 0;", "2 0 0 1 0 0 0 0 0 0;"),
    "end": (NAMES, NAMES + "end\n"),
    "constants": ("mpc.version", "define_constants;\nmpc.version"),
    "unknown bus names": (NAMES, NAMES + "mpc.bus_name = {'Größe ... [1]'; 'b%'; 'c;'};\n"),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_the_same_case_written_otherwise(load: Callable[[str | bytes], Network], way: str) -> None:
    old, new = WRITTEN[way]
    assert old in PLAIN
    same(load(PLAIN.replace(old, new, 1)), load(PLAIN))


@pytest.mark.parametrize("name", ["bus", "gen", "branch"])
def test_a_matrix_turned_is_turned_back(load: Callable[[str | bytes], Network], name: str) -> None:
    start = PLAIN.index(f"mpc.{name} = [")
    end = PLAIN.index("];", start)
    rows = [r for r in PLAIN[start:end].split("[", 1)[1].replace("... the rest of the row\n", "").split("\n")]
    values = [piece.split("%")[0].replace(",", " ").split() for r in rows for piece in r.split(";")]
    columns = zip(*(v for v in values if v), strict=True)
    turned = f"mpc.{name} = [" + "\n".join(" ".join(column) for column in columns) + "\n]'"
    same(load(PLAIN[:start] + turned + PLAIN[end + 1 :]), load(PLAIN))


@pytest.mark.parametrize("bytes_", [
    PLAIN.replace("\n", "\r\n").encode(), PLAIN.replace("\n", "\r").encode(), b"\xef\xbb\xbf" + PLAIN.encode(),
    PLAIN.replace("a 'comment'", "Größe, naïve").encode("latin-1"), PLAIN.rstrip().encode(),
])  # fmt: skip
def test_the_same_case_in_other_bytes(load: Callable[[str | bytes], Network], bytes_: bytes) -> None:
    same(load(bytes_), load(PLAIN))


def test_names_are_what_is_between_their_quotes(load: Callable[[str | bytes], Network]) -> None:
    for name in ("G...1", "it''s", "a % b", "# 7", "x; y", "], [", "%{", "G=1", 'say "so"', "Größe"):
        assert load(PLAIN.replace("'A'", f"'{name}'")).unit_name[0] == name.replace("''", "'")
    assert load(PLAIN.replace("'A'", '"it\'s"')).unit_name[0] == "it's"


def test_branches_of_eleven_columns_have_no_angle_limits(load: Callable[[str | bytes], Network]) -> None:
    text = PLAIN.replace(" 1 -30 30;", " 1;").replace(" 1 -360 360;", " 1;").replace(" 1 -20 10;", " 1;")
    np.testing.assert_array_equal(load(text).flow_max, [120, np.inf, 500])
    with pytest.raises(DataError, match=r"grid\.m:16: mpc.branch row 1: expected 13 numbers, got 11"):
        load(PLAIN.replace(" 1 -30 30;", " 1;"))


def test_what_a_cost_may_be(load: Callable[[str | bytes], Network]) -> None:
    network = load(PLAIN.replace("2 0 0 3 0.01 20 100", "2 0 0 0 5 5 5"))
    assert (network.cost_constant[0], network.cost_linear[0], network.cost_quadratic[0]) == (0, 0, 0)
    twice = load(PLAIN.replace("1 0 0 3 0 0 20 200 60 1000", "1 0 0 5 0 0 20 200 20 200 60 1000 60 1000"))
    same(twice, load(PLAIN))
    told = "units left out at an output of 0 cost {} $ per hour whatever is done: not counted"
    assert told.format(7) in load(PLAIN.replace("2 0 0 1 0 0 0;", "2 0 0 1 7 0 0;")).notes
    cubic = load(PLAIN.replace("2 0 0 1 0 0 0;", "2 0 0 4 1 0 0 6;"))  # of a condenser, which rests at 0
    assert told.format(6) in cubic.notes


def test_a_bus_that_is_cut_off_and_asks_for_nothing_is_left_out(load: Callable[[str | bytes], Network]) -> None:
    more = PLAIN.replace("\t2 1 1e2", "\t9 1 0 0 0 0 1 1 0 230 1 1.1 0.9;\n\t2 1 1e2")
    line = "\t2 9 0 0.1 0 0 0 0 0 0 {} 0 0;\n\t1 7 0.02"
    network = load(more.replace("\t1 7 0.02", line.format(0)))
    assert network.bus_number.tolist() == [1, 2, 7] and "1 bus: cut off, without load: left out" in network.notes
    assert load(more.replace("\t1 7 0.02", line.format(1))).bus_number.tolist() == [1, 9, 2, 7]
    with pytest.raises(DataError, match=r"2 islands, expected one connected grid: .* bus 9"):
        load(more.replace("\t9 1 0 0", "\t9 1 5 0").replace("\t1 7 0.02", line.format(0)))


def test_units_that_are_cut_off_are_told_with_what_they_cost(load: Callable[[str | bytes], Network]) -> None:
    more = PLAIN.replace("\t2 1 1e2", "\t9 1 0 0 0 0 1 1 0 230 1 1.1 0.9;\n\t2 1 1e2")
    cut = more.replace("\t7 0 0 9 -9 1 100 0 80 0;", "\t9 0 0 9 -9 1 100 1 80 0;").replace(
        "2 0 0 4 1 0", "2 0 0 1 33 0"
    )
    notes = load(cut).notes
    assert "1 unit: at a bus that is left out, left out too" in notes
    assert not any("out of service" in note for note in notes)
    assert "units left out at an output of 0 cost 33 $ per hour whatever is done: not counted" in notes


def test_an_island_whose_units_may_trade_is_no_dead_one(load: Callable[[str | bytes], Network]) -> None:
    """No load is fixed at bus 9, and yet its optimum is not 0: one unit gives what another pays for."""
    more = PLAIN.replace("\t2 1 1e2", "\t9 1 0 0 0 0 1 1 0 230 1 1.1 0.9;\n\t2 1 1e2")
    both = (
        more.replace("\t7 0 0 9 -9 1 100 1 0 0;", "\t9 0 0 9 -9 1 100 1 0 -30;")
        .replace("\t7 0 0 9 -9 1 100 0 80 0;", "\t9 0 0 9 -9 1 100 1 80 0;")
        .replace("2 0 0 4 1 0 0 0", "2 0 0 2 5 0 0 0")
    )
    with pytest.raises(DataError, match=r"2 islands, expected one connected grid: .* bus 9"):
        load(both)
    alone = both.replace("\t9 0 0 9 -9 1 100 1 80 0;", "\t9 0 0 9 -9 1 100 0 80 0;")
    assert load(alone).bus_number.tolist() == [1, 2, 7]


def test_decimal_commas_are_no_further_columns(load: Callable[[str | bytes], Network]) -> None:
    """In every row alike they were read as a matrix that is a column wider."""
    start, end = PLAIN.index("mpc.gencost = ["), PLAIN.index("mpc.gen_name")
    rows = "2 0 0 3 0,01 20 100;\n2 0 0 3 0,02 25 100;\n2 0 0 3 0,02 0 0;\n2 0 0 3 0,02 0 0;\n"
    with pytest.raises(DataError, match=r"mpc.gencost row 1: commas within numbers and blanks between them: write"):
        load(PLAIN[:start] + f"mpc.gencost = [\n{rows}];\n" + PLAIN[end:])
    assert decimal_comma("1 3 0,5 0") and not any(map(decimal_comma, ("1, 3, 0", "1,3,0", "1, 3 0,5 0", "1 3 0.5")))


def test_dispatchable_loads_alone_are_no_demand(load: Callable[[str | bytes], Network]) -> None:
    text = PLAIN.replace("1 1e2 0 5", "1 0 0 0").replace("7 1 50", "7 1 0").replace("60, 0;", "60, -30;")
    with pytest.raises(DataError, match=r"unit B takes up to 30 MW as a dispatchable load, .* as Pd of bus 2"):
        load(text)


def test_a_case_of_the_first_format_is_called_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "old.m"
    path.write_text("function [baseMVA, bus, gen, branch] = old\nbaseMVA = 100;\nbus = [\n1 3\n];\n")
    with pytest.raises(DataError, match=r"old\.m: this is a case of MATPOWER's format 1, .* again with savecase"):
        load_network(str(path))


def test_elements_of_a_row_as_matlab_has_them() -> None:
    assert elements("1 -2") == ["1", "-2"] and elements("1 - 2") == ["1-2"] and elements("1-2") == ["1-2"]
    assert elements("1 +2, 3* 4 (1 + 2)") == ["1", "+2", "3*4", "(1 + 2)"]
    assert elements(" 1,2\t3 ,") == ["1", "2", "3"] and elements("2 /5 1") == ["2/5", "1"]


def test_values_of_arithmetic() -> None:
    assert value_of("1/10") == 0.1 and value_of("-2^2") == -4 and value_of("2*(3 - 1)") == 4
    assert value_of("1e3*2d-1") == pytest.approx(200) and value_of("pi/2") == pytest.approx(np.pi / 2)
    assert value_of("-INF") == -np.inf and value_of("Inf*2") == np.inf
    for bad in ("", "x", "1//2", "2**3", "1/0", "(1", "'a'", "exit()", "1;2", "9^9^9^9", "__import__", "1_0", "0x10"):
        assert value_of(bad) is None, bad


@given(st.text(alphabet="ab'\";,% ][", max_size=12))
def test_masking_keeps_the_length_and_hides_only_quotes(text: str) -> None:
    hidden = masked(text)
    assert len(hidden) == len(text) and all(a in (b, "_") for a, b in zip(hidden, text, strict=True))
    assert 0 <= statement_end(text) <= len(text)


def test_the_variable_may_have_any_name(load: Callable[[str | bytes], Network]) -> None:
    same(load(PLAIN.replace("mpc", "s")), load(PLAIN))
    same(load(PLAIN.replace("mpc", "s").replace("function s = grid\n", "")), load(PLAIN))
