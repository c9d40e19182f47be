"""The domain keeps the contract of `dgpg.domain.protocols`, on a grid of 30 drivers."""

import pytest

from dgpg import checks
from dgpg.checks import CHECKS, Check, Subject

LONG = {"edge_values"}
"""Play days at both ends of every setting's range."""


@pytest.fixture(scope="module")
def subject() -> Subject:
    return checks.subject("sumo")


@pytest.mark.parametrize(
    "check",
    [pytest.param(one, marks=pytest.mark.slow if one.name in LONG else ()) for one in CHECKS],
    ids=lambda check: check.name,
)
def test_check(subject: Subject, check: Check) -> None:
    outcome = checks.examine(check, subject)
    if outcome.status == "skip":
        pytest.skip(outcome.message)
    assert outcome.status == "pass", outcome.message
