"""uvicorn's own protocol of HTTP, but for large bodies: it would copy each five times, which takes longer than reading
what is in it."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dgpg.serve.bodies import PLACE, Place

LARGE = 1 << 18
"""Bytes from which on a body has a place of its own."""


class Protocol(HttpToolsProtocol):
    """Writes a body of known large size to one place, and tells of it when it is whole."""

    most = 0
    """Bytes that a request may have."""

    def on_headers_complete(self) -> None:
        """A request begins."""
        size = next((value for name, value in self.headers if name == b"content-length"), b"")
        if size.isdigit() and LARGE <= int(size) <= self.most:
            self.scope[PLACE] = Place(int(size))  # type: ignore[literal-required]
        super().on_headers_complete()

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
