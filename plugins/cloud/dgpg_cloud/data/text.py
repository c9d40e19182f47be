"""Read text tables and point at the value that is wrong: file, line, field, found, expected, what to do."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgpg.errors import DataError

from .tables import BoolArray, FloatArray, IntArray

GZIP_MAGIC = b"\x1f\x8b"
LIMIT = 1e12
"""Largest number accepted in any field: beyond it a file is damaged, and products still fit in 64 bits."""


def read_text(path: Path) -> str:
    """Return the text of a file, unpacked if it is gzip; DataError if it cannot be read or is empty."""
    try:
        raw = path.read_bytes()
        if raw.startswith(GZIP_MAGIC):
            raw = gzip.decompress(raw)
        text = raw.decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file: check the path") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a directory, expected a file: name one file in it") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged gzip file ({error}): fetch it again") from error
    except UnicodeDecodeError as error:
        raise DataError(_not_text(path, f"byte {error.start}")) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}): check its permissions") from error
    if "\0" in text:
        raise DataError(_not_text(path, "a zero byte"))
    if not text.strip():
        raise DataError(f"{path}: the file is empty, expected a table: fetch it again")
    return text


def _not_text(path: Path, found: str) -> str:
    return f"{path}: not a text file (found {found}), expected UTF-8 text, plain or gzip: check the path"


def wrong(path: Path, line: int, field: str, found: str, expected: str, advice: str, more: int = 0) -> DataError:
    """Return the error for one wrong value; `more` counts the further rows with the same fault."""
    rest = f" (and {more} more {'row' if more == 1 else 'rows'})" if more else ""
    return DataError(f"{path}, line {line}, {field}: found {found!r}, expected {expected}{rest}: {advice}")


def count(number: int, noun: str) -> str:
    """Return a number with its noun: "1 job", "2 jobs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@dataclass(frozen=True)
class Rows:
    """Rows of a text table, still text. `line` holds the line of each row in the file, from 1."""

    path: Path
    header: tuple[str, ...]
    cells: list[list[str]]
    line: list[int]

    def __post_init__(self) -> None:
        if not self.cells:
            raise DataError(f"{self.path}: found no rows, expected at least one: fetch the file again")
        width = len(self.header)
        short = [i for i, row in enumerate(self.cells) if len(row) != width]
        if short:
            raise wrong(
                self.path,
                self.line[short[0]],
                "row",
                f"{len(self.cells[short[0]])} fields",
                f"{width} fields ({', '.join(self.header)})",
                "the file may be truncated; fetch it again",
                len(short) - 1,
            )

    def column(self, field: str) -> list[str]:
        """Return the text of a field in every row."""
        at = self.header.index(field)
        return [row[at].strip() for row in self.cells]

    def check(self, good: BoolArray, field: str, expected: str, advice: str = "correct or remove the row") -> None:
        """Raise DataError for the first row that is not good, naming the value of `field`."""
        bad = np.flatnonzero(~good)
        if bad.size:
            first = int(bad[0])
            found = self.column(field)[first]
            raise wrong(self.path, self.line[first], field, found, expected, advice, int(bad.size) - 1)

    def numbers(self, field: str, low: float = 0.0, blank: bool = False) -> FloatArray:
        """Return a field as finite numbers of at least `low`; where `blank` is allowed, blanks are NaN."""
        text = self.column(field)
        values = np.array([_number(cell) for cell in text])
        good = (values >= low) & (values <= LIMIT)
        if blank:
            good |= np.array([cell == "" for cell in text])
        self.check(good, field, f"a number from {low:g} to {LIMIT:g}{' or a blank' if blank else ''}")
        return values

    def whole(self, field: str, low: int = 0) -> IntArray:
        """Return a field as whole numbers of at least `low`."""
        values = self.numbers(field, low)
        self.check(values == np.floor(values), field, "a whole number")
        return values.astype(np.int64)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def csv_rows(path: Path, text: str) -> Rows:
    """Return the rows of a CSV file with a header; blank lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    cells, line = [], []
    try:
        for row in reader:
            if "".join(row).strip():
                cells.append(row)
                line.append(reader.line_num)
    except csv.Error as error:
        where = f"{path}, line {reader.line_num}"
        raise DataError(f"{where}: not valid CSV ({error}): it may be truncated; fetch it again") from error
    return Rows(path, _header(cells[0]), cells[1:], line[1:])


def field_rows(path: Path, lines: Iterable[str], header: tuple[str, ...], comment: str = "") -> Rows:
    """Return the rows of a file of fields divided by blanks; blank and comment lines are skipped."""
    cells, number = [], []
    for at, line in enumerate(lines, start=1):
        fields = line.split()
        if fields and not (comment and line.lstrip().startswith(comment)):
            cells.append(fields)
            number.append(at)
    return Rows(path, header, cells, number)


def csv_format(path: Path, text: str, formats: Mapping[str, tuple[str, ...]], others: str = "") -> str:
    """Return the name of the format whose columns the CSV header has.

    Args:
        path: the file, for the message.
        text: its text.
        formats: the columns that mark each format.
        others: formats that are not CSV, for the message.
    """
    first = text.lstrip().split("\n", 1)[0].strip()
    header = _header(next(csv.reader([first])))
    for name, columns in formats.items():
        if set(columns) <= set(header):
            return name
    known = "; ".join(f"{name} with the columns {', '.join(columns)}" for name, columns in formats.items())
    start = first if len(first) <= 120 else f"{first[:120]}..."
    raise DataError(
        f"{path}, line 1: unknown format: found the header {start!r}, expected one of: {known}{others}: "
        "check the path, or rename the columns"
    )


def _header(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.strip() for name in names)
