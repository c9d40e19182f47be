"""What a check is and how it comes out: pass, fail with a message to act on, or skip with a reason."""

from __future__ import annotations

import inspect
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dgpg.checks.subject import Subject
from dgpg.errors import PluginError

HERE = Path(__file__).parent


class CheckFailed(Exception):
    """A property does not hold. The parts make every message complete: what, expected, got, cause, fix."""

    def __init__(self, what: str, *, expected: str, got: str, cause: str, fix: str) -> None:
        super().__init__(f"{what}: expected {expected}; got {got}. Likely cause: {cause}. Fix: {fix}.")


class Skipped(Exception):
    """A check does not apply to this domain; the message is the reason."""


@dataclass(frozen=True)
class Check:
    """A named property."""

    function: Callable[[Subject], str | None]

    @property
    def name(self) -> str:
        """Name of the public function."""
        return self.function.__name__

    @property
    def description(self) -> str:
        """First line of its docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


@dataclass(frozen=True)
class Outcome:
    """How one check came out."""

    name: str
    description: str
    status: Literal["pass", "fail", "skip"]
    message: str
    """Empty for a pass that measured nothing."""
    seconds: float

    def json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def examine(check: Check, subject: Subject) -> Outcome:
    """Run one check; whatever the plugin raises is a failure with the plugin's file and line, never a crash."""
    status: Literal["pass", "fail", "skip"]
    begin = time.perf_counter()
    try:
        status, message = "pass", check.function(subject) or ""
    except Skipped as reason:
        status, message = "skip", str(reason)
    except CheckFailed as failure:
        status, message = "fail", str(failure)
    except Exception as error:
        status, message = "fail", explain(error, subject)
    return Outcome(check.name, check.description, status, message, time.perf_counter() - begin)


def explain(error: Exception, subject: Subject) -> str:
    """An unexpected exception: what it was and the last line of the plugin that it passed through."""
    if isinstance(error, PluginError):
        return f"what the plugin returned could not be used: {error}"
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    root = str(subject.folder)
    own = [frame for frame in frames if frame.filename.startswith(root) and not _ours(frame)]
    if own:
        last = own[-1]
        return f"the plugin raised {what} at {last.filename}:{last.lineno} in {last.name}: {last.line}"
    last = frames[-1]
    return (
        f"what the plugin returned could not be used: {what} at {last.filename}:{last.lineno} in {last.name}; "
        "an earlier failed check says more"
    )


def _ours(frame: traceback.FrameSummary) -> bool:
    return Path(frame.filename).is_relative_to(HERE)
