"""What simulators run in, as a crew sees it: a process, the trainer's own, or an actor somewhere in a cluster."""

from __future__ import annotations

from typing import Any, Protocol

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
        """The answer to what was asked last.

        Raises:
            Failed: a simulator did something wrong.
            Died: nothing answers any more.
            Hung: a simulator took too long.
        """
        ...

    def kill(self) -> None:
        """At once, whatever it does."""
        ...

    def release(self) -> None:
        """End the simulators in good order."""
        ...


class Died(Exception):
    """What simulators ran in is gone; the text says how, and what it printed last."""


class Hung(Exception):
    """A simulator took longer than it may; what it ran in is gone."""

    def __init__(self, place: int, where: str) -> None:
        super().__init__(place, where)
        self.place, self.where = place, where


def board_of(carrier: Carrier) -> Board:
    """Its records, which are there once it has shown a view."""
    board = carrier.board
    assert board is not None, "a reset comes first"
    return board


def release(carriers: list[Carrier]) -> None:
    """End the simulators of all."""
    for carrier in carriers:
        carrier.release()
    carriers.clear()
