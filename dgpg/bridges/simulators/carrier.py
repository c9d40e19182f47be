"""What simulators run in, as a crew sees it: a process, or the trainer's own."""

from __future__ import annotations

from typing import Any, Protocol

from dgpg.bridges.simulators.local import Local
from dgpg.bridges.simulators.process import Process, give_back
from dgpg.bridges.simulators.view import Board, Sizes


class Carrier(Protocol):
    """What simulators run in."""

    @property
    def board(self) -> Board | None:
        """Their records."""
        ...

    @property
    def broken(self) -> bool:
        """Whether nothing can be asked of it any more."""
        ...

    @property
    def printed(self) -> str:
        """The last of what they printed."""
        ...

    def open(self, pickled: bytes, sizes: Sizes, seeds: list[int]) -> None:
        """Ask for simulators."""
        ...

    def send(self, name: str, *arguments: Any) -> None:
        """Ask for something."""
        ...

    def receive(self, timeout: float) -> Any:
        """The answer to what was asked last."""
        ...


def board_of(carrier: Carrier) -> Board:
    """Its records, which are there once it has shown a view."""
    board = carrier.board
    assert board is not None, "a reset comes first"
    return board


def release(carriers: list[Carrier]) -> None:
    """End their simulators; processes wait for the next ones."""
    for carrier in carriers:
        if isinstance(carrier, Process):
            give_back(carrier)
        elif isinstance(carrier, Local):
            carrier.release()
    carriers.clear()
