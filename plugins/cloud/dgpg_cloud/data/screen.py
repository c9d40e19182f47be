"""Rows of a file that are wrong: all of them are found, and either refused together or left out and told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from dgpg.errors import DataError
from dgpg.files import RowError, Rows, csv_cells

from .tables import JobTable, MachineTable
from .text import count, fields

BadRows: TypeAlias = Literal["refuse", "skip"]
Table = TypeVar("Table", JobTable, MachineTable)
SHOWN = 3
"""Lines named for each fault."""


@dataclass(frozen=True)
class Raw:
    """Rows as they stand in a file, of any length; the fields are those of `dgpg.files.Rows`."""

    path: Path
    header: tuple[str, ...]
    cells: list[list[str]]
    line: list[int]

    def lower(self) -> Raw:
        """Return the same with the names of the header in lower case; DataError where two are one then."""
        return replace(self, header=_distinct(self.path, 1, tuple(name.lower() for name in self.header)))

    def without(self, rows: NDArray[np.intp]) -> Raw:
        """Return the others."""
        left = np.setdiff1d(np.arange(len(self.cells)), rows)
        return replace(self, cells=[self.cells[i] for i in left], line=[self.line[i] for i in left])


def csv_raw(path: Path, text: str, delimiter: str = ",") -> Raw:
    """Return the rows of a CSV text with a header.

    Raises:
        DataError: it is no CSV, or a name stands twice in the header.
    """
    cells, line = csv_cells(path, text, delimiter)
    header = _distinct(path, line[0], tuple(name.strip() for name in cells[0]))
    return Raw(path, header, cells[1:], line[1:])


def _distinct(path: Path, line: int, header: tuple[str, ...]) -> tuple[str, ...]:
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise DataError(f"{path}:{line}: the header names {', '.join(twice)} twice: rename one of the columns")
    return header


def field_raw(path: Path, lines: Iterable[str], header: tuple[str, ...], comment: str) -> Raw:
    """Return the rows of lines of fields divided by blanks, without comments."""
    return Raw(path, header, *fields(lines, comment))


def screened(raw: Raw, read: Callable[[Rows], Table], bad_rows: BadRows, setting: str) -> Table:
    """Return what `read` makes of the rows that are not wrong.

    `read` stops at the first fault that it finds in any row; it is asked again without the rows that have it,
    so that it never sees a bad row and every fault is counted.

    Args:
        raw: the rows.
        read: the reader of the format.
        bad_rows: what becomes of the wrong ones: refused together, or left out with a note.
        setting: the name of that setting, for the message.

    Raises:
        DataError: a row is wrong and `bad_rows` is "refuse", or no row is left.
    """
    faults: list[tuple[RowError, list[int]]] = []
    left = raw
    while left.cells or not faults:
        try:
            table = read(Rows(left.path, left.header, left.cells, left.line))
        except RowError as error:
            faults.append((error, [left.line[i] for i in error.rows]))
            left = left.without(error.rows)
        else:
            if faults and bad_rows == "refuse":
                raise _refusal(faults, len(raw.cells), setting)
            skipped = tuple(
                f"{count(len(lines), 'row')} skipped: {fault.fault}{lines_of(lines)}" for fault, lines in faults
            )
            return replace(table, notes=table.notes + skipped)
    raise _refusal(faults, len(raw.cells), "")


def _refusal(faults: list[tuple[RowError, list[int]]], total: int, setting: str) -> DataError:
    """Return the error that tells every fault, the first as if it were the only one."""
    number = sum(len(lines) for _, lines in faults)
    first, lines = faults[0]
    message, _, _ = str(first).rpartition(f": {first.advice}")
    message += lines_of(lines) if len(lines) > 1 else ""
    for error, lines in faults[1:]:
        message += f"; {count(len(lines), 'row')}: {error.fault}{lines_of(lines)}"
    if number > 1:
        message += f"; {number} of {total} rows in all"
    leave = f", or leave such rows out with {setting}=skip" if setting else ""
    return DataError(f"{message}: {first.advice}{leave}")


def lines_of(lines: list[int]) -> str:
    """Return where: the first lines of a fault."""
    shown = ", ".join(map(str, lines[:SHOWN])) + (" ..." if len(lines) > SHOWN else "")
    return f" ({'line' if len(lines) == 1 else 'lines'} {shown})"
