"""The folder of a run: written atomically, by one process at a time, read back with clear errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import BaseFileLock

from dgpg.domain import validate
from dgpg.errors import ConfigError, RunError
from dgpg.learning import RunConfig
from dgpg.runs.atomic import sweep, write_json, writing
from dgpg.runs.checkpoints import Checkpoints
from dgpg.runs.differences import differences
from dgpg.runs.lock import LOCK, OWNER, hold, release
from dgpg.runs.log import RunLog, read
from dgpg.runs.overrides import parse_json
from dgpg.runs.versions import FILE, versions

UNBORN = frozenset({"checkpoints", FILE, LOCK, OWNER})
"""What may lie in a folder in which no run has begun: its configuration is written last."""


class RunFolder:
    """config.json, versions.json, metrics.jsonl, checkpoints/ and what loggers keep there."""

    def __init__(self, path: Path, config: RunConfig | None = None) -> None:
        self.path, self.config = path, config
        self._checkpoints = Checkpoints(path / "checkpoints")
        self._log = RunLog(path)
        self._lock: BaseFileLock | None = None
        self.told: list[str] = []
        """What whoever opened the folder has to say of it."""

    @property
    def checkpoints(self) -> Path:
        """Where complete states lie."""
        return self._checkpoints.folder

    @property
    def metrics(self) -> Path:
        """A line an iteration."""
        return self._log.path

    @property
    def notes(self) -> list[str]:
        """What a user should know of what was found there."""
        damaged = [f"{line}; the one before is used" for line in self._checkpoints.damaged]
        return [*self.told, *damaged, *self._log.notes]

    @classmethod
    def create(cls, path: Path, config: RunConfig, plugin: str | None = None) -> RunFolder:
        """A new folder, held by this process; one that holds anything is refused, so no run is ever overwritten.

        A folder where a run was about to begin when its process was killed counts as new.

        Raises:
            RunError: the folder holds something, or another process has it.
        """
        folder = cls(path, config)
        with writing(path):
            if path.exists() and not begins(path):
                way = "add --resume to go on with that run, or " if (path / "config.json").is_file() else ""
                raise RunError(f"{path} exists: {way}choose another --out")
            folder.checkpoints.mkdir(parents=True, exist_ok=True)
        folder.claim()
        if not begins(path):  # another process was faster, and has ended
            folder.close()
            raise RunError(f"{path} exists: choose another --out")
        write_json(path / FILE, versions(plugin))
        write_json(path / "config.json", config.model_dump(mode="json"))
        return folder

    @classmethod
    def open(cls, path: Path) -> tuple[RunFolder, RunConfig]:
        """An existing run and its configuration, to read.

        Raises:
            RunError: no such folder, or not a run.
        """
        file = path / "config.json"
        try:
            if not path.is_dir():
                raise RunError(f"{path}: no such run folder; name the --out of a training")
            values = parse_json(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(_no_run(path)) from None
        except (OSError, ValueError, RecursionError, ConfigError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            advice = "put back what the training wrote there; without it the run cannot be used"
            raise RunError(f"{file} cannot be read: {why}; {advice}") from None
        config = validate(RunConfig, values, str(file))
        return cls(path, config), config

    def claim(self) -> None:
        """Hold the folder for this process, to write there; what killed writers left goes.

        Raises:
            RunError: another process has it; says which.
        """
        self._lock = hold(self.path)
        sweep(self.path)
        sweep(self.checkpoints)

    def save(self, iteration: int, state: Mapping[str, Any]) -> None:
        """A complete checkpoint, with the configuration that it belongs to."""
        self._log.flush()
        belongs = {} if self.config is None else {"config": self.config.model_dump(mode="json")}
        self._checkpoints.save(iteration, {**state, **belongs})

    def load(self, device: torch.device) -> dict[str, Any]:
        """The newest checkpoint that reads back whole.

        Raises:
            RunError: no checkpoint is complete, its numbers are not finite, or it is of another configuration.
        """
        state = self._checkpoints.load(device)
        belongs = state.pop("config", None)
        if self.config is not None and isinstance(belongs, dict):
            trained = validate(RunConfig, belongs, f"the checkpoint of {self.path}").model_dump(mode="json")
            found = differences(trained, self.config.model_dump(mode="json"), between="config.json says")
            if found:
                raise RunError(
                    f"{self.path / 'config.json'} was changed since the run began, and its checkpoints are of the "
                    f"settings before: {'; '.join(found)}. Put them back, or start a new run with "
                    "--config and another --out"
                )
        return state

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint or a line of the log to go on from."""
        return bool(self._checkpoints.saved()) or bool(self.metrics.exists() and self.metrics.stat().st_size)

    @property
    def kept(self) -> int:
        """Iteration of the newest checkpoint; 0 if there is none."""
        return max((int(path.stem.rpartition("-")[2]) for path in self._checkpoints.saved()), default=0)

    def start_log(self, iteration: int) -> None:
        """Open the log after `iteration`."""
        self._log.start(iteration, {} if self.config is None else self.config.model_dump(mode="json"))

    def listen(self, told: Callable[[str], None]) -> None:
        """From now on what loggers fail in is told there."""
        self._log.told = told

    def log(self, metrics: Mapping[str, float]) -> None:
        """One line for one iteration, on disk before this returns."""
        self._log.append(metrics)

    def read_log(self) -> list[dict[str, float]]:
        """Records of metrics.jsonl, as far as they follow each other."""
        return read(self.metrics).lines

    def close(self) -> None:
        """Flush the events, and let other processes have the folder."""
        try:
            self._log.close()
        finally:
            if self._lock is not None:
                release(self._lock)
                self._lock = None


class Onlooker(RunFolder):
    """The folder as processes have it that hold shards and write nothing: another one does."""

    def claim(self) -> None:
        """Nothing."""

    def save(self, iteration: int, state: Mapping[str, Any]) -> None:
        """Nothing."""

    def start_log(self, iteration: int) -> None:
        """Nothing."""

    def log(self, metrics: Mapping[str, float]) -> None:
        """Nothing."""


def _no_run(path: Path) -> str:
    if unborn(path):
        return (
            f"in {path} no run has begun: a training that was about to was stopped, and nothing is lost; start it as "
            "before, with its domain"
        )
    return f"{path} is not a run: it has no config.json"


def begins(path: Path) -> bool:
    """Whether a folder is new: empty, or left by a process that was killed before its run had begun."""
    if not path.is_dir():
        return False
    found = {entry.name for entry in path.iterdir() if not entry.name.startswith(".config.json.")}
    found = {name for name in found if not name.startswith(f".{FILE}.")}
    return found <= UNBORN and not any((path / "checkpoints").glob("*"))


def unborn(path: Path) -> bool:
    """Whether a process left a folder that was killed before its run had begun."""
    return begins(path) and any(path.iterdir())
