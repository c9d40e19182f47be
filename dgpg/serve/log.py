"""A line of JSON an event."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
from datetime import UTC, datetime
from typing import Any, TextIO


class Log:
    """Events in order, each with its time and name."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out

    def event(self, name: str, **values: Any) -> None:
        """Write one; to standard error unless told otherwise."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps(_finite({"time": at, "event": name, **values}), ensure_ascii=False)
        # Who asked gets an answer also where nobody reads the log, or its disk is full.
        with contextlib.suppress(OSError, ValueError):
            print(line.encode(errors="backslashreplace").decode(), file=self._out or sys.stderr, flush=True)


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no numbers that are none."""
    return {name: None if isinstance(x, float) and not math.isfinite(x) else x for name, x in values.items()}


class Lines(logging.Handler):
    """What the server of HTTP warns of, as events."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one."""
        self._log.event("server", level=record.levelname, message=record.getMessage())
