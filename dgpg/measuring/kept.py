"""An evaluation as a run's folder keeps it: looked at and compared later without being measured again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from dgpg.errors import RunError
from dgpg.measuring.rows import Row
from dgpg.runs.atomic import write_atomic

FILE = "evaluation.json"


@dataclass(frozen=True)
class Kept:
    """What was measured of a run, where, and what was said of it."""

    unit: str
    """Of costs, an agent and step."""
    iteration: int
    """The run's when it was measured."""
    seed: int
    block: int
    """Neighbours that an interval draws together, see `statistics.interval`."""
    system: dict[str, Any]
    """Settings that decide what happens; two evaluations of one system and seed met the same arrivals."""
    elsewhere: list[str]
    """Settings in which the evaluation differs from the training."""
    overrides: dict[str, Any]
    """Settings that were asked for, in the shape of the domain's."""
    rows: list[Row]
    notes: list[str]
    usual: dict[str, Any] = field(default_factory=dict)
    """The run's settings if nothing but its domain's had been said, in the shape of `RunConfig`."""
    figures: list[str] = field(default_factory=list)
    """Names of the figures beside it."""
    judged: Sequence[Mapping[str, float | str]] | None = None


_KEPT = TypeAdapter(Kept)


def keep(folder: Path, found: Kept) -> None:
    """Write it into a run's folder, in the place of the one before.

    Raises:
        RunError: it cannot be written.
    """
    whole = json.dumps(_KEPT.dump_python(found), indent=1)  # pydantic's own JSON forgets numbers that are not finite
    write_atomic(folder / FILE, lambda file: file.write(whole.encode()))


def kept(folder: Path) -> Kept | None:
    """The last evaluation of a run; None where there is none.

    Raises:
        RunError: what lies there is none.
    """
    path = folder / FILE
    try:
        return _KEPT.validate_python(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        why = str(error).splitlines()[0]
        raise RunError(f"{path} is no evaluation ({why}); make it anew: dgpg evaluate {folder}") from None
