"""Text files and tables: what is read, and one message with file, line and field for each fault."""

import gzip
import math
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgpg.errors import DataError
from dgpg.files import Rows, csv_rows, number, read_text, whole, wrong
from dgpg.files import text as text_module

TABLE = 'Name , size,count\n a,1.5,2\n\n"b\nc",,3\n d ,1e3, \n'


@pytest.fixture
def table(tmp_path: Path) -> Rows:
    return csv_rows(tmp_path / "t.csv", ("Name", "size"), text=TABLE)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(content)
    return path


# --- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"a\nb", b"\xef\xbb\xbfa\nb", gzip.compress(b"a\nb")], ids=["plain", "bom", "gzip"]
)
def test_text_comes_plain_with_a_byte_order_mark_or_packed(tmp_path: Path, content: bytes) -> None:
    assert read_text(written(tmp_path, content)) == "a\nb"


def test_a_text_of_another_encoding_is_told_how_to_convert_it(tmp_path: Path) -> None:
    path = written(tmp_path, "name,links\nStra\xdfe,1\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"t\.csv:2: a character that is not UTF-8, as of Latin-1 .* iconv -f latin1"):
        read_text(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty: fetch it again"),
        (b" \n\t\n", "the file is empty"),
        (b"ab\xff\1", r"not a text file \(byte 2\), expected UTF-8 text, plain or gzip: check the path"),
        ("a,b".encode("utf-16"), r"not a text file \(byte 0\)"),
        (b"a\0b", r"not a text file \(a zero byte\)"),
        (gzip.compress(b"a\nb")[:-3], "truncated or damaged gzip file .*: fetch it again"),
        (b"\x1f\x8bab", "truncated or damaged gzip file"),
        (gzip.compress(b"a" * 99)[:12] + b"\xff" * 20, "truncated or damaged gzip file"),
    ],
    # Names, since a packed file holds the second it was packed in: two workers would disagree.
    ids=["empty", "blank", "not-utf8", "utf16", "zero-byte", "cut-short", "header-only", "noise"],
)
def test_a_file_without_text_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"t\.csv: {message}"):
        read_text(written(tmp_path, content))


def test_a_path_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such file: check the path"):
        read_text(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"is a directory, expected a file: name one file in it"):
        read_text(tmp_path)
    with pytest.raises(DataError, match=r"t\.csv/below: cannot be read \(Not a directory\)"):
        read_text(written(tmp_path, b"a") / "below")


# --- one value ---------------------------------------------------------------------------------


def test_an_error_says_all_there_is_to_say() -> None:
    error = wrong("f.csv:3", "size", "x", "a number", "measure again", 1)
    assert str(error) == "f.csv:3: size: found 'x', expected a number (and 1 more row): measure again"
    assert str(wrong("f.csv:3", "size", "x", "y", more=2)).endswith("expected y (and 2 more rows): correct it")


@given(value=st.floats(-1e12, 1e12))
def test_a_number_is_what_its_text_says(value: float) -> None:
    assert number("f:1", "size", f" {value!r} ") == value


@given(value=st.integers(-(10**12), 10**12))
def test_a_whole_number_is_what_its_text_says(value: int) -> None:
    assert whole("f:1", "size", f"{value}", -(10**12)) == value


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-inf", "1e13", "-1e13", "1 2"])
def test_what_is_no_number_is_named(text: str) -> None:
    with pytest.raises(DataError, match=rf"f:1: size: found '{text}', expected a number from -1e\+12 to 1e\+12"):
        number("f:1", "size", f" {text}\t")


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "2.5", "0", "5"])
def test_what_is_no_whole_number_in_its_range_is_named(text: str) -> None:
    with pytest.raises(DataError, match=rf"f:1: size: found '{text}', expected a whole number from 1 to 4: correct it"):
        whole("f:1", "size", text, 1, 4)


# --- tables ------------------------------------------------------------------------------------


def test_rows_know_their_columns_and_lines(table: Rows) -> None:
    assert table.header == ("Name", "size", "count") and len(table) == 3
    assert table.column("Name") == ["a", "b\nc", "d"] and table.column("count") == ["2", "3", ""]
    assert table.line == [2, 5, 6]  # a cell over two lines ends in the second
    assert table.at(2) == f"{table.path}:6"


