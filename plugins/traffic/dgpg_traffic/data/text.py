"""Read text files and point at what is wrong: file, line, field, found, expected, what to do."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgpg.errors import DataError

from ..arrays import FloatArray, IntArray

LIMIT = 1e12
"""Largest number accepted: beyond it a file is damaged."""


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


def number(at: str, field: str, text: str) -> float:
    """The number that a field holds; DataError, starting with `at`, if it is none or beyond the limit."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= LIMIT:
        raise DataError(f"{at}: {field}: found {text.strip()!r}, expected a number: correct it")
    return value


def whole(at: str, field: str, text: str, low: int, high: int) -> int:
    """The whole number from `low` to `high` that a field holds; DataError, starting with `at`, if it is none."""
    value = number(at, field, text)
    if not (value.is_integer() and low <= value <= high):
        expected = f"a whole number from {low} to {high}"
        raise DataError(f"{at}: {field}: found {text.strip()!r}, expected {expected}: correct it")
    return int(value)


@dataclass(frozen=True)
class Rows:
    """Rows of a CSV table, still text; names of columns in lower case. `at` holds "FILE:LINE" of each row."""

    path: Path
    header: tuple[str, ...]
    cells: list[list[str]]
    at: list[str]

    def __len__(self) -> int:
        return len(self.cells)

    def column(self, field: str) -> list[str]:
        """Return the text of a field in every row; "" where the table has no such column."""
        if field not in self.header:
            return [""] * len(self)
        index = self.header.index(field)
        return [row[index].strip() for row in self.cells]

    def numbers(self, field: str, default: float | None = None) -> FloatArray:
        """Return a field as numbers `[rows]`, `default` where it is empty; without a default it must not be."""
        text = ["" if default is None else repr(default)] * len(self)
        filled = [cell or other for cell, other in zip(self.column(field), text, strict=True)]
        return np.array([number(at, field, cell) for at, cell in zip(self.at, filled, strict=True)])

    def wholes(self, field: str) -> IntArray:
        """Return a field as whole numbers of 0 or more, `[rows]`; -1 where it is empty."""
        pairs = zip(self.at, self.column(field), strict=True)
        return np.array([whole(at, field, cell, 0, int(LIMIT)) if cell else -1 for at, cell in pairs], np.int64)


def csv_rows(path: Path, columns: tuple[str, ...]) -> Rows:
    """Return the rows of a CSV file whose header has the given columns, in any case, others beside them allowed."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    cells, at = [], []
    try:
        for row in reader:
            if "".join(row).strip():
                cells.append(row)
                at.append(f"{path}:{reader.line_num}")
    except csv.Error as error:
        message = f"not valid CSV ({error}): it may be truncated; fetch it again"
        raise DataError(f"{path}:{reader.line_num}: {message}") from error
    header = tuple(name.strip().lower() for name in cells[0]) if cells else ()
    for name in columns:
        if name not in header:
            wanted = ", ".join(columns)
            raise DataError(f"{path}:1: the header has no column {name}, expected {wanted}: check the file")
    for row, place in zip(cells, at, strict=True):
        if len(row) != len(header):
            message = f"expected {len(header)} fields, got {len(row)}: the file may be truncated; fetch it again"
            raise DataError(f"{place}: {message}")
    return Rows(path, header, cells[1:], at[1:])
