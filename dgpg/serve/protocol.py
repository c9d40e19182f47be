"""uvicorn's own protocol of HTTP, but for large bodies and for its end.

It would copy each body five times, which takes longer than reading what is in it; and when it is told to end it would
close connections on which a question has come that it has not read yet: under load that is all of them.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dgpg.serve.bodies import PLACE, Place

LARGE = 1 << 18
"""Bytes from which on a body has a place of its own."""
LINGER_S = 0.1
"""Seconds that a connection on which nothing is being answered stays open when the service ends."""


class Protocol(HttpToolsProtocol):
    """Writes a body of known large size to one place, and tells of it when it is whole; ends when all is answered."""

    most = 0
    """Bytes that a request may have."""
    ending = False
    """Whether the service was told to: each answer is the last on its connection then, and says so."""

    def shutdown(self) -> None:
        """The service ends: what has come is read first."""
        self.ending = True
        self.loop.call_later(LINGER_S, super().shutdown)
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def on_headers_complete(self) -> None:
        """A request begins."""
        size = next((value for name, value in self.headers if name == b"content-length"), b"")
        if size.isdigit() and LARGE <= int(size) <= self.most:
            self.scope[PLACE] = Place(int(size))  # type: ignore[literal-required]
        super().on_headers_complete()
        if self.ending and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A part of it has come."""
        place = self.cycle.scope.get(PLACE)
        if isinstance(place, Place) and not self.cycle.response_complete:
            place.write(body)
        else:
            super().on_body(body)


def bounded(most: int) -> type[Protocol]:
    """For requests of at most so many bytes."""
    return type("Bounded", (Protocol,), {"most": most})
