"""A worker as the trainer's process sees it: started, asked, waited for, ended, and kept for the next environments."""

from __future__ import annotations

import atexit
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

from dgpg.bridges.simulators.carrier import Died, Hung
from dgpg.bridges.simulators.guard import GUARD
from dgpg.bridges.simulators.host import Failed
from dgpg.bridges.simulators.view import Board, Sizes
from dgpg.bridges.simulators.worker import Shared
from dgpg.errors import ConfigError

THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")}
ENVIRONMENT = {**THREADS, "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"}
"""One thread, as there is a process a core; sets of texts in the same order in all of them."""
TAIL, MOST = 2000, 1 << 20
"""Characters of what was printed that a message shows, and bytes that are kept."""
OFTEN = 256
"""After so many answers it is looked whether too much was printed."""
PATIENCE = 2.0
"""Seconds in which a worker may end by itself."""


class Process:
    """One worker. After `send` comes `receive`; what an interrupt left unanswered is lost (`broken`)."""

    def __init__(self) -> None:
        if not hasattr(os, "killpg"):
            raise ConfigError("workers.count: processes of simulators need Linux or macOS; use workers.count=0 here")
        self._connection, theirs = Pipe()
        self._memory, self._log = _file("memory"), _file("log", os.O_APPEND)
        self.shared = Shared(self._memory)
        self.board: Board | None = None
        self._owner, self._waiting, self._gone, self._answers = os.getpid(), False, False, 0
        path = [os.path.abspath(entry) for entry in sys.path]
        code = f"import sys; sys.path[:] = {path!r}; from dgpg.bridges.simulators.worker import main; main"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"{code}({theirs.fileno()}, {self._memory})"],
                pass_fds=(theirs.fileno(), self._memory), stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                start_new_session=True, env={**os.environ, **ENVIRONMENT},
            )  # fmt: skip
        self._answered = select.poll()  # Connection.poll makes one anew for every answer
        self._answered.register(self._connection.fileno(), select.POLLIN)
        GUARD.watch(self._process.pid)

    @property
    def pid(self) -> int:
        """Of the process, which leads a group of its own."""
        return self._process.pid

    @property
    def broken(self) -> bool:
        """Whether nothing can be asked of it any more."""
        return self._gone or self._waiting or self._process.poll() is not None

    def open(self, pickled: bytes, sizes: Sizes, seeds: list[int]) -> None:
        """Ask for simulators; answered as any other request."""
        self.board, self._sizes, self._count = None, sizes, len(seeds)
        with suppress(OSError):
            os.ftruncate(self._log, 0)
        self.send("open", pickled, [os.path.abspath(entry) for entry in sys.path], sizes, seeds)

    def send(self, name: str, *arguments: Any) -> None:
        """Ask the worker's `Host`.

        Raises:
            Died: it is gone.
        """
        if self.broken:
            raise Died(self._end())
        self._waiting = True
        self.shared.clock.set(-1, time.monotonic())
        try:
            self._connection.send_bytes(pickle.dumps((name, arguments)))
        except OSError:
            raise Died(self._end()) from None

    def receive(self, timeout: float) -> Any:
        """The answer.

        Args:
            timeout: seconds that one simulator may take for one thing.

        Raises:
            Failed: a simulator did something wrong.
            Died: the process ended.
            Hung: a simulator took too long.
        """
        try:
            while not self._answered.poll(1e3 * max(self._left(timeout), 0.0)):
                if self._left(timeout) <= 0:
                    raise self._hung()
            kind, found, layout = self._connection.recv()
        except (EOFError, OSError):
            raise Died(self._end()) from None
        self._waiting, self._answers = False, self._answers + 1
        if self._answers % OFTEN == 0:
            _ = self.printed  # which cuts it where it grew
        if layout is not None and self.board is None:
            self.board = self.shared.board(layout, self._sizes, self._count)
        if kind == "failed":
            raise Failed(found)
        return found

    def _left(self, timeout: float) -> float:
        return timeout - (time.monotonic() - self.shared.clock.read[1])

    def _hung(self) -> Hung:
        place = self.shared.clock.read[0]
        with suppress(OSError):
            os.ftruncate(self._log, 0)
            os.kill(self.pid, signal.SIGUSR1)
        time.sleep(0.2)  # faulthandler writes where each thread is, whoever holds the interpreter
        where = self.printed
        self.kill()
        return Hung(place, where)

    @property
    def printed(self) -> str:
        """The last of what simulators printed."""
        if self._gone:
            return ""
        size = os.fstat(self._log).st_size
        last = os.pread(self._log, TAIL, max(size - TAIL, 0)).decode(errors="replace").strip()
        if size > MOST:
            os.ftruncate(self._log, 0)
        return last

    def _end(self) -> str:
        """How it ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        status, printed = self._process.poll(), self.printed
        self.kill()
        last = f"; it printed last:\n{printed}" if printed else ""
        if status is not None and status < 0:
            return f"its process was ended by {signal.Signals(-status).name}{last}"
        how = f"ended with status {status}" if status is not None else "did not answer any more"
        return f"its process {how}{last}"

    def kill(self) -> None:
        """At once, with all that it started."""
        if self._owner != os.getpid() or self._gone:
            return
        self._gone = True
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        GUARD.leave(self.pid)
        self._connection.close()
        for descriptor in (self._memory, self._log):
            with suppress(OSError):
                os.close(descriptor)

    def release(self) -> None:
        """Its simulators end, and it waits for others, as many as there are cores."""
        if self.broken or len(_idle) >= (os.cpu_count() or 1):
            self.end()
            return
        try:
            self.send("close")
            self.receive(PATIENCE)
        except (Died, Failed, Hung):
            self.kill()
        else:
            _idle.append(self)

    def end(self) -> None:
        """In good order, if it can; else at once."""
        if self._owner != os.getpid():
            return
        with suppress(Died, Failed, Hung):
            self.send("end")
            self.receive(PATIENCE)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
        self.kill()


def _file(name: str, flag: int = 0) -> int:
    """A file without a name, which a child process is given by its number."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(f"dgpg-{name}")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    if flag:
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | flag)
    return descriptor


_idle: list[Process] = []
"""Processes that wait for the next environments: Python's start costs more than many an episode."""


def take() -> Process:
    """A worker that waits, or a new one."""
    while _idle:
        process = _idle.pop()
        if not process.broken:
            return process
        process.kill()
    return Process()


@atexit.register
def _end_all() -> None:
    while _idle:
        _idle.pop().end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)
