"""What the readers of jobs and machines share beyond `dgpg.files.text`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from dgpg.errors import DataError
from dgpg.files import Rows


def count(number: int, noun: str) -> str:
    """Return a number with its noun: "1 job", "2 jobs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def fields(lines: Iterable[str], comment: str = "") -> tuple[list[list[str]], list[int]]:
    """Return the fields of every line, divided by blanks, and its number; blank and comment lines are skipped."""
    cells, number = [], []
    for at, line in enumerate(lines, start=1):
        found = line.split()
        if found and not (comment and line.lstrip().startswith(comment)):
            cells.append(found)
            number.append(at)
    return cells, number


def field_rows(path: Path, lines: Iterable[str], header: tuple[str, ...]) -> Rows:
    """Return the rows of a file of fields divided by blanks."""
    return Rows(path, header, *fields(lines))


def csv_format(
    path: Path, text: str, formats: Mapping[str, tuple[str, ...]], listed: Iterable[str] = (), others: str = ""
) -> str:
    """Return the name of the format whose columns the CSV header has.

    Args:
        path: the file, for the message.
        text: its text.
        formats: the columns that mark each format.
        listed: the formats that the message names.
        others: formats that are not CSV, for the message.

    Raises:
        DataError: the header is of none.
    """
    first = text.lstrip().split("\n", 1)[0].strip()
    header = {name.strip() for name in next(csv.reader([first]))}
    for name, columns in formats.items():
        if header.issuperset(columns):
            return name
    known = "; ".join(f"{name} with the columns {', '.join(formats[name])}" for name in listed)
    start = first if len(first) <= 120 else f"{first[:120]}..."
    raise DataError(
        f"{path}:1: unknown format: found the header {start!r}, expected one of: {known}{others}: "
        "check the path, or rename the columns"
    )
