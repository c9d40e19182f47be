"""Files that are written as a whole or not at all, and what a killed writer leaves behind."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from dgpg.errors import RunError

UNFINISHED = re.compile(r"\..+\.\d+")
"""Names of files that are being written: .NAME.PID."""


@contextmanager
def writing(what: Path) -> Iterator[None]:
    """Turn an operating system's refusal into one message.

    Raises:
        RunError: naming `what` and the reason.
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot write {what}: {error.strerror or error}. What was complete before is untouched"
        ) from error


def write_atomic(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """The whole file or none of it: write beside it, flush to disk, rename over."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
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


def sweep(folder: Path) -> None:
    """Remove what writers that were killed left in a folder; only for who holds its lock."""
    with suppress(OSError):
        for path in folder.iterdir():
            if UNFINISHED.fullmatch(path.name):
                path.unlink(missing_ok=True)
