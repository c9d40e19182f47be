"""Candidates that are all known before."""

from __future__ import annotations

from dgpg.errors import ConfigError
from dgpg.sweeps.file import Asked
from dgpg.sweeps.jobs import Candidate


class Grid:
    """Every combination, in the order of the file.

    Raises:
        ConfigError: the file has something to search too.
    """

    def __init__(self, asked: Asked) -> None:
        if asked.sweep.search:
            raise ConfigError("the file has a table sweep.search: say with --search N how many are drawn from it")
        self._left = [Candidate(varied, asked.values(varied)) for varied in asked.combinations()]

    def take(self) -> Candidate | None:
        """The next one; None if there is none."""
        return self._left.pop(0) if self._left else None

    def tell(self, candidate: Candidate, cost: float | None) -> None:
        """Nothing depends on it."""

    def before(self) -> list[Candidate]:
        """None: what was done before is found in its folder when its turn comes."""
        return []
