"""Evaluations and comparisons as a person reads them, or as one JSON object that holds the same."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from dgpg.domain import SupportsDescription, validate
from dgpg.learning import ChannelConfig
from dgpg.learning.algorithms import find
from dgpg.measuring import Difference, Row, compare_runs
from dgpg.measuring.evaluate import (
    Draws,
    contestants,
    cost_unit,
    judge_of,
    judge_run,
    label,
    measured,
    recorded_episodes,
)
from dgpg.measuring.rows import in_order
from dgpg.measuring.statistics import rough
from dgpg.runs import Trained, open_trained
from dgpg.runs.machine import keep_memory
from dgpg.showing import figures, keeping, report
from dgpg.showing.alone import tell
from dgpg.showing.plain import plain
from dgpg.showing.tables import BOLD, against, amount, cell, fitting, table
from dgpg.showing.waiting import waiting


@dataclass
class Found:
    """What an evaluation has found so far."""

    unit: str
    draws: Draws
    rows: list[Row] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    judged: Sequence[Mapping[str, float | str]] | None = None
    page: str | None = None

    def json(self) -> dict[str, Any]:
        """As plain values."""
        more = {} if self.judged is None else {"judge": list(self.judged)}
        rows = [row.json() for row in in_order(self.rows)]
        told = {"cost_unit": self.unit, "results": rows, "notes": self.notes, **more, "figures": self.figures}
        return told | {"page": self.page}


def evaluation(path: Path, episodes: int, seed: int, overrides: dict[str, Any], judge: bool, as_json: bool) -> None:
    """Table of all rows, figures, and a table of the independent simulator if asked for; or one JSON object.

    Interrupted, what was found is shown all the same.
    """
    keep_memory()
    asked = dict(overrides)
    channel = validate(ChannelConfig, overrides.pop("coordination", {}), "coordination")
    with waiting(f"opening {path}, building the instance"):
        trained = open_trained(path, overrides, channel)
        draws = recorded_episodes(trained, episodes)
        found = Found(cost_unit(trained), draws, notes=[*described(trained), *draws.notes])
    if judge:
        judge_of(trained)  # refuse before minutes of measuring
    if (obstacle := figures.obstacle(path)) is not None:
        plain(stderr=True).print(obstacle, soft_wrap=True)  # before the work, which is not stopped by it
    told = _Silent(found) if as_json else _Spoken(found)
    try:
        _measure(trained, found, seed, told)
        _draw(trained, found, path, seed, told)
        if judge:
            with waiting("judging") as watch:
                found.judged = judge_run(trained, draws.count, seed, watch)
            told.judged()
        _keep(trained, found, path, seed, asked)
        told.kept()
    except KeyboardInterrupt as stop:
        found.notes.append(f"interrupted: {stop or 'the table is complete, what follows it is not'}")
        told.end()
        raise KeyboardInterrupt(str(stop) or "the table is complete") from None
    told.end()


def described(trained: Trained) -> Sequence[str]:
    """What the domain made of the settings and files of an evaluation."""
    domain = trained.domain
    return domain.describe(trained.config) if isinstance(domain, SupportsDescription) else ()


class _Silent:
    """One JSON object when all is done."""

    def __init__(self, found: Found) -> None:
        self.found = found

    def rows(self) -> None:
        pass

    def drawn(self, notes: Sequence[str]) -> None:
        print(*notes, sep="\n", end="\n" if notes else "", file=sys.stderr)

    def judged(self) -> None:
        pass

    def kept(self) -> None:
        pass

    def end(self) -> None:
        tell(self.found.json())


class _Spoken:
    """Each part as it comes."""

    def __init__(self, found: Found) -> None:
        self.found = found

    def rows(self) -> None:
        if self.found.rows:
            report.console.print(_table(self.found))
        _say_notes(self.found.notes)

    def drawn(self, notes: Sequence[str]) -> None:
        for line in (*(f"figure: {drawn}" for drawn in self.found.figures), *notes):
            _line(line)

    def judged(self) -> None:
        _show_judged(self.found.judged or [])

    def kept(self) -> None:
        if self.found.page:
            _line(f"page: {self.found.page}")

    def end(self) -> None:
        pass


def _measure(trained: Trained, found: Found, seed: int, told: _Silent | _Spoken) -> None:
    """Rows as they come; those there are, with their notes, whatever happens."""
    among = contestants(trained)

    def so_far() -> RenderableType:
        return _table(found) if found.rows else Group()

    try:
        with waiting("measuring", so_far) as watch:
            for row in measured(trained, among, found.draws, seed, watch):
                found.rows.append(row)
                watch.found(f"{label(row)}: {row.cost:.4f} {against(row.difference, _same())}")
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{len(found.rows)} of {len(among)} rows were measured") from None
    finally:
        found.notes += [*trained.notes, *_notes(found, find(trained.run.algorithm).guided)]
        told.rows()


def _draw(trained: Trained, found: Found, path: Path, seed: int, told: _Silent | _Spoken) -> None:
    with waiting("drawing figures") as watch:
        paths, notes = figures.draw(trained, path, found.unit, in_order(found.rows), seed, watch.doing)
    found.figures += [str(drawn) for drawn in paths]
    found.notes += notes
    told.drawn(notes)


def _keep(trained: Trained, found: Found, path: Path, seed: int, asked: Mapping[str, Any]) -> None:
    """The numbers and the page, in the run's folder."""
    told = {
        "unit": found.unit, "seed": seed, "block": found.draws.block, "rows": found.rows, "notes": found.notes,
        "figures": [Path(drawn).name for drawn in found.figures], "judged": found.judged,
    }  # fmt: skip
    with waiting("writing the page"):
        why_not = keeping.store(trained, path, told, asked)
        found.page, notes = (None, [why_not]) if why_not else keeping.page_of([path])
    notes += keeping.logged(path, trained, [row.json() for row in in_order(found.rows)], found.figures)
    found.notes += notes
    for line in notes:
        report.aside(f"note: {line}")


