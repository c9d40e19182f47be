"""What a person sees of long work: a bar on a terminal, a line now and then elsewhere; nothing of short work.

All of it goes to stderr, so that what a command returns stays whole; DGPG_PROGRESS=none leaves it out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from dgpg.showing.plain import plain

PROGRESS = "DGPG_PROGRESS"
"""Environment variable."""
QUIET = 2.0
"""Seconds after which a terminal shows a bar."""
LEAST = 0.02
"""Share that must be done before the rest is guessed."""
PAUSES = (5.0, 10.0, 20.0, 30.0)
"""Seconds between lines elsewhere; the last one is repeated."""


def clock(seconds: float) -> str:
    """As hours, minutes and seconds, the two that matter."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


class Waiting:
    """What is being done, and what part of it; call it with news, from the thread that works."""

    def __init__(self, what: str, above: Callable[[], RenderableType]) -> None:
        self._above = above
        self._start = time.monotonic()
        self._lines: list[str] = []
        self._bar = Progress(
            SpinnerColumn("line"), TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
            TimeElapsedColumn(), TextColumn("{task.fields[left]}", markup=False), auto_refresh=False,
        )  # fmt: skip
        self._task = self._bar.add_task(what, total=None, left="")
        self._what, self._share = what, 0.0

    def __call__(self, what: str, share: float) -> None:
        """`share` of the whole is done, 0 to 1."""
        self._what, self._share = what, share
        self._bar.update(self._task, description=what, total=1.0 if share else None, completed=share, left=self._left())

    def doing(self, what: str) -> None:
        """Something of which nobody knows how much there is."""
        self(what, 0.0)

    def found(self, line: str) -> None:
        """A result of its own, which a pipe should have even if the rest is never done."""
        self._lines.append(line)

    def picture(self) -> RenderableType:
        """What a terminal shows."""
        return Group(self._above(), self._bar)

    def lines(self) -> list[str]:
        """What a pipe is told: what was found since the last time, then what is being done."""
        told, self._lines = self._lines, []
        part, left = f" ({self._share:.0%})" if self._share else "", self._left()
        return [*told, f"{self._what}{part}, {time.monotonic() - self._start:.0f} s{f', {left}' if left else ''}"]

    def _left(self) -> str:
        """Time, if the rest takes as long as what is done; nothing before a guess is worth its place."""
        spent = time.monotonic() - self._start
        if spent < QUIET or self._share < LEAST:
            return ""
        return f"about {clock(spent * (1 - self._share) / self._share)} left"


@contextmanager
def waiting(what: str, above: Callable[[], RenderableType] = Group) -> Iterator[Waiting]:
    """Show that work goes on while the block runs; `above` is drawn over the bar each time."""
    news, over, console = Waiting(what, above), Event(), plain(stderr=True)
    if os.environ.get(PROGRESS) == "none":
        yield news
        return
    show = _draw if console.is_terminal else _tell
    thread = Thread(target=show, args=(news, over, console), daemon=True)
    thread.start()
    try:
        yield news
    finally:
        over.set()
        thread.join()


def _draw(news: Waiting, over: Event, console: Console) -> None:
    if over.wait(QUIET):
        return
    options = {"transient": True, "redirect_stdout": False, "redirect_stderr": False}
    with Live(get_renderable=news.picture, console=console, refresh_per_second=5, **options):  # type: ignore[arg-type]
        over.wait()


def _tell(news: Waiting, over: Event, console: Console) -> None:
    turn = 0
    while not over.wait(PAUSES[min(turn, len(PAUSES) - 1)]):
        turn += 1
        for line in news.lines():
            console.print(line, soft_wrap=True)
