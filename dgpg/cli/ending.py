"""How a command ends: its result, one message, or the word of a signal; never a traceback for a mistake."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, ParamSpec

from typer.core import TyperGroup

from dgpg.errors import DgpgError, Elsewhere

P = ParamSpec("P")
ORDER = (
    "domains", "settings", "train", "watch", "sweep", "evaluate", "compare", "report",
    "new", "check", "calibrate", "export", "serve",
)  # fmt: skip
"""Of the commands in the program's help."""


class Ended(SystemExit):
    """The command line's own end, as code of a plugin may raise SystemExit too."""


class Commands(TyperGroup):
    """Ctrl-C ends any command with one line, which says what was done if the command says so."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order in which a user meets them."""
        return sorted(self.commands, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            fail(f"interrupted: {stop}" if str(stop) else "interrupted", 130)
        except Ended:
            raise
        except SystemExit as stop:
            where = traceback.extract_tb(stop.__traceback__)[-1]
            fail(
                f"error: {where.filename}:{where.lineno} ended the command with SystemExit({stop.code!r}) before "
                "it was done; a plugin should raise an exception that says what is wrong"
            )


def one_object(command: Callable[P, None]) -> Callable[P, None]:
    """With --json nothing but one object reaches standard output, whatever code of plugins prints."""

    @wraps(command)
    def guarded(*args: P.args, **options: P.kwargs) -> None:
        from dgpg.showing.alone import alone

        with alone() if options["as_json"] else nullcontext():
            command(*args, **options)

    return guarded


def starting(command: Callable[P, None]) -> Callable[P, None]:
    """Say so where what a command needs takes long to import: torch is seconds, on a cold disk many."""

    @wraps(command)
    def imported(*args: P.args, **options: P.kwargs) -> None:
        from dgpg.showing.waiting import waiting

        with waiting("starting"):
            import_module("dgpg.measuring")
        command(*args, **options)

    return imported


def told(command: Callable[[], None]) -> None:
    """Run it; a mistake is one message, not a traceback."""
    try:
        command()
    except KeyboardInterrupt:  # before there is a command
        fail("interrupted", 130)
    except Elsewhere:
        raise Ended(1) from None
    except DgpgError as error:
        fail(f"error: {error}")
    except OSError as error:  # the terminal's end, or a file that only a plugin knows
        place = f"{error.filename}: " if error.filename and error.strerror else ""
        fail(f"error: {place}{error.strerror or error}")
    except (MemoryError, RuntimeError) as error:  # torch raises RuntimeError when an allocation fails
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        detail = (str(error) or "none left").splitlines()[0]
        advice = "lower --num-envs, the number of agents or the horizon, or use shorter files"
        fail(f"error: not enough memory ({detail}); {advice}")


def interrupted(path: Path, kept: int, status: int) -> NoReturn:
    """Of a training that can go on."""
    fail(f"interrupted; iteration {kept} is saved, and `dgpg train --resume --out {path}` goes on from there", status)


def fail(message: str, status: int = 1) -> NoReturn:
    """One message, and the process ends."""
    from rich.console import Console  # not that of `showing`: where a policy is served there is no torch

    Console(stderr=True, soft_wrap=True, markup=False, emoji=False, highlight=False).print(message, style="red")
    raise Ended(status)
