"""Columns of a plain table: which name means what, and in which unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import numpy as np
from pydantic import Field

from dgpg.domain import Settings
from dgpg.errors import DataError
from dgpg.files import Rows

from .tables import FloatArray

TIME = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
"""Seconds."""
CPU = {"milli": 1.0, "cores": 1000.0}
"""1/1000 vCPU."""
MEMORY = {
    "bytes": 2.0**-20, "kib": 2.0**-10, "mib": 1.0, "gib": 2.0**10, "tib": 2.0**20,
    "kb": 1e3 / 2**20, "mb": 1e6 / 2**20, "gb": 1e9 / 2**20, "tb": 1e12 / 2**20,
}  # fmt: skip
"""MiB."""
DATE = "2026-01-31T12:00:00"
MOST = 1e16
"""Largest magnitude in a file: bytes and milliseconds are large numbers."""
MemoryUnit: TypeAlias = Literal["bytes", "kib", "mib", "gib", "tib", "kb", "mb", "gb", "tb"]


class Units(Settings):
    """Units of columns of a plain CSV whose names do not say them."""

    cpu: Literal["milli", "cores"] = Field("cores", description="unit of a column `cpu`: cores, or milli (1/1000)")
    memory: MemoryUnit | None = Field(
        None, description="unit of a column `memory`; it must be said here or in its name"
    )


class JobUnits(Units):
    """Units of columns of a plain CSV of jobs whose names do not say them."""

    time: Literal["us", "ms", "s", "min", "h", "d"] = Field(
        "s", description="unit of times that are numbers; dates have none"
    )


@dataclass(frozen=True)
class Column:
    """A column of a file.

    Attributes:
        name: its name in the header.
        factor: what a value is multiplied by.
    """

    name: str
    factor: float = 1.0

    def numbers(self, rows: Rows, low: float = 0.0, blank: float | None = None) -> FloatArray:
        """Return the column in fixed units `[rows]`, `blank` where it is empty; None refuses that."""
        return self.factor * rows.numbers(self.name, low, MOST, blank)


def find(
    header: Iterable[str], stems: Iterable[str], units: Mapping[str, float] | None = None, bare: str | None = None
) -> Column | None:
    """Return the column named by a stem, or by a stem and a unit as in `memory_gib`; None if there is none.

    Args:
        header: names in lower case.
        stems: names that mean the same.
        units: factor of each unit.
        bare: unit of a column that is named by a stem alone.

    Raises:
        DataError: two columns mean the same, or the unit is not said anywhere.
    """
    known = units or {}
    names = {stem: None for stem in stems} | {f"{stem}_{unit}": unit for stem in stems for unit in known}
    found = [name for name in header if name in names]
    if len(found) > 1:
        raise DataError(f"the columns {' and '.join(found)} mean the same: keep one of them")
    if not found:
        return None
    unit = names[found[0]] or bare
    if units is not None and unit is None:
        raise DataError(f"the unit of the column {found[0]} is not said: name it {found[0]}_gib or {found[0]}_mib")
    return Column(found[0], known.get(unit or "", 1.0))


def times(rows: Rows, column: Column) -> FloatArray:
    """Return seconds `[rows]`, NaN where a cell is blank: numbers in the column's unit, or dates.

    Dates are ISO 8601, in UTC unless they say otherwise.

    Raises:
        RowError: a cell is neither, or the fewer of numbers and dates.
    """
    text = rows.column(column.name)
    dates = np.array([_date(cell) for cell in text])
    dated, blank = ~np.isnan(dates), np.array([cell == "" for cell in text])
    if dated.sum() * 2 <= (~blank).sum():
        numbers = np.array([_is_number(cell) for cell in text])
        rows.check(numbers | blank, column.name, f"a number, or a date in all rows, such as {DATE}")
        return column.numbers(rows, blank=np.nan)
    rows.check(dated | blank, column.name, f"a date as in the other rows, such as {DATE}")
    return dates


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _date(text: str) -> float:
    if _is_number(text):
        return np.nan
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return np.nan
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
