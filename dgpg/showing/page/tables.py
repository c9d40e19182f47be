"""Rows of a page's tables as plain text, and the small whiskers within them."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dgpg.measuring import Difference, Row
from dgpg.measuring.evaluate import label
from dgpg.measuring.rows import in_order
from dgpg.runs.differences import option
from dgpg.showing.page.contents import Run
from dgpg.showing.style import UNSURE, colour
from dgpg.showing.tables import against, cell

SAME = "≈"
LINEAR = 5.0
"""Percent up to which the axis of differences is about linear; logarithmic beyond."""


@dataclass(frozen=True)
class Whisker:
    """A difference and its interval, as places on an axis from 0 to 100."""

    low: float
    mean: float
    high: float
    colour: str


@dataclass(frozen=True)
class Line:
    """A row of an evaluation."""

    name: str
    kind: str
    sees: str
    cost: str
    interval: str
    against: str
    whisker: Whisker | None
    measures: Sequence[str]


@dataclass(frozen=True)
class Axis:
    """Differences in percent, placed from 0 to 100; linear about zero, logarithmic far from it."""

    least: float
    most: float
    """Percent at its ends."""

    def place(self, percent: float) -> float:
        """On the axis; what is beyond it lies on its end."""
        low, at, high = (math.asinh(one / LINEAR) for one in (self.least, percent, self.most))
        return 100 * min(max((at - low) / (high - low), 0.0), 1.0)

    @property
    def marks(self) -> list[tuple[float, str]]:
        """Where a few differences lie, and what they are called."""
        shown = [p for p in (-50, -10, 0, 10, 100, 1000) if self.least <= p <= self.most]
        return [(self.place(p), f"{p:+d}" if p else "0") for p in shown]


def axis(differences: Sequence[Difference | None]) -> Axis:
    """One for all of a table, wide enough for every mean."""
    means = [one.percent for one in differences if one and one.percent is not None and math.isfinite(one.percent)]
    return Axis(1.3 * min([*means, -10.0]), 1.3 * max([*means, 10.0]))


def evaluated(rows: Sequence[Row], measures: Sequence[str], on: Axis) -> list[Line]:
    """The lines of an evaluation, in the order of the terminal's table."""
    return [_line(row, measures, on) for row in in_order(rows)]


def summary(rows: Sequence[Row]) -> str:
    """The policy, and what it is held against: the cheapest rule that sees no more, and the optimum if one is known."""
    policy = rows[0]
    spread = f" [{policy.ci95[0]:.4f}, {policy.ci95[1]:.4f}]" if policy.ci95 else ""
    told = [f"{label(policy)} costs {policy.cost:.4f}{spread}"]
    fair = [row for row in rows if row.kind == "baseline" and row.information in ("same", policy.information)]
    for title, among in (
        ("cheapest rule that sees no more", fair),
        ("optimum", [r for r in rows if r.kind == "oracle"]),
    ):
        if among:
            best = min(among, key=lambda row: row.cost)
            told.append(f"{title}: {best.name}, {against(best.difference, SAME) or f'{best.cost:.4f}'}")
    return "; ".join(told)


def _line(row: Row, measures: Sequence[str], on: Axis) -> Line:
    spread = f"{row.ci95[0]:.4f} – {row.ci95[1]:.4f}" if row.ci95 else "–"
    told = [cell(row.measures.get(name)) for name in measures]
    mark = whisker(row.difference, colour(row.name, row.kind), on)
    apart = against(row.difference, SAME)
    return Line(label(row), row.kind, row.information, f"{row.cost:.4f}", spread, apart, mark, told)


def whisker(found: Difference | None, shade: str, on: Axis) -> Whisker | None:
    """A difference on an axis; None where it is none in percent."""
    if found is None or found.percent is None or not math.isfinite(found.percent):
        return None
    low, high = found.percent_ci95 or (found.percent, found.percent)
    return Whisker(
        on.place(low), on.place(found.percent), on.place(high), UNSURE if found.distinguishable is False else shade
    )


def flat(values: Mapping[str, Any], where: str = "") -> dict[str, str]:
    """Settings by their dotted names, as `--set` takes them."""
    found = dict[str, str]()
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{where}{key}.")
        else:
            found[f"{where}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return found


@dataclass(frozen=True)
class Setting:
    """A setting of every run of a page, and what it would be if nobody had said."""

    name: str
    values: Sequence[str]
    usual: str
    said: bool
    """It is not the default, or not the same in all runs."""


def settings(runs: Sequence[Run]) -> list[Setting]:
    """All settings of the runs."""
    chosen, usual = [flat(run.config.model_dump(mode="json")) for run in runs], [flat(run.usual) for run in runs]
    found = []
    for name in dict.fromkeys(name for one in chosen for name in one):
        values = [one.get(name, "–") for one in chosen]
        known = {one[name] for one in usual if name in one}
        said = len(set(values)) > 1 or (bool(known) and known != set(values))
        shown = option(name).removeprefix("--set ")
        found.append(Setting(shown, values, " or ".join(sorted(known)), said and name != "device"))
    return found


def command(run: Run) -> str:
    """The training in words of the command line, where its defaults are known; else from its record."""
    again = "--out " + run.name + "-again"
    if not run.usual:
        return f"dgpg train --config {run.path}/config.json {again}"
    chosen, usual = flat(run.config.model_dump(mode="json")), flat(run.usual)
    parts = [f"dgpg train {run.config.domain}", f"--algorithm {run.config.algorithm}"]
    for name, value in chosen.items():
        if name in ("domain", "algorithm", "device") or usual.get(name) == value:
            continue
        told = option(name)
        parts.append(f"{told}={shlex.quote(value)}" if told.startswith("--set ") else f"{told} {shlex.quote(value)}")
    return " ".join([*parts, again])
