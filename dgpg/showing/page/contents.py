"""What the folders of runs say, gathered for a page; nothing is measured here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dgpg.errors import DgpgError
from dgpg.learning import RunConfig
from dgpg.measuring.compare import Measured, but_seed, held_together
from dgpg.measuring.kept import Kept, kept
from dgpg.runs import RunFolder
from dgpg.runs.differences import differences
from dgpg.runs.usual import usual
from dgpg.runs.versions import changed, noted

VERDICT = "alignment.json"
"""What `dgpg check RUN` found of the model, in the run's folder."""


@dataclass(frozen=True)
class Run:
    """A run as its folder has it."""

    path: Path
    config: RunConfig
    log: list[dict[str, float]]
    evaluation: Kept | None
    usual: dict[str, Any]
    """Its settings if nothing but its domain's had been said; empty where that cannot be known any more."""
    versions: dict[str, str]
    alignment: dict[str, Any] | None
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As its folder is called."""
        return self.path.resolve().name

    @property
    def iteration(self) -> int:
        """How far its log goes."""
        return int(self.log[-1]["iteration"]) if self.log else 0

    @property
    def pictures(self) -> list[Path]:
        """The domain's figures of the last evaluation that still lie there; `evaluation.svg` the page draws itself."""
        names = self.evaluation.figures if self.evaluation else []
        return [self.path / name for name in names if name != "evaluation.svg" and (self.path / name).is_file()]


def opened(path: Path) -> Run:
    """All that a run's folder says.

    Raises:
        RunError: no run there.
    """
    folder, config = RunFolder.open(path)
    notes = [line for line in (changed(path),) if line is not None]
    evaluation, log = None, folder.read_log()
    try:
        evaluation = kept(path)
    except DgpgError as error:
        notes.append(str(error))
    if evaluation is None:
        notes.append(f"not evaluated: dgpg evaluate {path} measures it against every rule and draws its pictures")
    elif log and evaluation.iteration != log[-1]["iteration"]:
        notes.append(f"evaluated at iteration {evaluation.iteration}, and trained to {log[-1]['iteration']:.0f} since")
    defaults = evaluation.usual if evaluation and evaluation.usual else known(config)
    return Run(path, config, log, evaluation, defaults, noted(path), _verdict(path), notes)


def known(config: RunConfig) -> dict[str, Any]:
    """Its defaults, as far as they can be known."""
    try:
        return usual(config)
    except DgpgError:  # the plugin, or a file that it reads, is gone: the page is of what there is
        return {}


def _verdict(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((path / VERDICT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def grouped(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that differ in seed alone, in the order of their first."""
    found = dict[str, list[Run]]()
    for run in runs:
        found.setdefault(but_seed(run.config, 0), []).append(run)
    return list(found.values())


def together(runs: Sequence[Run]) -> tuple[dict[str, Any] | None, str]:
    """The runs held against the first, from evaluations that met the same arrivals; or why they cannot be."""
    command = f"dgpg compare {' '.join(str(run.path) for run in runs)}"
    first = runs[0].evaluation
    measured = []
    for run in runs:
        found = run.evaluation
        if first is None or found is None:
            return None, f"not every run was evaluated, so none is held against another: {command}"
        row, theirs = found.rows[0], first.rows[0]
        if differences(first.system, found.system):
            return None, "the runs were evaluated in different settings of the domain: they have no common arrivals"
        if (found.seed, len(row.costs)) != (first.seed, len(theirs.costs)) or not row.costs:
            return None, f"the evaluations met other arrivals, so no run is held against another: {command}"
        measured.append(Measured(run.path, run.config, found.iteration, np.array(row.costs), found.block))
    return held_together(measured, runs[0].evaluation.unit if runs[0].evaluation else ""), ""
