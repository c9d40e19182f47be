"""The extender over HTTP, beside `/decide`: `/filter` and `/prioritize`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable

from fastapi import APIRouter, Request, Response

from dgpg.errors import DecisionError
from dgpg.serve import NoAnswerError
from dgpg_cloud.kubernetes.extender import Extender
from dgpg_cloud.kubernetes.metrics import Figures, health
from dgpg_cloud.kubernetes.protocol import refused
from dgpg_cloud.kubernetes.watching import Watcher

FIRST_LIST_S = 5.0
"""Seconds that a start waits for the first lists; after that the rule answers until they come."""
REVIVE_S = 1.0
"""Seconds between looks for threads that died."""
NEVER = float("inf")


def routes(extender: Extender, watcher: Watcher) -> APIRouter:
    """`/filter` and `/prioritize`; the watcher runs as long as the application does."""
    service = extender.service
    service.parts["kubernetes"] = lambda: health(extender, watcher)
    service.metrics.registry.register(Figures(extender, watcher))
    router = APIRouter(lifespan=lambda _: _watched(watcher))

    async def answered(request: Request, verb: Callable[[bytes], bytes]) -> Response:
        body = await request.body()
        try:
            return Response(verb(body), media_type="application/json")
        except DecisionError as error:
            return Response(refused(str(error)), 422, media_type="application/json")
        except NoAnswerError as error:
            return Response(refused(str(error)), 503, media_type="application/json")

    @router.post("/filter", summary="kube-scheduler's ExtenderArgs to ExtenderFilterResult")
    async def filter(request: Request) -> Response:
        return await answered(request, extender.filter)

    @router.post("/prioritize", summary="kube-scheduler's ExtenderArgs to HostPriorityList")
    async def prioritize(request: Request) -> Response:
        return await answered(request, extender.prioritize)

    return router


@contextlib.asynccontextmanager
async def _watched(watcher: Watcher) -> AsyncIterator[None]:
    watcher.start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(_seen(watcher), FIRST_LIST_S)
    # What is there now stays: the garbage collector need not look at it in the middle of an answer.
    gc.collect()
    gc.freeze()
    task = asyncio.create_task(_revive(watcher))
    try:
        yield
    finally:
        task.cancel()
        gc.unfreeze()
        await asyncio.to_thread(watcher.stop)


async def _seen(watcher: Watcher) -> None:
    while watcher.behind == NEVER:
        await asyncio.sleep(0.02)


async def _revive(watcher: Watcher) -> None:
    while True:
        await asyncio.sleep(REVIVE_S)
        watcher.start()
