"""What a logger is: an entry point of `dgpg.loggers` names a class, or a function, that makes one of a run's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Logger(Protocol):
    """Made by `make(folder, config, iteration)` when a run begins or goes on, or for one evaluation of it.

    `folder` is the run's, where a logger may keep what it needs to go on; `config` its settings, as plain values;
    `iteration` the last one that stays, as later ones are measured again, or None for an evaluation, during which the
    run may be training elsewhere: then nothing of its iterations may change. What any of it raises stops nothing.
    """

    def log(self, metrics: Mapping[str, float]) -> None:
        """Measures of one iteration, its number among them."""

    def evaluation(self, rows: Sequence[Mapping[str, Any]], figures: Sequence[Path]) -> None:
        """The rows of an evaluation's table, plain values by column, and files of its figures."""

    def flush(self) -> None:
        """To disk or away; called with every checkpoint."""

    def close(self) -> None:
        """Nothing more comes."""