def test_blanks_have_the_value_that_is_asked_for(table: Rows) -> None:
    np.testing.assert_array_equal(table.numbers("size", blank=math.nan), [1.5, np.nan, 1000])
    assert table.numbers("size", blank=-7).tolist() == [1.5, -7, 1000]  # as it is, in or out of bounds
    assert table.numbers("size", 0, blank=-7).tolist() == [1.5, -7, 1000]
    assert table.whole("count", blank=-1).tolist() == [2, 3, -1] and table.whole("count", blank=-1).dtype == np.int64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rows: rows.numbers("size"), r":5: size: found '', expected a number from -1e\+12 to 1e\+12: correct"),
        (
            lambda rows: rows.numbers("size", 2, 9, 5),
            r":2: size: .*'1.5', .* from 2 to 9 or a blank \(and 1 more row\)",
        ),
        (
            lambda rows: rows.numbers("Name", blank=0),
            r":2: Name: found 'a', .* or a blank \(and 2 more rows\): correct",
        ),
        (lambda rows: rows.whole("count"), r":6: count: found '', expected a number from 0 to 1e\+12: correct it"),
        (lambda rows: rows.whole("size", blank=0), r":2: size: found '1.5', expected a whole number: correct it"),
        (lambda rows: rows.whole("count", 3, blank=0), r":2: count: found '2', expected a number from 3 to"),
        (
            lambda rows: rows.check(rows.numbers("size", blank=0) < 9, "Name", "short", "cut"),
            r":6: Name: .* short: cut$",
        ),
    ],
)
def test_the_first_wrong_value_of_a_column_is_named(table: Rows, call: object, message: str) -> None:
    with pytest.raises(DataError, match=r"t\.csv" + message):
        call(table)  # type: ignore[operator]


def test_columns_in_any_case_and_those_that_may_be_absent() -> None:
    rows = csv_rows(Path("t.csv"), ("name",), optional=("size", "weight"), any_case=True, text=TABLE)
    assert rows.header == ("name", "size", "count", "weight")
    assert rows.column("weight") == [""] * 3 and rows.numbers("weight", blank=2).tolist() == [2] * 3
    assert rows.column("size") == ["1.5", "", "1e3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,size\na,1", r":1: the header has no column Name, expected Name, a, b, c, d, e \.\.\.: check the file"),
        ("\n\nsize\na,1", r":3: the header has no column Name"),
        (",,\n,,", r":1: the header has no column Name"),
        ("Name,a,b,c,d,e,f", r": found no rows, expected at least one: fetch it again"),
        (
            "Name,a,b,c,d,e,f\n1,2,3,4,5,6,7\n1\n1,2\n1,2,3,4,5,6,7,8",
            r":3: expected 7 fields, got 1 \(and 2 more rows\): the file may be truncated; fetch it again",
        ),
        ('Name,a,b,c,d,e,f\n"1,2', r":2: not valid CSV \(.*\): it may be truncated; fetch it again"),
    ],
)
def test_a_table_that_is_none_is_named(text: str, message: str) -> None:
    with pytest.raises(DataError, match=r"^t\.csv" + message):
        csv_rows(Path("t.csv"), ("Name", *"abcdef"), text=text)


def test_a_table_without_any_cell_has_no_rows() -> None:
    with pytest.raises(DataError, match=r"^t\.csv: found no rows"):
        csv_rows(Path("t.csv"), text=",,\n")


def test_a_table_is_read_from_its_file(tmp_path: Path) -> None:
    rows = csv_rows(written(tmp_path, gzip.compress(b"a,b\r\n1,2\r\n")), ("b",))
    assert rows.whole("b").tolist() == [2]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_no_more_is_read_than_the_bound(
    pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_module, "MOST", 3 * text_module.PIECE)
    assert len(read_text(written(tmp_path, pack(b"a" * text_module.MOST)))) == text_module.MOST
    endless = written(tmp_path, pack(b"a" * 40 * text_module.PIECE))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"t.csv: more than 3,145,728 bytes( unpacked)?; is it the right file"):
        read_text(endless)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10 * text_module.PIECE


def test_a_file_that_does_not_fit_into_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> bytes:
        raise MemoryError

    monkeypatch.setattr(text_module, "_bytes", full)
    with pytest.raises(DataError, match=r"t.csv: does not fit into this machine's memory"):
        read_text(written(tmp_path, b"a"))


@pytest.mark.parametrize("divider", [";", "\t", "|"])
def test_columns_divided_by_something_else_are_told(tmp_path: Path, divider: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"a{divider}b\n1{divider}2\n")
    with pytest.raises(DataError, match=re.escape(f"divide columns by commas, not by {divider!r}")):
        csv_rows(path, ("a", "b"))


def test_a_column_that_is_read_may_stand_once(tmp_path: Path) -> None:
    """The first of two was taken, whatever the second said."""
    path = tmp_path / "table.csv"
    path.write_text("a,b,c,c,A\n1,2,3,4,5\n")
    assert csv_rows(path, ("a", "b")).column("b") == ["2"]  # nobody asks for c
    for asked in ({"columns": ("a", "c")}, {"optional": ("c",)}, {"columns": ("a",), "any_case": True}):
        with pytest.raises(
            DataError, match=r"table\.csv:1: the header has the column [ac] twice: rename or remove one"
        ):
            csv_rows(path, **asked)  # type: ignore[arg-type]
