"""A folder for the files of one day, in memory; what a process that was killed left there goes with the next day."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from dgpg.errors import DataError

PREFIX = "dgpg-sumo-"
ALIVE = "alive"
"""File that the process whose day it is has locked: the system releases it when that dies, however it dies."""
BEGINS_S = 60.0
"""Seconds that a folder may be without its lock, between being made and being locked."""


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards; one that a DataError is about stays, for who reads its message."""
    where = Path(_memory() or tempfile.gettempdir())
    _sweep(where)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
    lock, stays = FileLock(folder / ALIVE), False
    lock.acquire()
    try:
        yield folder
    except DataError:
        stays = True
        raise
    finally:
        if stays:
            (folder / ALIVE).unlink(missing_ok=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _sweep(where: Path) -> None:
    """Remove folders of days whose process is dead; those without the file are kept for somebody."""
    for alive in where.glob(f"{PREFIX}*/{ALIVE}"):
        with contextlib.suppress(OSError):  # it is locked, of another user, or gone by now
            if time.time() - alive.stat().st_mtime < BEGINS_S:
                continue
            with FileLock(alive).acquire(blocking=False):
                shutil.rmtree(alive.parent, ignore_errors=True)


def _memory() -> str | None:
    """A folder in memory for what lives a second, where there is one."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage("/dev/shm").free > 2**28 and os.access("/dev/shm", os.W_OK):
            return "/dev/shm"
    return None
