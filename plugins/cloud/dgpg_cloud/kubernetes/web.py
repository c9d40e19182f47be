"""The extender over HTTP, beside `/decide`: `/filter` and `/prioritize`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable
from functools import partial

from fastapi import APIRouter, Request, Response

from dgpg.errors import DecisionError
from dgpg.serve import NoAnswerError
from dgpg.serve.app import framed
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
    verbs = {"/filter": partial(answered, extender.filter), "/prioritize": partial(answered, extender.prioritize)}
    service.verbs.update(verbs)

    @router.post("/filter", summary="kube-scheduler's ExtenderArgs to ExtenderFilterResult")
    async def filter(request: Request) -> Response:
        return framed(verbs["/filter"](await request.body()))

    @router.post("/prioritize", summary="kube-scheduler's ExtenderArgs to HostPriorityList")
    async def prioritize(request: Request) -> Response:
        return framed(verbs["/prioritize"](await request.body()))

    return router


def answered(verb: Callable[[bytes | memoryview], bytes], body: bytes | memoryview) -> tuple[int, bytes]:
    """Status and content of what a verb answers to a body."""
    try:
        return 200, verb(body)
    except DecisionError as error:
        return 422, refused(str(error))
    except NoAnswerError as error:
        return 503, refused(str(error))


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
