"""Where the runs of a sweep are: processes of this machine, or of a cluster that Ray holds together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from dgpg.errors import ConfigError

Command = Sequence[str]
LAST = 2000
"""Characters of what a process printed that are looked at for the reason why it failed."""


class Process(Protocol):
    """Commands that follow one another, as long as each of them succeeds."""

    def poll(self) -> int | None:
        """Exit status of the last one that ran; None while one runs."""
        ...

    def stop(self, number: int) -> None:
        """Send it a signal."""
        ...


class Engine(Protocol):
    """Starts processes, at most `jobs` at a time."""

    jobs: int

    def start(self, commands: Sequence[Command], said: Path) -> Process:
        """Run commands one after the other; what they print goes to a file."""
        ...


class Local:
    """Processes of this machine."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def start(self, commands: Sequence[Command], said: Path) -> Process:
        """Out of reach of the terminal's signals: the sweep passes them on."""
        return _Following(commands, said)


class _Following:
    def __init__(self, commands: Sequence[Command], said: Path) -> None:
        self._left, self._said, self._stopped = list(commands), said, False
        self._now = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        with self._said.open("ab") as file:
            return subprocess.Popen(
                self._left.pop(0),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def poll(self) -> int | None:
        status = self._now.poll()
        if status == 0 and self._left and not self._stopped:
            self._now = self._begin()
            return None
        return status

    def stop(self, number: int) -> None:
        self._stopped = True
        with suppress(ProcessLookupError):
            self._now.send_signal(number)


class Ray:
    """Tasks of a Ray cluster (extra `ray`), a processor each; all machines see the sweep's folder under one path.

    Raises:
        ConfigError: ray is not installed.
    """

    def __init__(self, jobs: int | None) -> None:
        try:
            import ray
        except ImportError:
            raise ConfigError("--engine ray: ray is not installed; pip install 'dgpg[ray]'") from None
        self._ray = ray
        if not ray.is_initialized():
            ray.init(address=os.environ.get("RAY_ADDRESS"), log_to_driver=False)
        self.jobs = jobs or max(int(ray.cluster_resources().get("CPU", 1)), 1)

    def start(self, commands: Sequence[Command], said: Path) -> Process:
        """Ray finds a machine; a task whose machine is lost begins again there where the run was saved last."""
        task = self._ray.remote(num_cpus=1, max_retries=3)(follow)
        return _Task(self._ray, task.remote([list(command) for command in commands], str(said.resolve()), os.getcwd()))


class _Task:
    def __init__(self, ray: Any, task: Any) -> None:
        self._ray, self._task = ray, task

    def poll(self) -> int | None:
        if not self._ray.wait([self._task], timeout=0)[0]:
            return None
        try:
            return int(self._ray.get(self._task))
        except self._ray.exceptions.TaskCancelledError:
            return 128 + signal.SIGTERM
        except self._ray.exceptions.RayError as error:
            print(f"ray: {error}", file=sys.stderr)
            return 1

    def stop(self, number: int) -> None:
        self._ray.cancel(self._task)


def follow(commands: Sequence[Command], said: str, where: str) -> int:
    """Run commands one after the other, here, and wait for them; the exit status of the last that ran.

    KeyboardInterrupt, by which Ray cancels a task, is passed on as SIGTERM, on which a training saves and ends.
    """
    os.chdir(where)
    process = _Following(commands, Path(said))
    while (status := process.poll()) is None:
        try:
            time.sleep(0.2)
        except KeyboardInterrupt:
            process.stop(signal.SIGTERM)
    return status


def reason(said: Path) -> str:
    """The last line that a process printed."""
    try:
        with said.open("rb") as file:
            file.seek(max(said.stat().st_size - LAST, 0))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return "it printed nothing"
    return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
