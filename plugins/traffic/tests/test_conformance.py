"""The domain keeps the contract of `dgpg.domain.protocols`, with each of its models."""

from typing import Any, ClassVar

import pytest

from dgpg import checks
from dgpg.testing import DomainTests

OF_MODELS = [
    check
    for check in checks.CHECKS
    if check.function.__module__ in ("dgpg.checks.model", "dgpg.checks.reference", "dgpg.checks.registration")
]
"""Checks that look at the model; the others would look at the same environment once more."""


class OfAnotherModel(DomainTests):
    """Another model of an environment that another class here tests."""

    test_any_configuration_runs_or_is_refused: Any = None
    test_any_joint_action_gives_the_state_that_the_mapping_says: Any = None
    test_reset_step_save_and_restore_in_any_order: Any = None

    @pytest.mark.parametrize("check", OF_MODELS, ids=lambda check: check.name)
    def test_check(self, subject: checks.Subject, check: checks.Check) -> None:
        super().test_check(subject, check)


class TestTraffic(DomainTests):
    domain = "traffic"


class TestDistance(OfAnotherModel):
    domain = "traffic"
    model = "traffic.system-optimum"
    settings: ClassVar = {"queues": False}


class TestDistanceByCvxpylayers(OfAnotherModel):
    domain = "traffic"
    model = "traffic.system-optimum-cvx"
    settings: ClassVar = {"queues": False}


class TestStatic(DomainTests):
    domain = "traffic"
    settings: ClassVar = {"queues": False}


class TestSelfishPotential(DomainTests):
    domain = "traffic"
    model = "traffic.user-equilibrium"
    settings: ClassVar = {"agents_per_pair": 1, "start": "shortest"}
