"""What stands before every request: who asks, how much, and how long the answer took."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from dgpg.serve.metrics import Metrics
from dgpg.serve.settings import Settings

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
OPEN = ("/healthz",)
"""Asked without a token, by whoever looks after the process."""


class Doors:
    """Refuses requests without the token (401) or larger than allowed (413), and measures the rest."""

    def __init__(self, app: App, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._expected = None if settings.token is None else f"Bearer {settings.token}".encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._admit(scope, receive, noted)
        finally:
            route = scope.get("route")
            path = getattr(route, "path", "other")  # of unknown paths there may be any number
            self._metrics.requests.labels(path, str(status)).observe(time.perf_counter() - began)

    async def _admit(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        given = headers.get(b"authorization", b"")
        if self._expected and scope["path"] not in OPEN and not hmac.compare_digest(given, self._expected):
            await refuse(send, 401, "Authorization: expected 'Bearer TOKEN' with the service's token")
            return
        most, size = self._settings.max_bytes, headers.get(b"content-length", b"0")
        if not size.isdigit() or int(size) > most:
            await refuse(send, 413, f"the request is larger than {most} bytes; ask for fewer decisions at once")
            return
        body = await _whole(receive, most)
        if body is None:
            await refuse(send, 413, f"the request is larger than {most} bytes; ask for fewer decisions at once")
            return
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, again, send)


async def _whole(receive: Receive, most: int) -> bytes | None:
    """The body, None where it is too large; whoever sends in parts does not say how much comes."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        part: bytes = message.get("body", b"")
        parts.append(part)
        size, more = size + len(part), bool(message.get("more_body", False))
        if size > most:
            return None
    return b"".join(parts)


async def refuse(send: Send, status: int, error: str) -> None:
    """Answer without asking anybody."""
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
