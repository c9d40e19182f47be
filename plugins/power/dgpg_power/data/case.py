"""A case as its source has it: the matrices of MATPOWER's format, version 2, each row with its line in the file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from dgpg.errors import DataError
from dgpg_power.config import Flow
from dgpg_power.network import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Matrix:
    """Rows of numbers, as long as they are in the source.

    Attributes:
        where: the source, for messages.
        name: name of the matrix, "mpc.branch".
        rows: the numbers.
        line: line of each row in the file, from 1; empty where there is no file.
        start: line in which the matrix begins; 0 where there is no file.
    """

    where: str
    name: str
    rows: tuple[tuple[float, ...], ...]
    line: tuple[int, ...] = ()
    start: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def place(self) -> str:
        """Where the matrix is: "grid.m:34: mpc.branch"."""
        return f"{self.where}{f':{self.start}' if self.start else ''}: {self.name}"

    def at(self, row: int) -> str:
        """Where a row (from 0) is: "grid.m:41: mpc.branch row 7"."""
        line = f":{self.line[row]}" if self.line else ""
        return f"{self.where}{line}: {self.name} row {row + 1}"

    def array(self, least: int) -> FloatArray:
        """The rows as one array `[rows, columns]` of at least `least` columns; DataError for one of another length."""
        if not self.rows:
            raise DataError(f"{self.place} has no rows, expected at least one: add it")
        usual = Counter(map(len, self.rows)).most_common(1)[0][0]
        width = max(least, usual)
        for row, values in enumerate(self.rows):
            if len(values) != width:
                repair = "add what is missing" if len(values) < width else "remove some, or end the row with ';'"
                raise DataError(f"{self.at(row)}: expected {width} numbers, got {len(values)}: {repair}")
        return np.array(self.rows)

    def check(self, good: BoolArray, message: str) -> None:
        """Raise DataError with the message for the first row that is not good, `good` being `[rows]`."""
        for row in np.flatnonzero(~good)[:1]:
            raise DataError(f"{self.at(int(row))}: {message}")

    def require(self, good: BoolArray, column: str, values: FloatArray, expected: str) -> None:
        """Raise DataError for the first row that is not good, naming its value in a column, `values` of `[rows]`."""
        for row in np.flatnonzero(~good)[:1]:
            raise DataError(f"{self.at(int(row))}: {column} is {values[row]:g}, expected {expected}: correct it")


@dataclass(frozen=True)
class Case:
    """A grid in MATPOWER's columns.

    Attributes:
        where: the source, for messages.
        name: name of the case.
        base_mva: MW of one unit of power in the per-unit system.
        bus: 13 columns or more.
        gen: 10 columns or more.
        branch: 13 columns or more.
        gencost: one row a unit, or two, the second half for reactive power.
        unit_name: name of each row of `gen`; empty where the source has none.
        unit_kind: kind of each row of `gen`; empty where the source has none.
        flow: convention of its DC approximation, see `dgpg_power.data.branch`.
        notes: what the reader left out.
    """

    where: str
    name: str
    base_mva: float
    bus: Matrix
    gen: Matrix
    branch: Matrix
    gencost: Matrix
    unit_name: tuple[str, ...] = ()
    unit_kind: tuple[str, ...] = ()
    flow: Flow = "matpower"
    notes: tuple[str, ...] = ()


def positions(numbers: IntArray, wanted: FloatArray) -> IntArray:
    """Position of each wanted bus number among distinct `numbers`; -1 for one that is not there."""
    order = np.argsort(numbers)
    found = np.minimum(np.searchsorted(numbers[order], wanted), len(numbers) - 1)
    at: IntArray = order[found]
    return np.where(numbers[at] == wanted, at, -1)
