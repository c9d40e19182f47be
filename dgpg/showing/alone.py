"""Standard output that holds one JSON object and nothing else, whatever other people's code prints."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from dgpg.showing.tables import finite

_result: TextIO | None = None
"""Where the object goes while everything else goes to standard error."""


@contextmanager
def alone() -> Iterator[None]:
    """Send to standard error what is written to standard output, from C too, but for what `tell` writes.

    The process's own standard output stays with `tell` to its end: threads, and what runs at exit, may go on printing.
    """
    global _result
    before = sys.stdout
    _result, sys.stdout = _apart(before), sys.stderr
    try:
        yield
    finally:
        _result, sys.stdout = None, before


def tell(value: Any) -> None:
    """One JSON object, whole; numbers that are not finite are null, as JSON has none."""
    print(json.dumps(finite(value), indent=2), file=_result or sys.stdout, flush=True)


def _apart(stream: TextIO) -> TextIO:
    """A stream of its own to where the process's standard output leads, which leads elsewhere now.

    Where `stream` is not the process's, as in a test, it is kept.
    """
    try:
        number = stream.fileno()
    except (io.UnsupportedOperation, AttributeError):  # kept in memory, or closed
        return stream
    if number != 1:
        return stream
    stream.flush()
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with suppress(OSError):  # standard error is closed
        os.dup2(2, 1)
    return own
