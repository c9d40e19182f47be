"""The log of a run: a line an iteration in metrics.jsonl, and the same for TensorBoard where it is installed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dgpg.errors import ConfigError
from dgpg.runs.atomic import write_atomic, writing
from dgpg.runs.overrides import parse_json

Hook = Callable[[threading.ExceptHookArgs], object]


class Reading(NamedTuple):
    """A log as it was found."""

    lines: list[dict[str, float]]
    """Of iterations 1, 2, ..., as far as they follow each other."""
    wrong: str | None
    """What the first line that is no record says, and where; None where all are, but for one cut by a crash."""


def read(path: Path) -> Reading:
    """The records of a log; a last line without an end was cut by a crash and counts as not written."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return Reading([], None)
    whole, _, cut = text.rpartition(b"\n")
    lines: list[dict[str, float]] = []
    for number, raw in enumerate(whole.split(b"\n") if whole else [], 1):
        record = _record(raw)
        if record is None or record["iteration"] != len(lines) + 1:
            expected = f"expected the record of iteration {len(lines) + 1}"
            return Reading(lines, f"{path}:{number}: {expected}, found {raw[:60].decode(errors='replace')!r}")
        lines.append(record)
    record = _record(cut)
    if record is not None and record["iteration"] == len(lines) + 1:
        lines.append(record)
    return Reading(lines, None)


def _record(raw: bytes) -> dict[str, float] | None:
    try:
        record = parse_json(raw)
    except (ValueError, RecursionError, ConfigError):
        return None
    if not isinstance(record, dict) or not all(_is_number(value) for value in record.values()):
        return None
    return record if "iteration" in record else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class RunLog:
    """Written by the process that trains."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "metrics.jsonl"
        self.notes: list[str] = []
        """What a user should know of the log that was found."""
        self._folder = folder
        self._events: Any = None
        self._hook: Hook | None = None

    def start(self, iteration: int) -> None:
        """Open it after `iteration`: lines beyond the checkpoint are of work that is done again.

        A log with lines that are no records is kept beside the one that goes on, whole.
        """
        found = read(self.path)
        if found.wrong is not None:
            self._keep(found.wrong)
        kept = [line for line in found.lines if line["iteration"] <= iteration]
        if len(kept) < iteration:
            self.notes.append(f"{self.path} has no record of iterations {len(kept) + 1} to {iteration}")
        text = "".join(json.dumps(line) + "\n" for line in kept)
        write_atomic(self.path, lambda file: file.write(text.encode()))
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._hook, threading.excepthook = threading.excepthook, _told_elsewhere(threading.excepthook)
        with writing(self._folder):
            self._events = SummaryWriter(str(self._folder / "events"), purge_step=iteration + 1)

    def _keep(self, wrong: str) -> None:
        number = 1
        while (beside := self.path.with_name(f"metrics.damaged-{number}.jsonl")).exists():
            number += 1
        whole = self.path.read_bytes()
        write_atomic(beside, lambda file: file.write(whole))
        self.notes.append(f"{wrong}; the log as it was is kept in {beside}")

    def append(self, metrics: Mapping[str, float]) -> None:
        """One line for one iteration, on disk before this returns."""
        with writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(metrics)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if self._events is not None:
            with writing(self._folder / "events"):
                for name, value in metrics.items():
                    self._events.add_scalar(name, value, metrics["iteration"])

    def flush(self) -> None:
        """Events to disk."""
        if self._events is not None:
            with writing(self._folder / "events"):
                self._events.flush()

    def close(self) -> None:
        """Events to disk, and no more of them."""
        events, self._events = self._events, None
        try:
            if events is not None:
                with writing(self._folder / "events"):
                    events.close()
        finally:
            if self._hook is not None:
                threading.excepthook, self._hook = self._hook, None


def _told_elsewhere(before: Hook) -> Hook:
    """A hook that leaves to who writes events what their thread raises, as on a full disk: it raises that again."""

    def hook(raised: threading.ExceptHookArgs) -> None:
        if not type(raised.thread).__module__.startswith("tensorboard."):
            before(raised)

    return hook
