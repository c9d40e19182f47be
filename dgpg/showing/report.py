"""What a person sees: tables and progress on a terminal, plain lines in a pipe, one object with --json."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dgpg.checks import Outcome
from dgpg.domain.listing import Entry
from dgpg.export import Exported
from dgpg.learning import Metrics, Trainer
from dgpg.learning.rounds.intents import intents_of
from dgpg.measuring import Alignment
from dgpg.runs import Plan, RunFolder
from dgpg.showing.alone import tell
from dgpg.showing.plain import plain
from dgpg.showing.tables import cell, table

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
        measured = aligned and aligned.json()
        tell({"domain": domain, "checks": [o.json() for o in outcomes], "alignment": measured})
        return
    count = {status: sum(o.status == status for o in outcomes) for status in ("pass", "fail", "skip")}
    said = f"{domain}: {count['pass']} passed, {count['fail']} failed, {count['skip']} skipped in "
    lines = [said + f"{sum(o.seconds for o in outcomes):.1f} s"]
    if aligned is None:
        lines.append(f"alignment: not measured, {'because checks failed' if count['fail'] else '--no-alignment'}")
    else:
        direction, gain = _ends(aligned.direction_ci95), _ends(aligned.gain_ci95)
        lines.append(
            f"alignment: direction {aligned.direction:.2f} ({direction}), in the worst states {aligned.worst:.2f}; "
            f"gain over shuffled blocks {aligned.gain:.2f} ({gain}); "
            f"one unit of potential stands for {aligned.scale:.2g} of cost; {aligned.states} states, "
            f"{aligned.lookahead} steps of cost"
        )
        along = ", ".join(f"{one.play} {one.direction:.2f} ({_ends(one.direction_ci95)})" for one in aligned.along)
        lines.append(f"direction in states that others lead to: {along}")
        lines += [f"followed without learning, on the same arrivals: {aligned.alone.said}"] if aligned.alone else []
        lines.append(f"the model: {aligned.verdict}")
        lines += [f"note: {aligned.advice}"] if aligned.advice else []
    for line in lines:
        console.print(line, soft_wrap=True)


def _ends(interval: tuple[float, float]) -> str:
    return "{:.2f} to {:.2f}".format(*interval)


def exported(found: Exported) -> None:
    """What was written, and how far it was compared."""
    compared = found.description["compared"]
    console.print(
        f"{compared['decisions']:,} decisions compared with torch: choices are the same, numbers differ by "
        f"{compared['largest_difference']:.1e} at most",
        soft_wrap=True,
    )
    for path in found.files:
        console.print(str(path), soft_wrap=True)


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


def calibration(domain: str, rows: Sequence[Mapping[str, float | str]], out: Path | None, as_json: bool) -> None:
    """Parameters before and after, and what the fit could not tell."""
    if as_json:
        tell({"domain": domain, "parameters": list(rows)})
        return
    made = table(f"{domain}: parameters fitted to the log", ("parameter", "unit", "start", "fitted"))
    for row in rows:
        made.add_row(*(cell(row[name]) for name in ("parameter", "unit", "start", "fitted")))
    console.print(made)
    for row in rows:
        if row["note"]:
            console.print(f"note: {row['parameter']}: {row['note']}", soft_wrap=True)
    if out is not None:
        console.print(f"written: {out}", soft_wrap=True)
