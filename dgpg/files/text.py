"""Read text files and CSV tables; an error says file and line, field, found, expected and what to do."""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dgpg.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
LIMIT = 1e12
"""Largest magnitude of a number, unless told: beyond it a file is damaged, and products still fit in 64 bits."""

MOST = 2**30
"""Bytes of a file, unpacked, that are read; a small file may unpack to more than any machine holds."""
PIECE = 2**20
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
"""Bytes that no text holds."""
ASCII = bytes(range(128))
ACCENTS = 1 / 8
"""Share of the bytes of a text in Latin letters that are not ASCII, at most."""


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file of at most `MOST` bytes, unpacked if it is gzip.

    Raises:
        DataError: it cannot be read, is longer, is empty, or no text.
    """
    try:
        text = _bytes(path).decode("utf-8-sig")
    except MemoryError:
        raise DataError(f"{path}: does not fit into this machine's memory: cut it") from None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file: check the path") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a directory, expected a file: name one file in it") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged gzip file ({error}): fetch it again") from error
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error.object, error.start) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}): check its permissions") from error
    if "\0" in text:
        raise _not_text(path, "a zero byte")
    if not text.strip():
        raise DataError(f"{path}: the file is empty: fetch it again")
    return text


def _bytes(path: Path) -> bytes:
    """Return what a file holds, unpacked if it is gzip; no more is ever in memory than `MOST` and a piece."""
    with path.open("rb") as plain:
        packed = plain.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        plain.seek(0)
        source = gzip.GzipFile(fileobj=plain) if packed else plain
        pieces, length = [], 0
        while piece := source.read(PIECE):
            pieces.append(piece)
            length += len(piece)
            if length > MOST:
                unpacked = " unpacked" if packed else ""
                raise DataError(f"{path}: more than {MOST:,} bytes{unpacked}; is it the right file? Cut it otherwise")
    return b"".join(pieces)


class RowError(DataError):
    """Some rows of a table have one fault in common; a loader may go on without them.

    Attributes:
        rows: their numbers in the table, ascending.
        fault: what is wrong with the first of them.
        advice: what to do.
    """

    def __init__(self, at: str, fault: str, advice: str, rows: NDArray[np.intp]) -> None:
        super().__init__(f"{at}: {fault}{_and(len(rows) - 1)}: {advice}")
        self.rows, self.fault, self.advice = rows, fault, advice


def wrong(at: str, field: str, found: str, expected: str, advice: str = "correct it", more: int = 0) -> DataError:
    """Return the error for one wrong value at "FILE:LINE"; `more` counts the further rows with the same fault."""
    return DataError(f"{at}: {field}: found {found!r}, expected {expected}{_and(more)}: {advice}")


def number(at: str, field: str, text: str, low: float = -LIMIT, high: float = LIMIT) -> float:
    """Return the number from `low` to `high` that a field holds; DataError, starting with `at`, if it is none."""
    value = _number(text)
    if not low <= value <= high:
        raise wrong(at, field, text.strip(), _numbers(low, high))
    return value


def whole(at: str, field: str, text: str, low: int, high: int = int(LIMIT)) -> int:
    """Return the whole number from `low` to `high` that a field holds; DataError, starting with `at`, if it is none."""
    value = _number(text)
    if not (low <= value <= high and value.is_integer()):
        raise wrong(at, field, text.strip(), f"a whole number from {low} to {high}")
    return int(value)


@dataclass(frozen=True)
class Rows:
    """Rows of a text table, still text.

    Attributes:
        path: the file.
        header: name of each column.
        cells: one list a row, as long as the header.
        line: line of each row in the file, from 1.

    Raises:
        DataError: there is no row.
        RowError: rows have more or fewer cells than the header.
    """

    path: Path
    header: tuple[str, ...]
    cells: list[list[str]]
    line: list[int]

    def __post_init__(self) -> None:
        if not self.cells:
            raise DataError(f"{self.path}: found no rows, expected at least one: fetch it again")
        width = len(self.header)
        bad = np.flatnonzero([len(cells) != width for cells in self.cells])
        if bad.size:
            found = len(self.cells[bad[0]])
            short = "the file may be truncated; fetch it again"
            long = (
                "a separator stands inside a value, or the header lacks a name; quote the value or correct the header"
            )
            fault, advice = f"expected {width} fields, got {found}", short if found < width else long
            raise RowError(self.at(int(bad[0])), fault, advice, bad)

    def __len__(self) -> int:
        return len(self.cells)

    def at(self, row: int) -> str:
        """Return "FILE:LINE" of a row."""
        return f"{self.path}:{self.line[row]}"

    def column(self, field: str) -> list[str]:
        """Return the text of a field in every row, without blanks around it."""
        index = self.header.index(field)
        return [row[index].strip() for row in self.cells]

    def check(self, good: NDArray[np.bool_], field: str, expected: str, advice: str = "correct it") -> None:
        """Raise RowError for the rows that are not good `[rows]`, naming the value of `field` in the first."""
        bad = np.flatnonzero(~good)
        if bad.size:
            row = int(bad[0])
            fault = f"{field}: found {self.column(field)[row]!r}, expected {expected}"
            raise RowError(self.at(row), fault, advice, bad)

    def numbers(
        self, field: str, low: float = -LIMIT, high: float = LIMIT, blank: float | None = None
    ) -> NDArray[np.float64]:
        """Return a field as numbers from `low` to `high`, `[rows]`, `blank` where it is empty; None refuses that."""
        text = self.column(field)
        empty = np.array([blank is not None and cell == "" for cell in text])
        values = np.array([_number(cell) for cell in text])
        good = empty | ((values >= low) & (values <= high))
        self.check(good, field, _numbers(low, high) + ("" if blank is None else " or a blank"))
        return np.where(empty, math.nan if blank is None else blank, values)

    def whole(self, field: str, low: int = 0, blank: int | None = None) -> NDArray[np.int64]:
        """Return a field as whole numbers of at least `low`, `[rows]`, `blank` where it is empty; None refuses that."""
        values = self.numbers(field, low, blank=blank)
        self.check(values == np.floor(values), field, "a whole number")
        return values.astype(np.int64)


def csv_rows(
    path: Path,
    columns: tuple[str, ...] = (),
    *,
    optional: tuple[str, ...] = (),
    any_case: bool = False,
    text: str | None = None,
) -> Rows:
    """Return the rows of a CSV file with a header; blank lines are skipped.

    Args:
        path: the file.
        columns: names that the header must have, others beside them allowed.
        optional: columns that are added, empty, where the header lacks them.
        any_case: names of columns become lower case.
        text: of the file, if it has been read already.

    Raises:
        DataError: the file cannot be read, is no CSV, lacks a column or has one twice, has no row or one of another
            length.
    """
    cells, line = csv_cells(path, read_text(path) if text is None else text)
    header = tuple(name.strip().lower() if any_case else name.strip() for name in cells[0])
    for name in columns:
        if name not in header:
            wanted = ", ".join(columns[:6]) + (" ..." if len(columns) > 6 else "")
            divider = next((mark for mark in (";", "\t", "|") if len(header) == 1 and mark in header[0]), "")
            advice = f"divide columns by commas, not by {divider!r}" if divider else "check the file"
            raise DataError(f"{path}:{line[0]}: the header has no column {name}, expected {wanted}: {advice}")
    for name in (*columns, *optional):
        if header.count(name) > 1:
            raise DataError(f"{path}:{line[0]}: the header has the column {name} twice: rename or remove one")
    rows = Rows(path, header, cells[1:], line[1:])
    added = tuple(name for name in optional if name not in header)
    return Rows(path, header + added, [row + [""] * len(added) for row in rows.cells], rows.line) if added else rows


def csv_cells(path: Path, text: str, delimiter: str = ",") -> tuple[list[list[str]], list[int]]:
    """Return the cells of every line that is not blank, and where it ends; a header of no name if there is none.

    Raises:
        DataError: a quote is not closed, or stands where none can be.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    cells, line = [], []
    try:
        for row in reader:
            if "".join(row).strip():
                cells.append(row)
                line.append(reader.line_num)
    except csv.Error as error:
        message = f"not valid CSV ({error}): it may be truncated; fetch it again"
        raise DataError(f"{path}:{reader.line_num}: {message}") from error
    return (cells, line) if cells else ([[]], [1])


def _not_utf8(path: Path, found: bytes, at: int) -> DataError:
    """A text of another alphabet, if nothing speaks against it; its other characters then tell nothing."""
    if CONTROL.search(found) or len(found.translate(None, ASCII)) > ACCENTS * len(found):
        return _not_text(path, f"byte {at}")
    line = found.count(b"\n", 0, at) + 1
    return DataError(
        f"{path}:{line}: a character that is not UTF-8, as of Latin-1 or Windows-1252, expected UTF-8 text: convert "
        f"it, for example with iconv -f latin1 -t utf-8 {path.name} > converted"
    )


def _not_text(path: Path, found: str) -> DataError:
    return DataError(f"{path}: not a text file ({found}), expected UTF-8 text, plain or gzip: check the path")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _numbers(low: float, high: float) -> str:
    return f"a number from {low:g} to {high:g}"


def _and(more: int) -> str:
    return f" (and {more} more {'row' if more == 1 else 'rows'})" if more else ""
