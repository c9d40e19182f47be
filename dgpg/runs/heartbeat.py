"""Whether the other processes of a training are alive: a machine that is gone closes no connection."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]

BEAT = 5.0
"""Seconds between signs of life."""
SILENCE = 45.0
"""Seconds without one after which a process counts as gone."""


@contextmanager
def watching(store: Store, rank: int, size: int) -> Iterator[None]:
    """Give signs of life while the block runs, and end this process with a message when another gives none."""
    beats = PrefixStore("alive", store)
    beats.set(str(rank), "0")
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(beats, rank, size, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(BEAT)


def _watch(store: Store, rank: int, size: int, over: threading.Event) -> None:
    others = [other for other in range(size) if other != rank]
    seen = {other: (b"", time.monotonic()) for other in others}
    count = 0
    while not over.wait(BEAT):
        count += 1
        try:
            store.set(str(rank), str(count))
            for other in others:
                now = store.get(str(other)) if store.check([str(other)]) else b""
                if now != seen[other][0]:
                    seen[other] = now, time.monotonic()
        except (RuntimeError, OSError):
            if not over.wait(BEAT):  # they may all be ending
                _end(f"process {rank}: the launcher of this training is gone")
            return
        silent = [other for other in others if time.monotonic() - seen[other][1] > SILENCE]
        if silent and not over.is_set():
            names = ", ".join(map(str, silent))
            _end(f"process {rank}: no sign of life from process {names} for {SILENCE:.0f} s")


def _end(what: str) -> None:
    """At once, as the thread that works may wait for a message that never comes; checkpoints are written whole."""
    end = "start the same command with --resume to go on from the last checkpoint"
    print(f"error: {what}; {end}", file=sys.stderr, flush=True)
    os._exit(1)
