"""What an evaluation leaves in a run's folder beside its figures: its numbers, and the page of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dgpg.errors import DgpgError
from dgpg.measuring import Alignment
from dgpg.measuring.compare import system
from dgpg.measuring.kept import Kept, keep
from dgpg.runs import Trained
from dgpg.runs.atomic import write_json
from dgpg.runs.loggers import Loggers
from dgpg.showing import page
from dgpg.showing.page.contents import VERDICT, known
from dgpg.showing.tables import finite


def store(trained: Trained, folder: Path, found: Mapping[str, Any], overrides: Mapping[str, Any]) -> str | None:
    """Keep the numbers `found` (fields of `Kept`) of an evaluation; else the line that says why they are not kept."""
    told: dict[str, Any] = {
        "iteration": trained.iteration,
        "system": system(trained),
        "elsewhere": list(trained.elsewhere),
    }
    try:
        keep(folder, Kept(**found, **told, overrides=dict(overrides), usual=known(trained.run)))
    except DgpgError as error:
        return f"the evaluation is not kept for pages: {error}"
    return None


def logged(folder: Path, trained: Trained, rows: Sequence[Mapping[str, Any]], figures: Sequence[str]) -> list[str]:
    """Tell the run's loggers of an evaluation; what they failed in."""
    failed = list[str]()
    others = Loggers(folder, trained.run.model_dump(mode="json"), None, failed.append)
    others.evaluation(rows, [Path(drawn).resolve() for drawn in figures])
    others.close()
    return [line.removeprefix("note: ") for line in failed]


def page_of(folders: Sequence[Path], compared: Mapping[str, Any] | None = None) -> tuple[str | None, list[str]]:
    """Where the page of some runs was written, and why it was not; a page that fails stops nothing."""
    try:
        return str(page.write(folders, compared=compared)), []
    except Exception as error:  # it is drawn from anything that folders hold
        return None, [f"no page: {error if isinstance(error, DgpgError) else repr(error)}"]


def verdict(folder: Path, aligned: Alignment) -> None:
    """What was measured of a run's model, into its folder.

    Raises:
        RunError: it cannot be written.
    """
    write_json(folder / VERDICT, finite(aligned.json()))
