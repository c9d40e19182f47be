"""Candidates that a search draws, by what those before came to: Optuna's tree of Parzen estimators."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dgpg.errors import ConfigError
from dgpg.sweeps.file import Asked, Range
from dgpg.sweeps.jobs import Candidate, named

JOURNAL = "optuna.log"


class Search:
    """A study for each combination of the grid, all with as many trials; their journal is in the sweep's folder.

    Trials that were under way when a sweep ended are tried again with what was drawn for them.

    Raises:
        ConfigError: optuna is not installed, or nothing is to be searched.
    """

    def __init__(self, asked: Asked, folder: Path, trials: int, seed: int) -> None:
        try:
            import optuna
            from optuna.storages.journal import JournalFileBackend
        except ImportError:
            raise ConfigError("--search: optuna is not installed; pip install 'dgpg[tune]'") from None
        if not asked.sweep.search:
            raise ConfigError("--search: the file has no table sweep.search; say there what to draw from")
        optuna.logging.set_verbosity(logging.WARNING)
        self._optuna, self._asked, self._trials = optuna, asked, trials
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
        self._space = {name: _distribution(optuna, values) for name, values in asked.sweep.search.items()}
        self._studies = {
            named(combination): (combination, self._study(storage, named(combination) or "all", seed))
            for combination in asked.combinations()
        }
        self._open: dict[str, tuple[Any, Any]] = {}
        self._held: tuple[Candidate, Any, Any] | None = None

    def _study(self, storage: Any, name: str, seed: int) -> Any:
        study = self._optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
        # One that goes on would draw again what it drew first.
        study.sampler = self._optuna.samplers.TPESampler(seed=seed + len(study.trials), constant_liar=True)
        states = self._optuna.trial.TrialState
        for trial in study.get_trials(states=(states.RUNNING,)):
            study.tell(trial.number, state=states.FAIL)
            study.enqueue_trial(trial.params)
        return study

    def take(self) -> Candidate | None:
        """The next one, of the combination that has had the fewest.

        None if all have had enough, or if one was drawn that is being tried already: it waits for what that comes to.
        """
        found, self._held = self._held or self._drawn(), None
        if found is None or found[0].name in self._open:
            self._held = found
            return None
        candidate, study, trial = found
        self._open[candidate.name] = (study, trial)
        return candidate

    def _drawn(self) -> tuple[Candidate, Any, Any] | None:
        states = self._optuna.trial.TrialState
        counts = {
            name: len(study.get_trials(states=(states.COMPLETE, states.RUNNING)))
            for name, (_, study) in self._studies.items()
        }
        name = min(counts, key=counts.__getitem__)
        if counts[name] >= self._trials:
            return None
        combination, study = self._studies[name]
        trial = study.ask(self._space)
        return self._candidate(combination, trial), study, trial

    def _candidate(self, combination: Mapping[str, Any], trial: Any) -> Candidate:
        drawn = {name: _plain(self._asked, name, value) for name, value in trial.params.items()}
        varied = {**combination, **drawn}
        return Candidate(varied, self._asked.values(varied), trial.number)

    def tell(self, candidate: Candidate, cost: float | None) -> None:
        """What a candidate came to; None if it failed, which counts as tried."""
        study, trial = self._open.pop(candidate.name)
        study.tell(trial, math.inf if cost is None else cost)

    def before(self) -> list[Candidate]:
        """Those that were finished before."""
        states = self._optuna.trial.TrialState
        return [
            self._candidate(combination, trial)
            for combination, study in self._studies.values()
            for trial in study.get_trials(states=(states.COMPLETE,))
        ]


def _distribution(optuna: Any, values: Range | tuple[Any, ...]) -> Any:
    kinds = optuna.distributions
    if not isinstance(values, Range):
        return kinds.CategoricalDistribution(range(len(values)))  # values may be tables; the journal holds numbers
    if isinstance(values.low, int) and isinstance(values.high, int):
        return kinds.IntDistribution(values.low, values.high, log=values.log)
    return kinds.FloatDistribution(values.low, values.high, log=values.log)


def _plain(asked: Asked, name: str, drawn: Any) -> Any:
    values = asked.sweep.search[name]
    return drawn if isinstance(values, Range) else values[drawn]
