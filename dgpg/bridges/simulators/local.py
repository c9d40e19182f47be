"""Simulators in the trainer's own process: no limit of time, no death that is survived, and nothing to start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dgpg.bridges.simulators.host import Failed, Host
from dgpg.bridges.simulators.view import Board, Layout, Sizes, View, record


class Local:
    """Takes the place of a `Process`."""

    broken, printed = False, ""

    def __init__(self, make: Callable[[int], Any], read: Callable[[Any, Any], View]) -> None:
        self._make, self._read = make, read
        self._host: Host | None = None
        self._answer: Any = None

    @property
    def board(self) -> Board | None:
        """Once the first view has shown its layout."""
        return None if self._host is None else self._host.board

    def open(self, pickled: bytes, sizes: Sizes, seeds: list[int]) -> None:
        """As `Process.open`; nothing needs to be pickled."""

        def lay(layout: Layout) -> Board:
            return Board(np.zeros(len(seeds), record(layout, sizes)), layout)

        self._host, self._answer = Host(self._make, self._read, sizes, seeds, lay), None

    def send(self, name: str, *arguments: Any) -> None:
        """As `Process.send`; it is done at once."""
        try:
            self._answer = getattr(self._host, name)(*arguments)
        except Failed as failed:
            self._answer = failed

    def receive(self, timeout: float) -> Any:
        """As `Process.receive`."""
        if isinstance(self._answer, Failed):
            raise self._answer
        return self._answer

    def kill(self) -> None:
        """There is nothing to kill: its death is the trainer's."""

    def release(self) -> None:
        """End the simulators."""
        if self._host is not None:
            self._host.close()
