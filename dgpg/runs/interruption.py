"""A training that is told to stop finishes its iteration first; told again, it stops at once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Ctrl-C, a scheduler that takes the machine away, a terminal that closes."""


class Interruption:
    """Which signal came, if one did."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def exit_status(self) -> int:
        """As shells have it: 128 and the number of the signal; 0 if none came."""
        return 0 if self.signal is None else 128 + int(self.signal)


@contextmanager
def heeded(told: Callable[[str], None], echo: float = 0.0) -> Iterator[Interruption]:
    """Note the first signal; the second one raises KeyboardInterrupt of its exit status. Ignored ones stay ignored.

    Outside the main thread, where Python takes no signals, nothing changes.

    Args:
        told: called once, with what a user should know.
        echo: seconds in which a second signal may be the first once more: a terminal tells all processes, and a
            launcher that it told tells its own.
    """
    found, before, when = Interruption(), dict[signal.Signals, Any](), float("-inf")

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal when
        if time.monotonic() - when < echo:
            return
        when = time.monotonic()
        if found.signal is not None:
            raise KeyboardInterrupt(128 + number)
        found.signal = signal.Signals(number)
        told(f"{found.signal.name}: the iteration is finished and saved first; once more stops at once")

    if threading.current_thread() is threading.main_thread():
        for name in SIGNALS:
            one = getattr(signal, name, None)  # SIGHUP is not everywhere
            if one is not None and signal.getsignal(one) is not signal.SIG_IGN:
                before[one] = signal.signal(one, note)
    try:
        yield found
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
