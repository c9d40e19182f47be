"""A sweep as a person reads it: a table of its candidates, and a page of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dgpg.errors import DgpgError
from dgpg.runs.atomic import write_json
from dgpg.showing import page, report
from dgpg.showing.alone import tell
from dgpg.showing.tables import cell, fitting
from dgpg.sweeps import Asked, Outcome, SweepFolder

PAGED = 40
"""Runs on a page, at most: those of the first candidates."""


def show(asked: Asked, folder: SweepFolder, found: Sequence[Outcome], as_json: bool) -> None:
    """Table and page, or one JSON object; both are kept in the sweep's folder."""
    results = folder.path / "results.json"
    told = {
        "episodes": asked.sweep.episodes,
        "arrivals": asked.sweep.arrivals,
        "candidates": [one.json() for one in found],
    }
    write_json(results, told)
    written = _page(folder, found)
    if as_json:
        tell({**told, "page": None if written is None else str(written)})
        return
    if found:
        _table(asked, found)
    for name in (name for one in found for name in one.failed):
        report.console.print(f"not measured: {name}, see {folder.path / name}.log", soft_wrap=True)
    report.console.print(f"results: {results}", soft_wrap=True)
    if written is not None:
        report.console.print(f"page: {written}", soft_wrap=True)


def _table(asked: Asked, found: Sequence[Outcome]) -> None:
    names = list(dict.fromkeys(name for one in found for name in one.candidate.varied))
    short = {name: name.rpartition(".")[2] for name in names}
    if len(set(short.values())) < len(short):
        short = {name: name for name in names}
    rows = [
        {
            "candidate": " ".join(f"{short[name]}={cell(value)}" for name, value in one.candidate.varied.items())
            or "-",
            "cost": cell(one.cost),
            "lowest": cell(min(one.costs, default=None)),
            "highest": cell(max(one.costs, default=None)),
            "greedy": cell(sum(one.greedy) / len(one.greedy) if one.greedy else None),
            "seeds": str(len(one.costs)),
            "s a run": cell(one.wall_s),
        }
        for one in found
    ]
    title = f"{asked.domain}: cost of an agent and step in {asked.sweep.episodes} episodes, mean over seeds"
    spare = ("s a run", "greedy", "seeds")
    report.console.print(fitting(title, list(rows[0]), rows, spare, report.console.width))


def _page(folder: SweepFolder, found: Sequence[Outcome]) -> Path | None:
    runs = [Path(run) for one in found for run in one.runs][:PAGED]
    if not runs:
        return None
    try:
        return page.write(runs, folder.path / "sweep.html")
    except DgpgError as error:
        report.aside(f"no page: {error}")
        return None
