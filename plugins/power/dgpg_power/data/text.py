"""Read text files and CSV tables and point at what is wrong: file, line, field, found, expected, what to do."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgpg.errors import DataError

from ..network import BoolArray, FloatArray

LIMIT = 1e9
"""Largest number accepted in a table: beyond it a file is damaged."""


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file; DataError if it cannot be read or is empty."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file: check the path") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a directory, expected a file: name one file in it") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file (byte {error.start}), expected UTF-8 text: check the path") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}): check its permissions") from error
    if not text.strip():
        raise DataError(f"{path}: the file is empty: fetch it again")
    return text


@dataclass(frozen=True)
class Rows:
    """Rows of a CSV table, still text. `line` holds the line of each row in the file, from 1."""

    path: Path
    header: tuple[str, ...]
    cells: list[list[str]]
    line: list[int]

    def __len__(self) -> int:
        return len(self.cells)

    def column(self, field: str) -> list[str]:
        """Return the text of a field in every row."""
        at = self.header.index(field)
        return [row[at].strip() for row in self.cells]

    def numbers(self, fields: tuple[str, ...]) -> FloatArray:
        """Return fields as finite numbers `[rows, fields]`."""
        text = [self.column(field) for field in fields]
        values = np.array([[_number(cell) for cell in column] for column in text]).T
        good = np.abs(values) <= LIMIT
        for row, field in np.argwhere(~good)[:1]:
            raise self.wrong(int(row), fields[field], "a number")
        return values

    def check(self, good: BoolArray, field: str, expected: str) -> None:
        """Raise DataError for the first row that is not good, naming the value of `field`."""
        for row in np.flatnonzero(~good)[:1]:
            raise self.wrong(int(row), field, expected)

    def wrong(self, row: int, field: str, expected: str) -> DataError:
        """Return the error for the value of `field` in a row."""
        found = self.column(field)[row]
        return DataError(
            f"{self.path}:{self.line[row]}: column '{field}': found {found!r}, expected {expected}: correct it"
        )


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def csv_rows(path: Path, columns: tuple[str, ...]) -> Rows:
    """Return the rows of a CSV file whose header has the given columns, others beside them allowed."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    cells, line = [], []
    try:
        for row in reader:
            if "".join(row).strip():
                cells.append(row)
                line.append(reader.line_num)
    except csv.Error as error:
        message = f"not valid CSV ({error}): it may be truncated; fetch it again"
        raise DataError(f"{path}:{reader.line_num}: {message}") from error
    header = tuple(name.strip() for name in cells[0])
    missing = [name for name in columns if name not in header]
    if missing:
        wanted = ", ".join(columns[:6]) + (" ..." if len(columns) > 6 else "")
        raise DataError(f"{path}:{line[0]}: the header has no column {missing[0]}, expected {wanted}: check the file")
    if len(cells) == 1:
        raise DataError(f"{path}: found no rows below the header, expected at least one: fetch it again")
    for row, number in zip(cells, line, strict=True):
        if len(row) != len(header):
            message = f"expected {len(header)} fields, got {len(row)}: the file may be truncated; fetch it again"
            raise DataError(f"{path}:{number}: {message}")
    return Rows(path, header, cells[1:], line[1:])
