"""The folder of a run: written atomically, read back with clear errors. The only place that writes files."""

from __future__ import annotations

import io
import json
import os
import platform
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

import torch

from dgpg.domain import validate
from dgpg.errors import RunError
from dgpg.learning import RunConfig

KEEP = 2
"""Checkpoints kept; one is enough to resume, the one before is for a disk that lied."""
PACKAGES = ("dgpg", "torch", "numpy", "pydantic", "stevedore", "gymnasium")


@contextmanager
def _writing(what: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot write {what}: {error.strerror or error}. What was complete before is untouched"
        ) from error


def write_atomic(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """The whole file or none of it: write beside it, flush to disk, rename over."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with _writing(path):
        try:
            with beside.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise


def write_json(path: Path, value: Any) -> None:
    """Readable JSON, atomically."""
    text = json.dumps(value, indent=2) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()))


def versions(plugin: str | None = None) -> dict[str, str]:
    """Versions that a result depends on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in (*PACKAGES, *([plugin] if plugin else [])):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def plugin_of(path: Path) -> str | None:
    """The distribution, with its version, that the domain of the run in a folder came from."""
    try:
        noted = json.loads((path / "versions.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = (*PACKAGES, "python", "platform")
    others = [name for name in noted if name not in known] if isinstance(noted, dict) else []
    return f"{others[0]} {noted[others[0]]}" if others else None


class RunFolder:
    """config.json, versions.json, metrics.jsonl, checkpoints/ and TensorBoard events."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.metrics = path / "metrics.jsonl"
        self.damaged: list[str] = []
        """Checkpoints that `load` had to pass over, and why."""
        self._events: Any = None

    @classmethod
    def create(cls, path: Path, config: RunConfig, plugin: str | None = None) -> RunFolder:
        """A new folder; one that holds anything is refused, so no run is ever overwritten.

        Raises:
            RunError: the folder holds something.
        """
        folder = cls(path)
        with _writing(path):
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                way = "add --resume to go on with that run, or " if (path / "config.json").is_file() else ""
                raise RunError(f"{path} exists: {way}choose another --out")
            folder.checkpoints.mkdir(parents=True, exist_ok=True)
        write_json(path / "versions.json", versions(plugin))
        write_json(path / "config.json", config.model_dump(mode="json"))
        return folder

    @classmethod
    def open(cls, path: Path) -> tuple[RunFolder, RunConfig]:
        """An existing run and its configuration.

        Raises:
            RunError: no such folder, or not a run.
        """
        file = path / "config.json"
        try:
            if not path.is_dir():
                raise RunError(f"{path}: no such run folder; name the --out of a training")
            values = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{path} is not a run: it has no config.json") from None
        except (OSError, ValueError) as error:
            raise RunError(f"{file} cannot be read: {error}") from None
        return cls(path), validate(RunConfig, values, str(file))

    def save(self, iteration: int, state: Mapping[str, Any]) -> None:
        """A complete checkpoint; then those beyond KEEP go, and those of work that is done again."""
        target = self.checkpoints / f"iteration-{iteration:06d}.pt"
        if self._events is not None:
            with _writing(self.path / "events"):
                self._events.flush()
        whole = io.BytesIO()  # torch.save straight to a full disk hides the reason
        torch.save(dict(state), whole)
        write_atomic(target, lambda file: file.write(whole.getbuffer()))
        saved = self._saved()
        done = saved.index(target)
        for old in (*saved[:done], *saved[done + KEEP :], *self.checkpoints.glob(".iteration-*")):
            with suppress(OSError):
                old.unlink()

    def load(self, device: torch.device) -> dict[str, Any]:
        """The newest checkpoint that reads back whole.

        Raises:
            RunError: no checkpoint is complete.
        """
        self.damaged = []
        for file in self._saved():
            try:
                with zipfile.ZipFile(file) as archive:  # torch.load leaves the checksums alone
                    if bad := archive.testzip():
                        raise ValueError(f"checksum of {bad} is wrong")
                state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
                return state
            except Exception as error:  # a damaged file fails in many ways; the one before may be whole
                why = (str(error) or repr(error)).splitlines()[0]
                self.damaged.append(f"{file.name} cannot be read: {why}")
        detail = f" ({'; '.join(self.damaged)})" if self.damaged else ""
        raise RunError(f"{self.path} has no complete checkpoint{detail}; start it again in a new folder")

    def _saved(self) -> list[Path]:
        return sorted(self.checkpoints.glob("iteration-*.pt"), reverse=True)

    def start_log(self, iteration: int) -> None:
        """Open the log after `iteration`: lines beyond the checkpoint are from work that is done again."""
        kept = [line for line in self.read_log() if line["iteration"] <= iteration]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        write_atomic(self.metrics, lambda file: file.write(text.encode()))
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        with _writing(self.path):
            self._events = SummaryWriter(str(self.path / "events"), purge_step=iteration + 1)

    def log(self, metrics: Mapping[str, float]) -> None:
        """One line for one iteration, on disk before this returns."""
        with _writing(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(metrics)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if self._events is not None:
            with _writing(self.path / "events"):
                for name, value in metrics.items():
                    self._events.add_scalar(name, value, metrics["iteration"])

    def close(self) -> None:
        """Flush the events."""
        if self._events is not None:
            with _writing(self.path / "events"):
                self._events.close()

    def read_log(self) -> list[dict[str, float]]:
        """Complete lines of metrics.jsonl; a line cut by a crash ends the list."""
        lines: list[dict[str, float]] = []
        if not self.metrics.exists():
            return lines
        for text in self.metrics.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
        return lines
