"""Looks for a new export, beside the requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from dgpg.serve.service import Service

Stamp = tuple[tuple[int, int, int] | None, ...]


def stamp(folder: Path) -> Stamp:
    """Changes whenever a file of an export does."""
    return tuple(_of(folder / name) for name in ("policy.onnx", "policy.json"))


def _of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@contextlib.asynccontextmanager
async def watching(service: Service) -> AsyncIterator[None]:
    """Take new exports as long as this lasts; loading is in a thread, so that requests are answered meanwhile."""
    task = asyncio.create_task(_watch(service))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch(service: Service) -> None:
    seen = stamp(service.folder)
    while True:
        await asyncio.sleep(service.settings.watch_s)
        now = stamp(service.folder)
        if now != seen:
            seen = now
            await asyncio.to_thread(service.swap)
