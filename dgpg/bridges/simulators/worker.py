"""A process of simulators: what runs in it. Needs numpy alone, so that it starts fast."""

from __future__ import annotations

import faulthandler
import mmap
import os
import pickle
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any, Protocol

import numpy as np

from dgpg.bridges.simulators.host import Failed, Host, trouble_of
from dgpg.bridges.simulators.view import Board, Layout, Sizes, record

HEADER = 64
"""Bytes in front of the records."""
Answer = tuple[str, Any, Layout | None]
"""Whether it was done or failed, what came of it, and the layout of views where it was not told before."""


class Clock:
    """Which simulator is at work since when, in memory that the trainer's process looks at."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._place = np.frombuffer(memory, np.int64, 1, 0)
        self._since = np.frombuffer(memory, np.float64, 1, 8)

    def set(self, place: int, now: float) -> None:
        """The simulator at `place` is asked for something, or -1: none is."""
        self._place[0], self._since[0] = place, now

    @property
    def read(self) -> tuple[int, float]:
        """What `set` was told last."""
        return int(self._place[0]), float(self._since[0])


class Shared:
    """Memory of two processes, a file without a name: it is gone with the last of them, however they end."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        if os.fstat(descriptor).st_size < HEADER:
            os.ftruncate(descriptor, HEADER)
        self.clock = Clock(mmap.mmap(descriptor, HEADER))

    def board(self, layout: Layout, sizes: Sizes, count: int) -> Board:
        """Records of so many simulators; the file grows as needed and never shrinks under what looks at it."""
        kind = record(layout, sizes)
        size = HEADER + max(count * kind.itemsize, 1)
        if os.fstat(self.descriptor).st_size < size:
            os.ftruncate(self.descriptor, size)
        memory = mmap.mmap(self.descriptor, size)
        return Board(np.frombuffer(memory, kind, count, HEADER), layout)


class Memory(Protocol):
    """Where the records of a desk's simulators are, and its clock."""

    clock: Any
    """`set(place, now)`, as `Host` tells it."""

    def board(self, layout: Layout, sizes: Sizes, count: int) -> Board:
        """Records of so many simulators."""
        ...


class Desk:
    """Answers what is asked of simulators, with what came of it, or went wrong, and with the layout of views once."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.host: Host | None = None
        self._told = False

    def answer(self, name: str, arguments: tuple[Any, ...]) -> Answer:
        """To one request."""
        try:
            return "done", self._asked(name, arguments), self._layout()
        except Failed as failed:
            return "failed", failed.trouble, self._layout()
        except Exception as error:  # an author's module that cannot be imported here
            return "failed", trouble_of(error, name), self._layout()

    def _layout(self) -> Layout | None:
        """Of views, in the first answer after there was one."""
        if self._told or self.host is None or self.host.board is None:
            return None
        self._told = True
        return self.host.board.layout

    def _asked(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name == "open":
            self._open(*arguments)
        elif name in ("close", "end"):
            self._close()
        else:
            assert self.host is not None
            return getattr(self.host, name)(*arguments)
        return None

    def _open(self, pickled: bytes, path: list[str], sizes: Sizes, seeds: list[int]) -> None:
        """Simulators of another kind, or the first ones."""
        self._close()
        sys.path[:] = path
        make, read = pickle.loads(pickled)

        def lay(layout: Layout) -> Board:
            return self.memory.board(layout, sizes, len(seeds))

        self._told = False
        self.host = Host(make, read, sizes, seeds, lay, self.memory.clock.set)

    def _close(self) -> None:
        host, self.host = self.host, None
        if host is not None:
            host.close()


def serve(connection: Connection, desk: Desk) -> None:
    """One answer to each request, until the trainer's end of the connection is gone."""
    while True:
        try:
            name, arguments = connection.recv()
        except (EOFError, OSError):
            return
        answer = desk.answer(name, arguments)
        try:
            connection.send_bytes(pickle.dumps(answer))
        except OSError:
            return
        if name == "end":
            return


def main(connection: int, memory: int) -> None:
    """What a worker's process runs; its standard streams lead to a file that the trainer's process reads."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    serve(Connection(connection), Desk(Shared(memory)))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads of an author's do not keep it
