"""What a person sees: tables and progress on a terminal, plain lines in a pipe, one object with --json."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dgpg.checks import Outcome
from dgpg.domain import validate
from dgpg.domain.registry import Entry
from dgpg.learning import ChannelConfig, Metrics, Trainer
from dgpg.learning.algorithms import find
from dgpg.learning.rounds.intents import intents_of
from dgpg.measuring import Alignment, Row, compare_runs, evaluate_run
from dgpg.measuring.evaluate import judge_of, judge_run
from dgpg.runs import Plan, RunFolder, open_trained
from dgpg.showing import figures
from dgpg.showing.plain import plain

console = plain()
if not console.is_terminal:
    console = plain(width=120)


def plugins(entries: Sequence[Entry]) -> None:
    """Domains and models, one a line, with errors in full."""
    if not entries:
        console.print("no plugin is installed; try: pip install dgpg-plugin-cloud")
        return
    table = Table("name", "kind", "distribution", "status")
    for entry in entries:
        kind = "domain" if entry.group.endswith("domains") else "model"
        status = "error, see below" if entry.error else "ok"
        table.add_row(entry.name, kind, f"{entry.distribution} {entry.version}", status)
    console.print(table)
    for entry in entries:
        if entry.error:
            console.print(f"{entry.name}: {entry.error}", soft_wrap=True)


def outcome(found: Outcome) -> None:
    """One line a check as it ends, failures and skips with their message."""
    style = {"pass": "green", "fail": "bold red", "skip": "yellow"}[found.status]
    line = f"{found.status}  {found.name}: {found.message or found.description}"
    console.print(line, style=style, soft_wrap=True)


def conformance(domain: str, outcomes: Sequence[Outcome], aligned: Alignment | None, as_json: bool) -> None:
    """Counts of passes, failures and skips, and the verdict on the model."""
    if as_json:
        measured = aligned and {
            **asdict(aligned),
            "trusted": aligned.trusted,
            "verdict": aligned.verdict,
            "advice": aligned.advice,
        }
        print(json.dumps({"domain": domain, "checks": [o.json() for o in outcomes], "alignment": measured}, indent=2))
        return
    count = {status: sum(o.status == status for o in outcomes) for status in ("pass", "fail", "skip")}
    said = f"{domain}: {count['pass']} passed, {count['fail']} failed, {count['skip']} skipped in "
    lines = [said + f"{sum(o.seconds for o in outcomes):.1f} s"]
    if aligned is None:
        lines.append("alignment: not measured, because checks failed")
    else:
        direction, gain = ("{:.2f} to {:.2f}".format(*x) for x in (aligned.direction_ci95, aligned.gain_ci95))
        lines.append(
            f"alignment: direction {aligned.direction:.2f} ({direction}), in the worst states {aligned.worst:.2f}; "
            f"gain over shuffled blocks {aligned.gain:.2f} ({gain}); "
            f"one unit of potential stands for {aligned.scale:.2g} of cost; {aligned.states} states"
        )
        lines.append(f"the model: {aligned.verdict}")
        lines += [f"note: {aligned.advice}"] if aligned.advice else []
    for line in lines:
        console.print(line, soft_wrap=True)


def opening(plan: Plan, folder: RunFolder, trainer: Trainer) -> None:
    """What is about to run."""
    run = plan.run
    for line in plan.description:
        console.print(f"note: {line}", soft_wrap=True)
    for line in folder.notes:
        console.print(f"note: {line}", soft_wrap=True)
    if trainer.team.rounds is not None:
        said = intents_of(trainer.kind, plan.task.model, plan.task.mapping, trainer.decision).said
        size = f"{said} numbers a round and hears as many ({8 * said * trainer.team.rounds.count:,} bytes a step)"
        console.print(f"note: {trainer.team.rounds.count} rounds: an agent sends {size}", soft_wrap=True)
    begin = f"from iteration {trainer.iteration} " if trainer.iteration else ""
    console.print(
        f"{run.algorithm} on {run.domain} {begin}to {run.iterations}: {trainer.task.env.num_agents} agents, "
        f"{run.num_envs} environments, seed {run.seed}, {run.device}, in {folder.path}",
        soft_wrap=True,
    )


def aside(line: str) -> None:
    """Something a user should know now, apart from what a command returns; a bar that is shown makes room for it."""
    to = console if console.is_terminal else plain(stderr=True)
    to.print(line, soft_wrap=True)


def scaffolded(folder: Path, name: str) -> None:
    """What to do with a new plugin."""
    steps = (f"pip install -e {folder}", f"dgpg check {name}", f"dgpg train {name}")
    console.print(f"{folder} written; next: {'; '.join(steps)}", soft_wrap=True)


@contextmanager
def progress(total: int, done: int) -> Iterator[Callable[[Metrics], None]]:
    """A bar on a terminal, a line an iteration elsewhere."""
    if not console.is_terminal:
        yield lambda metrics: print(_line(metrics), flush=True)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("training", total=total, completed=done)
        yield lambda metrics: bar.update(task, completed=metrics["iteration"], description=_line(metrics))


def _line(metrics: Metrics) -> str:
    return (
        f"iteration {metrics['iteration']:.0f}  cost {metrics['cost']:.4f}  alpha {metrics['alpha']:.2f}  "
        f"entropy {metrics['entropy']:.2f}  {metrics['agent_steps'] / metrics['wall_s']:,.0f} agent-steps/s"
    )


def closing(folder: RunFolder, trainer: Trainer) -> None:
    """Where things are and what to do next."""
    if trainer.iteration < trainer.config.iterations:
        next_step = f"dgpg train --resume --out {folder.path}"
    else:
        next_step = f"dgpg evaluate {folder.path}"
    console.print(f"iteration {trainer.iteration} saved; next: {next_step}", soft_wrap=True)


def evaluation(path: Path, episodes: int, seed: int, overrides: dict[str, Any], judge: bool, as_json: bool) -> None:
    """Table of all rows, one of the independent simulator if asked for, and figures; or one JSON object."""
    channel = validate(ChannelConfig, overrides.pop("coordination", {}), "coordination")
    trained = open_trained(path, overrides, channel)
    if judge:
        judge_of(trained)  # refuse before minutes of measuring
    unit, rows = evaluate_run(trained, episodes, seed)
    judged = judge_run(trained, episodes, seed) if judge else []
    if as_json:
        more: dict[str, Any] = {"judge": [_finite(r) for r in judged]} if judge else {}
        paths, notes = figures.draw(trained, path, unit, rows, seed)
        more["figures"] = [str(drawn) for drawn in paths]
        print(json.dumps({"cost_unit": unit, "results": [r.json() for r in rows], **more}, indent=2))
        print(*notes, sep="\n", end="\n" if notes else "", file=sys.stderr)
        return
    title = f"cost = {unit}\n{episodes} episodes, the same arrivals for all"
    measures = list(rows[0].measures)[:1]  # what a domain names first; --json has all
    table = _table(title, ("name", "kind", "sees", "mode", "cost", "95 % interval", *measures))
    for r in rows:
        low, high = r.ci95
        cells: tuple[str, ...] = (r.name, r.kind, r.information, r.mode or "")
        cells += (f"{r.cost:.4f}", f"{low:.4f} - {high:.4f}" if r.episodes > 1 else "-")
        cells += tuple(_cell(r.measures[name]) for name in measures)
        table.add_row(*cells, style="bold" if r.kind == "policy" else None)
    console.print(table)
    for line in _beaten(rows, find(trained.run.algorithm).guided):
        console.print(line)
    if judge:
        _show_judged(judged)
    paths, notes = figures.draw(trained, path, unit, rows, seed)  # after the table, which no figure may cost
    for line in (*(f"figure: {drawn}" for drawn in paths), *notes):
        console.print(line, soft_wrap=True)


def _beaten(rows: Sequence[Row], guided: bool) -> list[str]:
    """A line where a rule that sees no more costs less than the policy: what to do about it."""
    best = min((r for r in rows if r.kind == "policy"), key=lambda r: r.cost)
    rules = [r for r in rows if r.kind == "baseline" and r.information in ("same", best.information)]
    rule = min(rules, key=lambda r: r.cost, default=best)
    if rule.ci95[1] >= best.ci95[0]:
        return []
    more = (
        "; or guide less, train.alpha, or better: `dgpg check` says whether the potential leaves out what lasts (docs, "
        "Your first plugin, What lasts)"
    )
    return [f"note: {rule.name} sees no more and costs less: train longer{more if guided else ''}"]


def _finite(record: Mapping[str, float | str]) -> dict[str, float | str | None]:
    """JSON has no word for nan."""
    return {k: None if isinstance(x, float) and not math.isfinite(x) else x for k, x in record.items()}


def _amount(value: float | str) -> str:
    """Four digits, and all of those before the point."""
    return f"{value:,.0f}" if isinstance(value, float) and abs(value) >= 1e4 else _cell(value)


def _show_judged(judged: Sequence[Mapping[str, float | str]]) -> None:
    """A column a policy, since names of measures are long."""
    names = [str(record["name"]) for record in judged]
    table = _table("judged by an independent simulator, the policy at its most probable choice", ("measure", *names))
    for measure in list(judged[0])[1:]:
        table.add_row(measure, *(_amount(record[measure]) for record in judged))
    console.print()
    console.print(table)


def comparison(paths: Sequence[Path], episodes: int, seed: int, as_json: bool) -> None:
    """One row a run, then means over seeds."""
    result = compare_runs(paths, episodes, seed)
    if as_json:
        print(json.dumps(result, indent=2))
        return
    runs, groups = ([_shown(row, row.get("seeds", episodes)) for row in result[name]] for name in ("runs", "groups"))
    console.print(_plain(f"{result['cost_unit']}, {episodes} episodes, lower is better", runs))
    console.print()
    console.print(_plain("means over seeds", groups))


def _shown(row: Mapping[str, Any], draws: int) -> dict[str, Any]:
    """Rounds beside the algorithm, where there are any: a column of their own would cost a number its digits.

    One draw says nothing of its spread.
    """
    name = f"{row['algorithm']}, R = {row['rounds']}" if row["rounds"] else row["algorithm"]
    told = {key: value for key, value in row.items() if key != "rounds"} | {"algorithm": name}
    return told if draws > 1 else told | {"ci95": "-"}


def calibration(domain: str, rows: Sequence[Mapping[str, float | str]], out: Path | None, as_json: bool) -> None:
    """Parameters before and after, and what the fit could not tell."""
    if as_json:
        print(json.dumps({"domain": domain, "parameters": [_finite(row) for row in rows]}, indent=2))
        return
    table = _table(f"{domain}: parameters fitted to the log", ("parameter", "unit", "start", "fitted"))
    for row in rows:
        table.add_row(*(_cell(row[name]) for name in ("parameter", "unit", "start", "fitted")))
    console.print(table)
    for row in rows:
        if row["note"]:
            console.print(f"note: {row['parameter']}: {row['note']}", soft_wrap=True)
    if out is not None:
        console.print(f"written: {out}", soft_wrap=True)


def _table(title: str, columns: Sequence[str]) -> Table:
    """Narrow enough for 80 columns: the first gives way, a number is never cut."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column(columns[0], overflow="fold")
    for column in columns[1:]:
        table.add_column(column, no_wrap=True)
    return table


def _plain(title: str, records: Sequence[Mapping[str, Any]]) -> Table:
    """The columns that decide; --json has all."""
    columns = [name for name in records[0] if name not in ("iteration", "episodes", "env_steps", "updates")]
    table = _table(title, columns)
    for record in records:
        table.add_row(*(_cell(record[name]) for name in columns))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " to ".join(_cell(part) for part in value)
    return f"{value:,}" if isinstance(value, int) else str(value)
