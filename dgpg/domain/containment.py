"""Other people's code, run so that what it does stays its own: anything it raises, and places that it changes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from dgpg.errors import DgpgError


@contextmanager
def contained(told: Callable[[BaseException], DgpgError]) -> Iterator[None]:
    """Run a block that may raise anything, SystemExit and KeyboardInterrupt included; os._exit raises, too.

    The working directory, the standard streams and what handles Ctrl-C are afterwards what they were.

    Args:
        told: what to raise in the place of what the block raised.

    Raises:
        KeyboardInterrupt: the user pressed Ctrl-C, whatever the block made of it.
    """
    place, streams = _working_directory(), (sys.stdout, sys.stderr)
    with _ctrl_c() as pressed, _no_exit():
        try:
            yield
        except BaseException as error:
            if not pressed:
                problem = told(error)
                raise problem from (None if problem is error else error)
        finally:
            sys.stdout, sys.stderr = streams
            if place is not None:
                with suppress(OSError):
                    os.chdir(place)
    if pressed:
        raise KeyboardInterrupt


def said(error: BaseException) -> str:
    """Kind and text of anything raised, whose text may raise itself."""
    try:
        text = str(error)
    except BaseException as worse:
        text = f"its text raises {type(worse).__name__}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


@contextmanager
def _no_exit() -> Iterator[None]:
    """os._exit would end the command without a word, and perhaps as if all were done; processes forked off may."""
    exit_at_once, here = os._exit, os.getpid()

    def refuse(status: int) -> NoReturn:
        if os.getpid() != here:
            exit_at_once(status)
        raise SystemExit(f"os._exit({status})")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = exit_at_once


@contextmanager
def _ctrl_c() -> Iterator[list[int]]:
    """Signals that Ctrl-C has sent meanwhile: a KeyboardInterrupt without one is not the user's.

    Where nothing of Python's handles Ctrl-C, as outside the main thread or in the background, nothing changes.
    """
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        assert callable(before)
        before(number, frame)

    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield pressed
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
