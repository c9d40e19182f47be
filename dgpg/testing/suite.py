"""A test class that a plugin's tests subclass."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from dgpg import checks
from dgpg.checks.episode import finite
from dgpg.checks.model import wide, wide_context
from dgpg.checks.subject import Subject, continuous
from dgpg.domain import Domain, SupportsReference
from dgpg.errors import ConfigError, DgpgError
from dgpg.testing.machine import machine_of
from dgpg.testing.strategies import configs, joint_actions, states

FEW = hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
"""Each example plays an episode."""
MANY = hypothesis_settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


@functools.cache
def _subject(cls: Any) -> Subject:
    if not hasattr(cls, "domain"):
        raise ConfigError(
            f"{cls.__name__}: the class attribute 'domain' is missing; set it to an entry point's name, "
            'for example domain = "grid", or to the domain object'
        )
    return checks.subject(cls.domain, cls.settings, cls.model)


class DomainTests:
    """Every check of `dgpg.checks.CHECKS`, then properties of drawn configurations, states and orders of calls.

        class TestGrid(DomainTests):
            domain = "grid"

    The domain's `small` instance is used; `settings` changes it.
    """

    domain: ClassVar[str | Domain]
    """Entry point's name, or the domain object."""
    settings: ClassVar[Mapping[str, Any]] = {}
    """Settings on top of the domain's `small`."""
    model: ClassVar[str | None] = None
    """Analytical model, the domain's own by default."""

    @pytest.fixture
    def subject(self) -> Subject:
        """What is tested; episodes that checks look at are played once for the class."""
        cls: Any = type(self)  # mypy takes the __hash__ of instances for that of the class
        return _subject(cls)

    @pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.name)
    def test_check(self, subject: Subject, check: checks.Check) -> None:
        """One check of `dgpg check`."""
        outcome = checks.examine(check, subject)
        if outcome.status == "skip":
            pytest.skip(outcome.message)
        assert outcome.status == "pass", outcome.message

    def test_any_configuration_runs_or_is_refused(self, subject: Subject) -> None:
        """Configurations near the default give finite episodes; a domain may refuse one by a DgpgError."""

        @FEW
        @given(config=configs(subject))
        def property_(config: Any) -> None:
            other = replace(subject, config=config)
            try:
                other.make_env()
            except DgpgError:
                return
            finite(other)

        property_()

    def test_any_joint_action_gives_the_state_that_the_mapping_says(self, subject: Subject) -> None:
        """`state_is_sum`, or `joint_state` if continuous, for drawn joint actions in each situation."""
        check = checks.joint_state if continuous(subject.env) else checks.state_is_sum

        @MANY
        @given(data=st.data())
        def property_(data: st.DataObject) -> None:
            situation = data.draw(st.sampled_from(subject.situations), label="situation")
            actions = data.draw(joint_actions(subject, situation.decision), label="actions")
            sample = checks.Sample(situation, actions, situation.step(actions))
            alone = replace(subject)
            vars(alone)["samples"] = [sample]
            check(alone)

        property_()

    def test_the_potential_is_never_below_zero_nor_below_the_reference(self, subject: Subject) -> None:
        """phi >= 0 and phi(x~) <= phi(x) for drawn joint actions."""
        model = wide(subject.model)

        @MANY
        @given(drawn=states(subject))
        def property_(drawn: Any) -> None:
            state, decision = drawn
            context = wide_context(decision.context)
            with torch.no_grad():
                phi = model.potential(state.double(), context)
                assert (phi >= 0).all() and phi.isfinite().all(), f"phi = {phi.tolist()}"
                if isinstance(model, SupportsReference):
                    least = model.potential(model.reference(context), context)
                    assert (least <= phi + 1e-4 * phi.abs() + 1e-9).all(), f"{least.tolist()} above {phi.tolist()}"

        property_()

    def test_reset_step_save_and_restore_in_any_order(self, subject: Subject) -> None:
        """See `dgpg.testing.machine.EnvironmentMachine`."""
        machine = machine_of(subject)
        run_state_machine_as_test(machine, settings=hypothesis_settings(MANY, stateful_step_count=12))
