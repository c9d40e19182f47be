"""Nothing is left behind: a process that ends workers, and what they started, when that of the trainer is gone."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from contextlib import suppress

SCRIPT = """
import os, sys
groups = set()
for line in sys.stdin.buffer:
    (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, 9)
    except OSError:
        pass
"""
"""It reads groups of processes to watch and to let go; where its input ends, its parent has ended, however that was."""


PATIENCE = 2.0
"""Seconds in which it may end by itself."""


class Guard:
    """One for all workers of a process; it sees them die with the process, also by SIGKILL and while they hang."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def watch(self, group: int) -> None:
        """From here on."""
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", SCRIPT],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            self._owner = os.getpid()
        self._tell("+", group)

    def leave(self, group: int) -> None:
        """It ended; its number may be another's soon."""
        if self._owner == os.getpid():
            self._tell("-", group)

    def end(self) -> None:
        """With the process, in good order: whoever looks for children that were left finds none."""
        if self._process is None or self._owner != os.getpid():
            return
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:  # a fork of this process holds the other end of its input, and lives on
            self._process.kill()
            self._process.wait()
        self._process = None

    def _tell(self, sign: str, group: int) -> None:
        if self._process is None or self._process.stdin is None:
            return
        with suppress(OSError):
            self._process.stdin.write(f"{sign}{group}\n".encode())
            self._process.stdin.flush()


GUARD = Guard()
atexit.register(GUARD.end)  # after all that is registered later, the end of the workers among it
