"""Hourly series of a grid, and the checks of the tables they come from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dgpg.errors import DataError
from dgpg.files import Rows
from dgpg_power.network import FloatArray, IntArray

CLOCK = ("Year", "Month", "Day", "Period")
LIMIT = 1e9
"""Largest number accepted in a table: beyond it a file is damaged."""


@dataclass(frozen=True, eq=False)
class Series:
    """Hour by hour, H hours; whole days in order.

    Attributes:
        month: 1 to 12, `[H]`.
        day: day of the month, from 1, `[H]`.
        hour: hour of the day at its start, 0 to 23, `[H]`.
        load: MW at each bus, net of given injections, `[H, nb]`; may be below 0.
        available: largest output of each unit, MW, `[H, N]`.
    """

    month: IntArray
    day: IntArray
    hour: IntArray
    load: FloatArray
    available: FloatArray

    def __len__(self) -> int:
        return len(self.hour)

    def select(self, months: Iterable[int] = range(1, 13), days: Iterable[int] = range(1, 32)) -> Series:
        """The hours of the given months and days of the month; DataError if there are none."""
        month, day = list(months), list(days)
        kept = np.isin(self.month, month) & np.isin(self.day, day)
        if not kept.any():
            present = f"months {self.month.min()} to {self.month.max()} and days {self.day.min()} to {self.day.max()}"
            raise DataError(f"no hours of months {month} and days {day}: the series have {present}")
        return Series(self.month[kept], self.day[kept], self.hour[kept], self.load[kept], self.available[kept])


def numbers(rows: Rows, fields: tuple[str, ...]) -> FloatArray:
    """Fields as numbers, `[rows, fields]`."""
    values = np.empty((len(rows), len(fields)))
    for at, field in enumerate(fields):
        values[:, at] = rows.numbers(field, -LIMIT, LIMIT)
    return values


def hours(rows: Rows, like: IntArray | None = None) -> IntArray:
    """Year, month, day and period (1 to 24) of each row, `[H, 4]`; DataError for a gap or other hours than `like`."""
    values = numbers(rows, CLOCK)
    low, high = (1, 1, 1, 1), (9999, 12, 31, 24)
    for at, field in enumerate(CLOCK):
        good = (values[:, at] >= low[at]) & (values[:, at] <= high[at]) & (values[:, at] == np.floor(values[:, at]))
        rows.check(good, field, f"a whole number from {low[at]} to {high[at]}")
    clock = values.astype(np.int64)
    if like is None:
        _check_gaps(rows, clock)
        return clock
    both = min(len(clock), len(like))
    for row in np.flatnonzero((clock[:both] != like[:both]).any(1))[:1]:
        raise _wrong_hour(rows, int(row), clock, "/".join(map(str, like[row])))
    if len(clock) != len(like):
        raise DataError(f"{rows.path}: {len(clock)} hours, expected {len(like)}, those of the load: fetch it again")
    return clock


def _check_gaps(rows: Rows, clock: IntArray) -> None:
    """Periods run from 1 to 24 without a gap; the next day is the following one or the first of a later month."""
    year, month, day, period = clock.T
    rows.check(np.append(period[0] == 1, np.ones(len(clock) - 1, bool)), "Period", "1 in the first row")
    same = (np.diff(clock[:, :3], axis=0) == 0).all(1) & (np.diff(period) == 1)
    later = (np.diff(year) > 0) | ((np.diff(year) == 0) & (np.diff(month) > 0))
    follows = ((np.diff(day) == 1) & (np.diff(month) == 0) & (np.diff(year) == 0)) | (later & (day[1:] == 1))
    next_day = (period[:-1] == 24) & (period[1:] == 1) & follows
    for row in np.flatnonzero(~(same | next_day))[:1]:
        raise _wrong_hour(rows, int(row) + 1, clock, f"the hour after {'/'.join(map(str, clock[row]))}")
    rows.check(np.append(np.ones(len(clock) - 1, bool), period[-1] == 24), "Period", "24 in the last row")


def _wrong_hour(rows: Rows, row: int, clock: IntArray, expected: str) -> DataError:
    found = "/".join(map(str, clock[row]))
    return DataError(
        f"{rows.at(row)}: Year/Month/Day/Period: found {found}, expected {expected}: a gap; fetch the file again"
    )


def series_values(rows: Rows, fields: tuple[str, ...], most: FloatArray | None = None) -> FloatArray:
    """Values of at least 0 and at most `most` of each field, `[H, fields]`."""
    values = numbers(rows, fields)
    for at, field in enumerate(fields):
        top = np.inf if most is None else most[at]
        expected = "a number of at least 0" if most is None else f"a number from 0 to the unit's maximum, {top:g}"
        rows.check((values[:, at] >= 0) & (values[:, at] <= top), field, expected)
    return values
