"""The loop of a sweep: as many runs at a time as there is room for, until no candidate is left."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dgpg.domain import merge
from dgpg.runs.atomic import write_json
from dgpg.runs.interruption import Interruption
from dgpg.sweeps.file import Asked
from dgpg.sweeps.folder import SweepFolder
from dgpg.sweeps.jobs import Candidate, Job
from dgpg.sweeps.outcome import outcome
from dgpg.sweeps.processes import Command, Engine, Process, reason

PAUSE = 0.1
"""Seconds between two looks at what is running."""


class Candidates(Protocol):
    """Where candidates come from."""

    def take(self) -> Candidate | None:
        """The next one; None if there is none, or none before another is told."""
        ...

    def tell(self, candidate: Candidate, cost: float | None) -> None:
        """What one came to; None if it failed."""
        ...

    def before(self) -> list[Candidate]:
        """Those that were finished before this sweep went on."""
        ...


@dataclass
class _State:
    """What is under way."""

    taken: list[Candidate] = field(default_factory=list)
    waiting: list[Job] = field(default_factory=list)
    running: dict[str, tuple[Job, Process]] = field(default_factory=dict)
    left: dict[str, set[int]] = field(default_factory=dict)
    """Seeds of a candidate that are not finished, by its name."""
    stopped: bool = False


def run(
    asked: Asked,
    candidates: Candidates,
    folder: SweepFolder,
    engine: Engine,
    told: Callable[[str], None],
    interruption: Interruption,
) -> list[Candidate]:
    """Train and measure all candidates; what was done before is left as it is, what was begun goes on.

    Args:
        asked: the sweep.
        candidates: that are tried.
        folder: held by this process.
        engine: where runs are.
        told: hears a line of every run.
        interruption: when a signal came, no run is begun any more, and those under way save and end.

    Returns:
        All candidates, in the order in which they were taken.
    """
    state = _State(taken=candidates.before())
    try:
        while True:
            if interruption.signal is not None and not state.stopped:
                state.stopped = True
                _stop(state, signal.SIGTERM)
            if not state.stopped:
                _fill(asked, candidates, folder, engine, state)
            if not state.running:
                return state.taken
            time.sleep(PAUSE)
            _gather(asked, candidates, folder, told, state)
    finally:
        _stop(state, signal.SIGKILL)


def _fill(asked: Asked, candidates: Candidates, folder: SweepFolder, engine: Engine, state: _State) -> None:
    """Begin runs while there is room."""
    while len(state.running) < engine.jobs:
        while not state.waiting:
            candidate = candidates.take()
            if candidate is None:
                return
            state.taken.append(candidate)
            jobs = [job for job in candidate.jobs(asked.sweep.seeds) if folder.measured(job) is None]
            state.waiting += jobs
            state.left[candidate.name] = {job.seed for job in jobs}
            if not jobs:
                candidates.tell(candidate, outcome(folder, candidate, asked.sweep.seeds).cost)
        job = state.waiting.pop(0)
        state.running[job.name] = (job, engine.start(_commands(asked, folder, job), folder.said(job)))


def _gather(
    asked: Asked, candidates: Candidates, folder: SweepFolder, told: Callable[[str], None], state: _State
) -> None:
    """Hear of those that have ended."""
    for name, (job, process) in list(state.running.items()):
        status = process.poll()
        if status is None:
            continue
        del state.running[name]
        found = folder.measured(job)
        if found is not None:
            told(f"{name}: {found['cost']:.4f}")
        elif not state.stopped:
            told(f"{name}: failed with status {status}: {reason(folder.said(job))} ({folder.said(job)})")
        left = state.left[job.candidate.name]
        left.discard(job.seed)
        if not left and not state.stopped:
            whole = outcome(folder, job.candidate, asked.sweep.seeds)
            candidates.tell(job.candidate, None if whole.failed else whole.cost)


def _commands(asked: Asked, folder: SweepFolder, job: Job) -> Sequence[Command]:
    """Train, or go on, then measure."""
    python, place = [sys.executable, "-m"], str(folder.run(job))
    measure = [*python, "dgpg.sweeps.measure", place, str(asked.sweep.episodes), str(asked.sweep.arrivals)]
    if folder.trained(job):
        return [measure]
    if folder.begun(job):
        return [[*python, "dgpg", "train", "--resume", "--out", place], measure]
    # A thread each: there are as many runs at a time as processors, and numbers may depend on threads.
    values = merge({"train": {"threads": 1}}, {**job.candidate.values, "seed": job.seed})
    write_json(folder.settings(job), values)
    return [[*python, "dgpg", "train", "--config", str(folder.settings(job)), "--out", place], measure]


def _stop(state: _State, number: int) -> None:
    for _, process in state.running.values():
        process.stop(number)
