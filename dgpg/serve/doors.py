"""What stands before every request: who asks, how much, and how long the answer took."""

from __future__ import annotations

import hmac
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

import msgspec

from dgpg.serve.bodies import PLACE, Gone, TooLarge, whole
from dgpg.serve.service import Service, Verb

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
OPEN = ("/healthz",)
"""Asked without a token, by whoever looks after the process."""
UNREAD = 499
"""Status, in metrics alone, of who went away before all was sent."""


class Doors:
    """Refuses requests without the token (401), larger than allowed (413) or compressed (415), and measures the rest.

    What is asked most is answered here, by the service's verbs; the framework would take longer to find its way to them
    than they take.
    """

    def __init__(self, app: App, service: Service) -> None:
        self._app, self._service, self._verbs = app, service, service.verbs
        token = service.settings.token
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, path, status = time.perf_counter(), "other", 500  # of unknown paths there may be any number
        verb = self._verbs.get(scope["path"]) if scope["method"] == "POST" else None
        try:
            refusal = self._refusal(scope["path"], dict(scope["headers"]))
            if refusal is not None:
                status, error = refusal
                await refuse(send, status, error)
            elif verb is None:
                status = await self._framed(scope, receive, send)
                path = getattr(scope.get("route"), "path", path)
            else:
                path = scope["path"]
                body = await whole(scope, receive, self._service.settings.max_bytes)
                status, content = self._called(verb, body, path)
                if PLACE in scope:
                    scope[PLACE].leave()
                await answer(send, status, content)
        except TooLarge:
            status = 413
            await refuse(send, status, self._too_large)
        except Gone:
            status = UNREAD
        finally:
            self._service.metrics.answered(path, status, time.perf_counter() - began)

    def _refusal(self, path: str, headers: Mapping[bytes, bytes]) -> tuple[int, str] | None:
        """Why a request is not read."""
        if self._expected and path not in OPEN and not self._known(headers.get(b"authorization", b"")):
            return 401, "Authorization: expected 'Bearer TOKEN' with the service's token"
        size, coded = headers.get(b"content-length", b"0"), headers.get(b"content-encoding", b"identity")
        if not size.isdigit() or int(size) > self._service.settings.max_bytes:
            return 413, self._too_large
        if coded.lower() != b"identity":
            told = coded[:20].decode("latin-1")
            return 415, f"Content-Encoding: {told} is not read; send the JSON as it is"
        return None

    def _known(self, given: bytes) -> bool:
        """Whether it is the token; of the word before it case does not matter."""
        assert self._expected is not None
        return hmac.compare_digest(given[:7].title() + given[7:], self._expected)

    @property
    def _too_large(self) -> str:
        return f"the request is larger than {self._service.settings.max_bytes} bytes; ask for fewer decisions at once"

    def _called(self, verb: Verb, body: bytes | memoryview, path: str) -> tuple[int, bytes]:
        """What a verb answers; whatever breaks, who asked hears of it in one line and the log in many."""
        try:
            return verb(body)
        except Exception as error:
            self._service.log.event("broken", path=path, error=repr(error), trace=traceback.format_exc())
            return 500, said("the service broke on this request; its log says how")

    async def _framed(self, scope: Message, receive: Receive, send: Send) -> int:
        """Everything else, by the framework; the status of its answer."""
        status, body = 500, bytes(await whole(scope, receive, self._service.settings.max_bytes))
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, again, noted)
        return status


def said(error: str) -> bytes:
    """A message as JSON; what was given may hold half a character."""
    return msgspec.json.encode({"error": error.encode(errors="backslashreplace").decode()})


async def refuse(send: Send, status: int, error: str) -> None:
    """Answer without asking anybody."""
    await answer(send, status, said(error), ((b"www-authenticate", b"Bearer"),) if status == 401 else ())


async def answer(send: Send, status: int, body: bytes, more: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    """An answer in JSON."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
