"""What there is to do: candidates, and the run of each of their seeds."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LONGEST = 120
"""Characters of a name; longer ones end in a digest."""


@dataclass(frozen=True)
class Candidate:
    """Settings that are tried."""

    varied: Mapping[str, Any]
    """What others have otherwise, by its name."""
    values: Mapping[str, Any]
    """All that was said, in the shape of `RunConfig`."""
    trial: int | None = None
    """Number in the search of its combination, if it is of one."""

    @property
    def name(self) -> str:
        """For its folders: the varied settings, in words."""
        return named(self.varied)

    def jobs(self, seeds: Iterable[int]) -> list[Job]:
        """A run for each seed."""
        return [Job(self, seed) for seed in seeds]


@dataclass(frozen=True)
class Job:
    """A run of a candidate."""

    candidate: Candidate
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return ",".join(part for part in (self.candidate.name, f"seed={self.seed}") if part)


def named(varied: Mapping[str, Any]) -> str:
    """`train.actor_lr=0.01,algorithm=mappo`, of characters that every file system takes."""
    whole = ",".join(f"{name}={_word(value)}" for name, value in varied.items())
    safe = re.sub(r"[^A-Za-z0-9=,._+-]", "_", whole)
    if safe == whole and len(whole) <= LONGEST:
        return whole
    digest = hashlib.sha256(json.dumps(dict(varied), default=str).encode()).hexdigest()[:8]
    return f"{safe[: LONGEST - 9]}-{digest}"


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence | Mapping | bool):
        return json.dumps(value)
    return f"{value:.6g}" if isinstance(value, float) else f"{value}"
