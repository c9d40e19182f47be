"""Tables and numbers as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.table import Table

from dgpg.measuring import Difference

BOLD = "bold"
"""A cell of this name makes its row bold."""
FOLDED = 12
"""Characters that the first column of a table is folded to, if need be."""


def table(title: str, columns: Sequence[str]) -> Table:
    """Narrow enough for 80 columns: the first gives way, a number is never cut."""
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    made.add_column(columns[0], overflow="fold")
    for column in columns[1:]:
        made.add_column(column, no_wrap=True)
    return made


def fitting(
    title: str, columns: Sequence[str], rows: Sequence[Mapping[str, str]], spare: Sequence[str], width: int
) -> Table:
    """A table of cells by column, without as many of the `spare` columns, in turn, as its width asks for."""
    shown = list(columns)
    for name in spare:
        if _least(shown, rows) > width:
            shown.remove(name)
    made = table(title, shown)
    for row in rows:
        made.add_row(*(row[name] for name in shown), style="bold" if BOLD in row else None)
    return made


def _least(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> int:
    """Characters that a table needs where its first column is folded."""
    return FOLDED + sum(1 + max(map(cell_len, (name, *(row[name] for row in rows)))) for name in columns[1:])


def cell(value: Any) -> str:
    """Four digits of a number, both ends of an interval, a dash for what is not there."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return " to ".join(cell(part) for part in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def amount(value: float | str) -> str:
    """Four digits, and all of those before the point."""
    return f"{value:,.0f}" if isinstance(value, float) and abs(value) >= 1e4 else cell(value)


def finite(value: Any) -> Any:
    """The same for JSON, which has no word for nan or infinity."""
    if isinstance(value, Mapping):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def against(found: Difference | None, same: str) -> str:
    """A difference and its interval, in percent where that means something; `same` marks what may be none.

    The interval has two digits of its half width, the mean as many behind the point.
    """
    if found is None:
        return ""
    mean, ends, unit = found.percent, found.percent_ci95, " %"
    if mean is None:
        mean, ends, unit = found.cost, found.ci95, ""
    if not math.isfinite(mean):
        return "-"
    mark = f" {same}" if found.distinguishable is False else ""
    half = (ends[1] - ends[0]) / 2 if ends else abs(mean) / 10
    digits = min(max(1 - math.floor(math.log10(half)), 0), 6) if half > 0 else 1
    while ends and found.distinguishable and digits < 6 and round(min(map(abs, ends)), digits) == 0:
        digits += 1  # an end that is not zero is not shown as one
    spread = f" [{ends[0]:+.{digits}f}, {ends[1]:+.{digits}f}]" if ends else ""
    return f"{mean:+.{digits}f}{unit}{spread}{mark}"
