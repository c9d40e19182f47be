"""A run belongs to one process at a time: a lock that the operating system releases when its holder dies."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from dgpg.errors import RunError
from dgpg.runs.atomic import write_json, writing

LOCK = ".lock"
OWNER = ".lock.json"
"""Who holds the lock, to be told to others; means nothing where nobody holds it."""


def hold(folder: Path) -> BaseFileLock:
    """Take a run's folder for this process, until it is released or the process ends.

    Raises:
        RunError: another process has it; says which, or the folder cannot be written.
    """
    lock = FileLock(folder / LOCK)
    with writing(folder):
        try:
            lock.acquire(blocking=False)
        except Timeout:  # an OSError too
            raise RunError(
                f"{folder} is being trained by {_owner(folder)}: a run belongs to one process; wait for it or stop it, "
                "or choose another --out"
            ) from None
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    write_json(folder / OWNER, {"pid": os.getpid(), "host": socket.gethostname(), "since": now})
    return lock


def release(lock: BaseFileLock) -> None:
    """Give a folder back."""
    folder = Path(lock.lock_file).parent
    with suppress(OSError):
        (folder / OWNER).unlink(missing_ok=True)
    lock.release()


def _owner(folder: Path) -> str:
    try:
        told = json.loads((folder / OWNER).read_text(encoding="utf-8"))
        return f"process {told['pid']} on {told['host']} since {told['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
