"""The log of a run: a line an iteration in metrics.jsonl, and the same for every logger that was asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dgpg.errors import ConfigError
from dgpg.runs.atomic import write_atomic, writing
from dgpg.runs.loggers import Loggers
from dgpg.runs.overrides import parse_json


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
        self.told: Callable[[str], None] = self.notes.append
        """What of loggers becomes known later goes here."""
        self._folder = folder
        self._others: Loggers | None = None

    def start(self, iteration: int, config: Mapping[str, Any]) -> None:
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
        self._others = Loggers(self._folder, config, iteration, lambda line: self.told(line))

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
        if self._others is not None:
            self._others.log(metrics)

    def flush(self) -> None:
        """What loggers hold back goes where it belongs."""
        if self._others is not None:
            self._others.flush()

    def close(self) -> None:
        """Loggers hear no more."""
        others, self._others = self._others, None
        if others is not None:
            others.close()
