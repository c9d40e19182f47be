"""What the readers of jobs and machines share beyond `dgpg.files.text`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

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