def _notes(found: Found, guided: bool) -> list[str]:
    """What a reader of the table should know."""
    notes = _beaten(found.rows, guided) + rough(found.draws.count)
    if found.draws.count > 1 and any(row.ci95 is None for row in found.rows):
        notes.append("a row whose episodes all cost the same has no interval: its cost is exact")
    return notes


def _beaten(rows: Sequence[Row], guided: bool) -> list[str]:
    """A line where a rule that sees no more costs less than the policy: what to do about it."""
    best = min((r for r in rows if r.kind == "policy"), key=lambda r: r.cost, default=None)
    if best is None:
        return []
    rules = [r for r in rows if r.kind == "baseline" and r.information in ("same", best.information)]
    rule = min(rules, key=lambda r: r.cost, default=best)
    apart = rule.difference
    if rule.cost >= best.cost or apart is None or not apart.distinguishable or apart.cost > 0:
        return []
    more = (
        "; or guide less, train.alpha, or better: `dgpg check` says whether the potential leaves out what lasts (docs, "
        "Your first plugin, What lasts)"
    )
    return [f"{rule.name} sees no more and costs less: train longer{more if guided else ''}"]


def _same() -> str:
    """The mark of rows that may cost the same."""
    return "~" if report.console.options.ascii_only else "≈"


def _table(found: Found) -> Table:
    """The measure that the domain names first goes where there is no room; --json has all."""
    rows = in_order(found.rows)
    head = f"cost = {found.unit}\n{found.draws.count} episodes, the same arrivals for all\n"
    head += f"against {label(found.rows[0])}, episode by episode, with 95 % interval; {_same()}: not distinguishable"
    measures = list(rows[0].measures)[:1]
    columns = ["name", "kind", "sees", "cost", "95 % interval", "against the policy", *measures]
    return fitting(head, columns, [_cells(r, columns, measures) for r in rows], measures, report.console.width)


def _cells(r: Row, columns: Sequence[str], measures: Sequence[str]) -> dict[str, str]:
    spread = f"{r.ci95[0]:.4f} - {r.ci95[1]:.4f}" if r.ci95 else "-"
    cells = (label(r), r.kind, r.information, f"{r.cost:.4f}", spread, against(r.difference, _same()))
    told = dict(zip(columns, (*cells, *(cell(r.measures[name]) for name in measures)), strict=True))
    return told | ({BOLD: "yes"} if r.kind == "policy" else {})


def _show_judged(judged: Sequence[Mapping[str, float | str]]) -> None:
    """A column a policy, since names of measures are long."""
    names = [str(record["name"]) for record in judged]
    made = table("judged by an independent simulator, the policy at its most probable choice", ("measure", *names))
    for measure in list(judged[0])[1:] if judged else ():
        made.add_row(measure, *(amount(record[measure]) for record in judged))
    report.console.print()
    report.console.print(made)


def comparison(paths: Sequence[Path], episodes: int, seed: int, as_json: bool) -> None:
    """One row a run, then means over seeds."""
    with waiting("opening the runs") as watch:
        result = compare_runs(paths, episodes, seed, watch)
        page, notes = keeping.page_of(paths, result if len(paths) > 1 else None)
    if as_json:
        tell({**result, "notes": [*result["notes"], *notes], "page": page})
        return
    runs, groups = result["runs"], result["groups"]
    title = f"{result['cost_unit']}, {result['episodes']} episodes, lower is better"
    if len(runs) > 1:
        title += f"\nagainst the first, episode by episode, with 95 % interval; {_same()}: not distinguishable"
    report.console.print(_records(title, runs, ("run", "algorithm", "model", "seed", "cost", "ci95", "wall_s")))
    report.console.print()
    columns = ["algorithm", "model", "cost", "ci95", "seeds"]
    if len({group["iteration"] for group in groups}) > 1:
        columns.insert(1, "iteration")
    report.console.print(_records("means over seeds; the 95 % interval is over seeds", groups, columns))
    _say_notes([*result["notes"], *notes])
    if page:
        _line(f"page: {page}")


HEADS = {"ci95": "95 % interval", "wall_s": "seconds"}


def _records(title: str, records: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    """The columns that decide, and what each record is against the first; --json has all.

    Rounds are told beside the algorithm, where there are any: a column of their own would cost a number its digits.
    """
    rows = []
    for record in records:
        name = f"{record['algorithm']}, R = {record['rounds']}" if record["rounds"] else record["algorithm"]
        row = {HEADS.get(column, column): cell({**record, "algorithm": name}[column]) for column in columns}
        rows.append(row | ({"against the first": _against(record["difference"])} if len(records) > 1 else {}))
    one_model = len({record["model"] for record in records}) == 1
    spare = [name for name in (("model", "seconds") if one_model else ("seconds", "model")) if name in rows[0]]
    return fitting(title, list(rows[0]), rows, spare, report.console.width)


def _against(found: Mapping[str, Any] | None) -> str:
    fields = None if found is None else {name: found[name] for name in Difference.__dataclass_fields__}
    return against(None if fields is None else Difference(**fields), _same())


def _say_notes(notes: Sequence[str]) -> None:
    for line in notes:
        report.console.print(f"note: {line}")


def _line(text: str) -> None:
    report.console.print(text, soft_wrap=True)
