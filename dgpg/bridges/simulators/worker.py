"""A process of simulators: what runs in it. Needs numpy alone, so that it starts fast."""

from __future__ import annotations

import faulthandler
import mmap
import os
import pickle
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from dgpg.bridges.simulators.host import Failed, Host, trouble_of
from dgpg.bridges.simulators.view import Board, Layout, Sizes, record

HEADER = 64
"""Bytes in front of the records."""
PLACE, SINCE = slice(0, 8), slice(8, 16)


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


class Worker:
    """Takes requests until the trainer's end of the connection is gone."""

    def __init__(self, connection: Connection, shared: Shared) -> None:
        self.connection, self.shared = connection, shared
        self.host: Host | None = None
        self._told = False

    def run(self) -> None:
        """One answer to each request: what it returned and the layout of views, or what went wrong."""
        while True:
            try:
                name, arguments = self.connection.recv()
            except (EOFError, OSError):
                return
            try:
                answer: Any = ("done", self.ask(name, arguments), self.layout)
            except Failed as failed:
                answer = ("failed", failed.trouble, self.layout)
            except Exception as error:  # an author's module that cannot be imported here
                answer = ("failed", trouble_of(error, name), self.layout)
            try:
                self.connection.send_bytes(pickle.dumps(answer))
            except OSError:
                return
            if name == "end":
                return

    @property
    def layout(self) -> Layout | None:
        """Of views, in the first answer after there was one."""
        if self._told or self.host is None or self.host.board is None:
            return None
        self._told = True
        return self.host.board.layout

    def ask(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """What a request leads to."""
        if name == "open":
            self.open(*arguments)
        elif name in ("close", "end"):
            self.close()
        else:
            assert self.host is not None
            return getattr(self.host, name)(*arguments)
        return None

    def open(self, pickled: bytes, path: list[str], sizes: Sizes, seeds: list[int]) -> None:
        """Simulators of another kind, or the first ones."""
        self.close()
        sys.path[:] = path
        make, read = pickle.loads(pickled)

        def lay(layout: Layout) -> Board:
            return self.shared.board(layout, sizes, len(seeds))

        self._told = False
        self.host = Host(make, read, sizes, seeds, lay, self.shared.clock.set)

    def close(self) -> None:
        """End the simulators."""
        host, self.host = self.host, None
        if host is not None:
            host.close()


def main(connection: int, memory: int) -> None:
    """What a worker's process runs; its standard streams lead to a file that the trainer's process reads."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    Worker(Connection(connection), Shared(memory)).run()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads of an author's do not keep it
