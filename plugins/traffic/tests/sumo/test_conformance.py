"""The domain keeps the contract of `dgpg.domain.protocols`, on a grid of 30 drivers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from dgpg import checks
from dgpg.checks import CHECKS, Check, Subject
from dgpg_traffic.sumo.day import Days, Outcome

LONG = {"edge_values"}
"""Play days at both ends of every setting's range: of one environment, as several differ by their seeds alone."""


@pytest.fixture(scope="module", autouse=True)
def days_played_once() -> Iterator[None]:
    """SUMO says the same of the same day (test_day.py); most settings at their bounds do not change it."""
    real, known = Days.play, {}

    def play(days: Days, choice: Any, seed: int) -> Outcome:
        told = (days.depart.tobytes(), days.edges.tobytes(), choice.tobytes())
        key = (days.network.path, days.rules, seed, *told)
        if key not in known:
            known[key] = real(days, choice, seed)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Days, "play", play)
        yield


@pytest.fixture(scope="module")
def subject() -> Subject:
    return checks.subject("sumo")


@pytest.mark.parametrize(
    "check",
    [pytest.param(one, marks=pytest.mark.slow if one.name in LONG else ()) for one in CHECKS],
    ids=lambda check: check.name,
)
def test_check(subject: Subject, check: Check) -> None:
    outcome = checks.examine(check, replace(subject, num_envs=1) if check.name in LONG else subject)
    if outcome.status == "skip":
        pytest.skip(outcome.message)
    assert outcome.status == "pass", outcome.message
