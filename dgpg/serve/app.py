"""The service over HTTP: `/decide`, `/healthz`, `/metrics`, and a page at `/docs`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

import dgpg
from dgpg.deploy import Policy
from dgpg.errors import DecisionError
from dgpg.serve.asked import asked, told
from dgpg.serve.doors import Doors, said
from dgpg.serve.service import Loaded, NoAnswerError, Service
from dgpg.serve.trial import middle
from dgpg.serve.watch import watching

ABOUT = """What one agent or many do: an exported policy behind guard rails.

Ask with features (`agent`, `choices`, `mask`, `index`; arrays or by name) or with the domain's plain values (`plain`);
one agent or a list. Where the policy fails or what agents see is far outside of what it was trained on, a rule decides
and the answer says so.
"""


def create(service: Service, routers: Sequence[APIRouter] = ()) -> FastAPI:
    """The application of a service.

    Args:
        service: it watches its folder while the application runs.
        routers: of other protocols, with lifespans of their own where they need one.
    """

    @contextlib.asynccontextmanager
    async def alive(_: FastAPI) -> AsyncIterator[None]:
        async with watching(service):
            yield
        service.log.event("stopped")

    policy = service.current.policy
    service.verbs["/decide"] = partial(decided, service)
    app = FastAPI(
        title=f"dgpg serve: {policy.description['domain']}", version=dgpg.__version__, description=ABOUT, lifespan=alive
    )
    app.add_middleware(Doors, service=service)
    app.add_exception_handler(HTTPException, _nothing)
    app.include_router(_router(service))
    for router in routers:
        app.include_router(router)
    return app


def _router(service: Service) -> APIRouter:
    router = APIRouter()
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": "What to do", "content": {"application/json": {"example": ANSWER}}},
        422: {"description": "What does not fit, and where"}, 503: {"description": "The policy failed, no rule"},
    }  # fmt: skip

    @router.post(
        "/decide", summary="What agents do", responses=answers, openapi_extra={"requestBody": _body(service.current)}
    )
    async def decide(request: Request) -> Response:
        return framed(decided(service, await request.body()))

    @router.get("/healthz", summary="Whether it serves, and what")
    async def healthz() -> dict[str, Any]:
        parts = {name: dict(told()) for name, told in service.parts.items()}
        status = "degraded" if any(part.get("trouble") for part in parts.values()) else "ok"
        return {"status": status, "mode": service.settings.mode, "export": service.current.export, **parts}

    @router.get("/metrics", summary="For Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router


def decided(service: Service, body: bytes | memoryview) -> tuple[int, bytes]:
    """The answer to a request for decisions."""
    loaded = service.current
    try:
        request = asked(body, loaded, service.settings.max_rows)
        answer = service.decide(loaded, request.rows) if request.able.any() else None
        return 200, msgspec.json.encode(told(request, answer, loaded))
    except DecisionError as error:
        return 422, said(str(error))
    except NoAnswerError as error:
        return 503, said(str(error))


async def _nothing(request: Request, error: Exception) -> Response:
    """What is not there, in the words of everything else."""
    assert isinstance(error, HTTPException)
    told = f"{request.method} {request.url.path}: {error.detail.lower()}; /docs has what there is"
    return Response(said(told), error.status_code, error.headers, "application/json")


def framed(answer: tuple[int, bytes]) -> Response:
    """What a verb answers, where the framework found the way to it."""
    return Response(answer[1], answer[0], media_type="application/json")


ANSWER = {"action": 1, "by": "policy", "reason": None, "outside": 0.0, "export": "0123456789ab"}


def _body(loaded: Loaded) -> dict[str, Any]:
    """What `/decide` reads, for the page, with an example of each way to ask."""
    examples = {"features by name": {"value": _by_name(loaded.policy)}}
    if loaded.adapter is not None:
        examples = {"plain values": {"value": {"plain": loaded.adapter.example}}, **examples}
    array = {"description": "An array, or values by name", "oneOf": [{"type": "array"}, {"type": "object"}]}
    features = {name: array for name in loaded.policy.features}
    others = {name: {"type": "array"} for name in ("mask", "index") if name in loaded.policy.description["arrays"]}
    ways = [
        {"title": "features", "type": "object", "properties": {**features, **others}, "required": list(features)},
        {"title": "plain values", "type": "object", "properties": {"plain": {}}, "required": ["plain"]},
    ]
    return {"required": True, "content": {"application/json": {"schema": {"oneOf": ways}, "examples": examples}}}


def _by_name(policy: Policy) -> dict[str, Any]:
    """The middle of the training, by name."""
    found = middle(policy.description)
    found["agent"] = dict(zip(policy.features["agent"], found["agent"], strict=True))
    if "choices" in found:
        columns = map(list, zip(*found["choices"], strict=True))
        found["choices"] = dict(zip(policy.features["choices"], columns, strict=True))
    return found
