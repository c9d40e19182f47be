"""One kind of object as the API server has it: listed once, watched from there, listed again where that fails.

What client-go's reflector does, in a thread: a watch starts at the resource version of the list and goes on from the
last one that an event or a bookmark told. A version that the server no longer has (410 Gone) is listed anew; a
connection that ends or breaks is taken up where it was; whoever fails waits longer each time, by chance so that not
all come back at once. After a gap of `gap_s` it lists anew too: a watch that is taken up is open before the first of
the news that it missed has come, and a store must not look new for that moment.
"""

from __future__ import annotations

import http
import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from kubernetes.client.exceptions import ApiException
from kubernetes.watch import Watch

from dgpg_cloud.kubernetes.amounts import Object

LOG = logging.getLogger("dgpg.kubernetes")
PAGE = 500
"""Objects of one answer to a list."""
WATCH_S = 300
"""Seconds after which the server ends a watch that is well, so that load spreads over its replicas."""
CONNECT_S, LIST_S = 5.0, 60.0
CHANCE = random.SystemRandom()
"""Of the machine: replicas must not wait alike, and nobody else's numbers may depend on how often a server fails."""


class Store(Protocol):
    """What objects are written to."""

    def keep(self, objects: Collection[Object]) -> None:
        """These and no others are there."""
        ...

    def put(self, thing: Object) -> None:
        """It is there, like this."""
        ...

    def drop(self, thing: Object) -> None:
        """It is gone."""
        ...


@dataclass(frozen=True)
class Backoff:
    """Seconds to wait after failures in a row: doubled each time, up to the longest, times a number of 1 to 2."""

    first: float = 0.8
    longest: float = 30.0

    def __call__(self, failures: int) -> float:
        """After so many."""
        return float(min(self.first * 2.0 ** min(failures - 1, 16), self.longest)) * (1 + CHANCE.random())


USUAL = Backoff()


class Reflector:
    """Keeps a store like the API server's list of one kind.

    Attributes:
        kind: for the log and the metrics.
        version: that the store is at; None before the first list, and when it has to be made anew.
        relists: lists that were made, the first included.
        failures: lists and watches that failed.
    """

    def __init__(
        self,
        kind: str,
        listed: Callable[..., Any],
        store: Store,
        silent_s: float = 90.0,
        gap_s: float = 10.0,
        backoff: Backoff = USUAL,
    ) -> None:
        """Of a list method of `kubernetes.client` with its selectors bound."""
        self._gap_s = gap_s
        self.kind, self._listed, self._store = kind, listed, store
        self._silent_s, self._backoff = silent_s, backoff
        self.relists = self.failures = 0
        self.version: str | None = None
        self._heard = 0
        self._since: float | None = None
        self._watch: Watch | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """In a thread of its own, if it is not running."""
        if self._thread is None or not self._thread.is_alive():
            self._stopped.clear()
            self._thread = threading.Thread(target=self._run, name=f"watch {self.kind}", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the watch and its thread."""
        self._stopped.set()
        if (watch := self._watch) is not None:
            watch.stop()
        if self._thread is not None:
            self._thread.join(timeout=CONNECT_S)

    @property
    def alive(self) -> bool:
        """Is the thread there?"""
        return self._thread is not None and self._thread.is_alive()

    @property
    def behind(self) -> float:
        """Seconds for which the store may be old: 0 while watched, inf before the first list and without a thread."""
        if self.relists == 0 or not self.alive:
            return float("inf")
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def _run(self) -> None:
        failed = 0
        while not self._stopped.is_set():
            began, self._heard, error = time.monotonic(), 0, None
            try:
                if self.version is None or self.behind > self._gap_s:
                    self._list()
                self._follow()
            except Exception as found:  # whatever breaks: a thread that ends is a cluster that is not seen
                error = found
            if self._since is None:
                self._since = time.monotonic()
            if isinstance(error, ApiException) and error.status == http.HTTPStatus.GONE:
                self.version = None
            # A server that ends each watch at once, without a word, fails too.
            bad = error is not None or (not self._heard and time.monotonic() - began < 1)
            failed = (0 if self._heard else failed) + bad
            if bad and not self._stopped.is_set():
                self.failures += 1
                LOG.warning("watch of %s: %s (%d in a row)", self.kind, error or "ended at once", failed)
                self._stopped.wait(self._backoff(failed))

    def _list(self) -> None:
        """All objects, page by page; a page that has expired starts over (the API server says 410)."""
        found: list[Object] = []
        token: str | None = None
        while True:
            more = {} if token is None else {"_continue": token}
            page = _json(self._listed(limit=PAGE, _preload_content=False, _request_timeout=(CONNECT_S, LIST_S), **more))
            found += page.get("items") or ()
            token = page["metadata"].get("continue")
            if not token:
                break
        self._store.keep(found)
        self._since = time.monotonic()
        self.version, self.relists = page["metadata"]["resourceVersion"], self.relists + 1

    def _follow(self) -> None:
        """Write what happens to the store until the server ends the watch."""
        for event in self._events():
            self._heard += 1
            thing = event["object"]
            if event["type"] in ("ADDED", "MODIFIED"):
                self._store.put(thing)
            elif event["type"] == "DELETED":
                self._store.drop(thing)
            self.version = thing["metadata"]["resourceVersion"]
            if self._stopped.is_set():
                return

    def _events(self) -> Iterator[Mapping[str, Any]]:
        """Events and bookmarks as JSON.

        The client's `Watch` finds the class to make of objects in a method's signature: a function without one leaves
        them as they are. With a time limit it does not try again by itself.
        """
        self._watch = Watch()

        def opened(**options: Any) -> Any:
            answer = self._listed(**options)
            if answer.status == http.HTTPStatus.OK:
                if self.behind > self._gap_s:  # it took so long to open: what was missed comes after it
                    self.version = None
                    answer.close()
                    raise TimeoutError(f"the watch opened {self.behind:.1f} s after the last news")
                self._since = None
            return answer

        yield from self._watch.stream(
            opened,
            resource_version=self.version,
            allow_watch_bookmarks=True,
            timeout_seconds=WATCH_S,
            _request_timeout=(CONNECT_S, self._silent_s),
        )


def _json(answer: Any) -> dict[str, Any]:
    """The body of an answer to a list.

    Raises:
        ApiException: the server refused.
    """
    body = answer.data
    if answer.status != http.HTTPStatus.OK:
        raise ApiException(status=answer.status, reason=body[:200].decode(errors="replace"))
    found: dict[str, Any] = msgspec.json.decode(body)
    return found
