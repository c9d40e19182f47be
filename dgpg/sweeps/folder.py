"""The folder of a sweep: a run's folder each, what it printed beside it, and what the sweep is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from filelock import BaseFileLock

from dgpg.errors import ConfigError, RunError
from dgpg.runs import RunFolder
from dgpg.runs.atomic import write_json, writing
from dgpg.runs.differences import differences
from dgpg.runs.lock import hold, release
from dgpg.runs.overrides import parse_json
from dgpg.sweeps.file import Asked
from dgpg.sweeps.jobs import Job

ABOUT = "sweep.json"
MEASURED = "measured.json"


class SweepFolder:
    """Owns what is written there; a sweep that goes on must be of the same settings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: BaseFileLock | None = None

    def claim(self, asked: Asked) -> None:
        """Hold the folder for this process; begin a sweep there, or go on with the one that it has.

        Raises:
            RunError: another process has it, or it is of something else.
        """
        about = self.path / ABOUT
        now = {"base": asked.base, "episodes": asked.sweep.episodes, "arrivals": asked.sweep.arrivals}
        with writing(self.path):
            if self.path.exists() and not about.is_file() and any(self.path.iterdir()):
                raise RunError(f"{self.path} exists and is not a sweep: choose another --out")
            self.path.mkdir(parents=True, exist_ok=True)
        self._lock = hold(self.path)
        if not about.is_file():
            write_json(about, now)
            return
        found = differences(_read(about), now, between="the file says")
        if found:
            raise RunError(
                f"{self.path} is a sweep of other settings than the file: {'; '.join(found)}. Grid, search and seeds "
                "may grow; for the rest choose another --out"
            )

    def close(self) -> None:
        """Let other processes have it."""
        if self._lock is not None:
            release(self._lock)
            self._lock = None

    def run(self, job: Job) -> Path:
        """Folder of a run."""
        return self.path / job.name

    def said(self, job: Job) -> Path:
        """What its process printed."""
        return self.path / f"{job.name}.log"

    def settings(self, job: Job) -> Path:
        """What its process was told, for `--config`."""
        return self.path / f"{job.name}.json"

    def begun(self, job: Job) -> bool:
        """Whether there is a run to go on with."""
        return (self.run(job) / "config.json").is_file()

    def trained(self, job: Job) -> bool:
        """Whether its run has come to its end."""
        if not self.begun(job):
            return False
        folder, config = RunFolder.open(self.run(job))
        return folder.kept >= config.iterations

    def measured(self, job: Job) -> dict[str, Any] | None:
        """What was measured of it; None if nothing was yet."""
        file = self.run(job) / MEASURED
        return _read(file) if file.is_file() else None


def _read(file: Path) -> dict[str, Any]:
    try:
        found = parse_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, ConfigError) as error:
        raise RunError(f"{file} cannot be read: {error}; remove it, and it is made again") from None
    if not isinstance(found, dict):
        raise RunError(f"{file}: expected a table; remove it, and it is made again")
    return found
