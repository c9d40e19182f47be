"""Logs of operation: what is read, and one message with file and line for each fault."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dgpg.errors import DataError
from dgpg_power.data import load_network
from dgpg_power.data.moments import read_moments

HEADER = "load_5,load_7,load_9,output_gen1,output_gen2,output_gen3,price"
ROWS = ["90,100,125,100,115,100,20", "80,90,110,90,100,90,18", "70,80,100,80,90,80,17"]


@pytest.fixture
def log(tmp_path: Path) -> Callable[..., Path]:
    def write(*rows: str, header: str = HEADER) -> Path:
        path = tmp_path / "log.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write


def test_columns_go_where_the_network_has_them(log: Callable[..., Path]) -> None:
    network = load_network("case9")
    found = read_moments(log(*ROWS), network)
    assert found.load.shape == (3, 9) and found.load[0].sum() == 315
    assert found.load[1, list(network.bus_number).index(7)] == 90
    np.testing.assert_array_equal(found.output[2], [80, 90, 80])
    assert found.price is not None
    np.testing.assert_array_equal(found.price, [20, 18, 17])


def test_prices_may_be_absent_and_columns_in_any_order(log: Callable[..., Path]) -> None:
    header = "output_gen3,output_gen2,output_gen1,load_9,load_7,load_5"
    found = read_moments(log(*["100,115,101,125,100,90"] * 3, header=header), load_network("case9"))
    assert found.price is None
    np.testing.assert_array_equal(found.output[0], [101, 115, 100])


def test_a_column_of_times_is_skipped_in_whatever_order(log: Callable[..., Path]) -> None:
    plain = read_moments(log(*ROWS), load_network("case9"))
    stamps = ["2026-01-02", "2026-01-01", "2026-01-01"]
    timed = [f"{stamp},{row}" for stamp, row in zip(stamps, ROWS, strict=True)]
    found = read_moments(log(*timed, header=f"timestamp,{HEADER}"), load_network("case9"))
    np.testing.assert_array_equal(found.output, plain.output)


def cut(row: str, cells: int) -> str:
    """A row of the log without its last cells."""
    return row.rsplit(",", cells)[0]


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (
            HEADER.replace(",", ";"),
            [row.replace(",", ";") for row in ROWS],
            r"log.csv:1: one column alone, expected load_5, load_7, load_9: divide columns by commas, not by ';'",
        ),
        (
            HEADER.replace("load_7", "load_8"),
            ROWS,
            r"log.csv:1: no column load_7; load_8 is not known, expected load_BUS",
        ),
        (HEADER.replace("put_gen1", "put_g1"), ROWS, r"log.csv:1: no column output_gen1; output_g1 is not known"),
        (HEADER.replace("5,load_7", "7,bus_5"), ROWS, r"log.csv:1: no column load_5; bus_5 is not known"),
        (
            cut(HEADER, 2),
            [cut(r, 2) for r in ROWS],
            r"log.csv:1: no column output_gen3, expected one a load and one a unit",
        ),
        (cut(HEADER, 3), [cut(r, 3) for r in ROWS], r"log.csv:1: no column output_gen2 \(and 1 more\), expected one"),
        (
            HEADER.replace("load", "load_1"),
            ROWS,
            r"no column is a load of case9, expected load_5, load_7, load_9: the log",
        ),
        (HEADER + ",load_4", [r + ",0" for r in ROWS], r"log.csv:1: unknown column 'load_4': did you mean 'load_"),
        (HEADER + ",price", [r + ",1" for r in ROWS], r"log.csv:1: column price occurs twice"),
        (HEADER, [*ROWS, "x,80,100,80,90,80,17"], r"log.csv:5: load_5: found 'x', expected a number"),
        (HEADER, [*ROWS, "nan,80,100,80,90,80,17"], r"log.csv:5: load_5: found 'nan', expected a number"),
        (HEADER, [*ROWS, "70,80,100,80,90,80,"], r"log.csv:5: price: found '', expected a number"),
        (
            HEADER,
            [*ROWS, "70,-1,181,80,90,80,17"],
            r"log.csv:5: load_7: found '-1', expected a load of at least 0",
        ),
        (
            HEADER,
            [*ROWS, "70,80,100,0,170,80,17"],
            r"log.csv:5: output_gen1: found '0', expected 10 to 250 MW",
        ),
        (HEADER, [*ROWS, "70,80,100,80,20,80,17"], r"log.csv:5: outputs add up to 180 MW and loads to 250 MW"),
        (HEADER, [*ROWS, "70,80,100"], r"log.csv:5: expected 7 fields, got 3"),
        (HEADER, ROWS[:2], r"log.csv: found 2 moments, expected at least 3"),
        (HEADER, ROWS[:1], r"log.csv: found 1 moment, expected at least 3"),
    ],
)
def test_one_message_a_fault(log: Callable[..., Path], header: str, rows: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_moments(log(*rows, header=header), load_network("case9"))


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_moments(tmp_path / "log.csv", load_network("case9"))
