"""Simulators in an actor of Ray: somewhere in a cluster, and somewhere else once that is lost. Needs the extra ray."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from typing import Any

import numpy as np

from dgpg.bridges.simulators.carrier import Died, Hung
from dgpg.bridges.simulators.host import Failed
from dgpg.bridges.simulators.view import Array, Board, Layout, Sizes, record
from dgpg.bridges.simulators.worker import Answer, Desk
from dgpg.errors import ConfigError

ENVIRONMENT = {"PYTHONHASHSEED": "0", **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}}
TAIL = 2000
"""Characters of what was printed that a message shows."""
LOOK_S = 10.0
"""Seconds within which an actor says what it is at; one that does not is held by C, or its node is unreachable."""


class Own:
    """The memory of a desk that shares none, and its clock."""

    def __init__(self) -> None:
        self.clock, self.now = self, (-1, 0.0)
        self.records: Array = np.zeros(0)

    def set(self, place: int, now: float) -> None:
        """The simulator at `place` is asked for something, or -1: none is."""
        self.now = place, now

    def board(self, layout: Layout, sizes: Sizes, count: int) -> Board:
        """Records of so many simulators."""
        self.records = np.zeros(count, record(layout, sizes))
        return Board(self.records, layout)


class Seat:
    """What runs in the cluster: a desk whose records travel with requests and answers."""

    def __init__(self) -> None:
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  as long as the actor
        for stream in (1, 2):
            os.dup2(self._log.fileno(), stream)
        self._memory = Own()
        self._desk = Desk(self._memory)
        self._thread = threading.get_ident()

    def ask(self, name: str, arguments: tuple[Any, ...], given: Array | None) -> tuple[Answer, Array, str]:
        """The answer, all records, and the last of what was printed.

        Args:
            name: of the request.
            arguments: of it.
            given: records with the actions and the seeds of a step.
        """
        self._thread = threading.get_ident()
        self._memory.set(-1, time.monotonic())
        if name == "open":
            pickled, path, *rest = arguments
            arguments = (pickled, sys.path + [entry for entry in path if entry not in sys.path], *rest)
        if given is not None:
            for column in ("action", "seed"):
                self._memory.records[column] = given[column]
        answer = self._desk.answer(name, arguments)
        sys.stdout.flush()
        size = os.fstat(self._log.fileno()).st_size
        printed = os.pread(self._log.fileno(), TAIL, max(size - TAIL, 0)).decode(errors="replace").strip()
        return answer, self._memory.records, printed

    def look(self) -> tuple[int, float, str]:
        """Which simulator is at work, for how many seconds, and where it is."""
        place, since = self._memory.now
        frame = sys._current_frames().get(self._thread)
        return place, time.monotonic() - since, "".join(traceback.format_stack(frame)).rstrip()

    def node(self) -> str:
        """Where it is."""
        return str(sys.modules["ray"].get_runtime_context().get_node_id())


class Actor:
    """Takes the place of a `Process`. After `send` comes `receive`."""

    def __init__(self) -> None:
        ray = cluster()
        self.board: Board | None = None
        self.broken, self.printed, self._opened = False, "", False
        kind = ray.remote(
            num_cpus=1, max_restarts=0, runtime_env={"env_vars": ENVIRONMENT}, concurrency_groups={"look": 1}
        )(Seat)
        self.actor: Any = kind.remote()
        self._answer: Any = None

    def open(self, pickled: bytes, sizes: Sizes, seeds: list[int]) -> None:
        """As `Process.open`."""
        self.board, self._sizes, self._count = None, sizes, len(seeds)
        self.send("open", pickled, [os.path.abspath(entry) for entry in sys.path], sizes, seeds)

    def send(self, name: str, *arguments: Any) -> None:
        """As `Process.send`."""
        if self.broken:
            raise Died("its actor is gone")
        given = self.board.records if name == "step" and self.board is not None else None
        self.broken, self._answer = True, self.actor.ask.remote(name, arguments, given)

    def receive(self, timeout: float) -> Any:
        """As `Process.receive`."""
        answer, records, self.printed = self._waited(timeout)
        kind, found, layout = answer
        self.broken, self._answer, self._opened = False, None, True
        if layout is not None:
            self.board = Board(np.zeros(self._count, record(layout, self._sizes)), layout)
        if self.board is not None:
            self.board.records[...] = records
        if kind == "failed":
            raise Failed(found)
        return found

    def _waited(self, timeout: float) -> tuple[Answer, Array, str]:
        ray, left = cluster(), timeout
        try:
            while not ray.wait([self._answer], timeout=left)[0]:
                left = timeout - self._looked(ray, timeout)
            answer: tuple[Answer, Array, str] = ray.get(self._answer)
            return answer
        except ray.exceptions.RayActorError as error:
            raise Died(f"its actor is gone: {str(error).splitlines()[0]}") from None

    def _looked(self, ray: Any, timeout: float) -> float:
        """Seconds that a simulator is at what it was asked for.

        Raises:
            Hung: longer than it may.
            ConfigError: the cluster has found no place for the actor.
        """
        found: tuple[int, float, str] | None = None
        with suppress(ray.exceptions.GetTimeoutError):
            looking = self.actor.look.options(concurrency_group="look").remote()
            found = ray.get(looking, timeout=LOOK_S)
        if found is None and not self._opened:
            self.kill()
            raise ConfigError(
                f"workers.engine=ray: the cluster, of {cpus()} cores, found no place for an actor of one core within "
                f"{timeout:g} s; ask for fewer by workers.count, or end what else runs there"
            )
        place, seconds, where = found or (-1, timeout, "")
        if seconds >= timeout:
            self.kill()
            raise Hung(place, where)
        return seconds

    def kill(self) -> None:
        """As `Process.kill`."""
        self.broken = True
        if sys.modules["ray"].is_initialized():
            sys.modules["ray"].kill(self.actor)

    def release(self) -> None:
        """As `Process.release`, but that it waits for nobody: another kind of simulator may need another place."""
        if not self.broken and sys.modules["ray"].is_initialized():
            with suppress(Died, Failed, Hung, ConfigError):
                self.send("close")
                self.receive(LOOK_S)
        self.kill()


def cluster() -> Any:
    """The module ray, connected.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise ConfigError("workers.engine=ray needs Ray: pip install 'dgpg[ray]'") from None
    if not ray.is_initialized():
        ray.init(log_to_driver=False, configure_logging=False)
    return ray


def cpus() -> int:
    """Cores of the cluster."""
    return int(cluster().cluster_resources().get("CPU", 1))
