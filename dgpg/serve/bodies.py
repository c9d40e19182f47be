"""Bodies of requests; a large one is written once, to a place that the next one takes over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
MOST = 1 << 27
"""Bytes of the largest place that is kept."""
PLACE = "dgpg.place"
"""Of the scope: where a large body is written, see `dgpg.serve.protocol`."""
_spare: list[bytearray] = []


class TooLarge(Exception):
    """More was sent than is allowed."""


class Gone(Exception):
    """Who asked went away before all was sent."""


class Place:
    """Memory for one large body: that of the last one, where it is large enough, as fresh memory costs a copy."""

    def __init__(self, size: int) -> None:
        self.filled = 0
        spare = _spare.pop() if _spare else bytearray()
        self._memory = spare if len(spare) >= size else bytearray(size)

    def write(self, part: bytes) -> None:
        """What comes next."""
        self._memory[self.filled : self.filled + len(part)] = part
        self.filled += len(part)

    def view(self) -> memoryview:
        """All that was written, good until the place is left."""
        return memoryview(self._memory)[: self.filled]

    def leave(self) -> None:
        """Nobody looks at it any more."""
        if not _spare and len(self._memory) <= MOST:
            _spare.append(self._memory)


async def whole(scope: Message, receive: Callable[[], Awaitable[Message]], most: int) -> bytes | memoryview:
    """The body; whoever sends in parts does not say how much comes.

    Raises:
        TooLarge: more than so many bytes came.
        Gone: not all of it came.
    """
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part: bytes = message.get("body", b"")
        parts.append(part)
        size, more = size + len(part), bool(message.get("more_body", False))
        if size > most:
            raise TooLarge
    place: Place | None = scope.get(PLACE)
    if place is not None:
        return place.view()
    return parts[0] if len(parts) == 1 else b"".join(parts)
