"""Looks for a new export, beside the requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from dgpg.serve.service import Service


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
    while True:
        await asyncio.sleep(service.settings.watch_s)
        try:
            if service.changed:
                await asyncio.to_thread(service.swap)
        except Exception as error:  # whatever it is: who stops looking takes no export ever again
            service.log.event("swap refused", error=repr(error), export=service.current.export)
