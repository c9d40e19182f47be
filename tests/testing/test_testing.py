"""The kit for pytest and hypothesis on the toy, and what it catches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import Phase, find, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from dgpg.checks.subject import Subject, subject
from dgpg.errors import ConfigError
from dgpg.testing import DomainTests, configs, damaged, joint_actions, machine_of, settings_of, states, suite

from .. import broken, broken_simplex, toy, toy_box, toy_simplex

SUBJECT = subject(toy.Domain())
CONTINUOUS = subject(toy_box.Domain())
QUICK = hypothesis_settings(
    max_examples=60, stateful_step_count=10, deadline=None, database=None, phases=[Phase.generate]
)


class TestToy(DomainTests):
    domain = toy.Domain()


class TestToyWithAReference(DomainTests):
    domain = toy.Domain()
    settings = {"model": "split", "horizon": 2}  # noqa: RUF012


class TestContinuousToy(DomainTests):
    domain = toy_box.Domain()


class TestToyOfSplits(DomainTests):
    domain = toy_simplex.Domain()


def of(env: type) -> Subject:
    """A domain with another environment."""
    make = {"make_env": lambda self, c, envs, device, seed: env(envs, seed, c.horizon, c.still)}
    return subject(type("Broken", (toy.Domain,), make)())


class Aliases(toy.Env):
    """Saves the clock itself, and moves it in place."""

    def step(self, actions):
        self.t.add_(1)
        self.t = self.t - 1
        return super().step(actions)

    def state_dict(self):
        return {**super().state_dict(), "t": self.t}


Endless = broken.returning(
    lambda env, step: replace(
        step, truncated=torch.zeros_like(step.truncated), terminated=torch.zeros_like(step.truncated)
    )
)
"""Says of no episode that it ended."""


class Stuck(toy.Env):
    """Does not restore the clock."""

    def load_state_dict(self, state):
        clock = getattr(self, "t", state["t"])
        decision = super().load_state_dict({**state, "t": clock})
        return decision


@pytest.mark.parametrize(
    "env, words",
    [
        (broken.Forgets, "state_dict leaves something out"),
        (Stuck, "state_dict leaves something out"),
        (Aliases, "shares memory"),
        (Endless, "no end at the horizon"),
    ],
    ids=["streams left out", "clock not restored", "aliased clock", "beyond the horizon"],
)
def test_the_machine_catches_a_broken_environment(env, words):
    with pytest.raises(AssertionError, match=words):
        run_state_machine_as_test(machine_of(of(env)), settings=QUICK)


def test_the_suite_catches_an_action_that_the_mapping_is_wrong_about():
    wrong = type("Wrong", (toy.Domain,), {"agent_mapping": lambda self, config: broken.valued(2.0)()})()
    with pytest.raises(Exception, match=r"expected base_state \+ influences"):
        DomainTests().test_any_joint_action_gives_the_state_that_the_mapping_says(subject(wrong))


def test_the_suite_catches_a_split_that_the_mapping_is_wrong_about():
    half = broken_simplex.joint(lambda actions, context: toy_simplex.loads(actions / 2, context))
    wrong = type("Wrong", (toy_simplex.Domain,), {"agent_mapping": lambda self, config: half()})()
    with pytest.raises(Exception, match=r"as JointMapping\.state says"):
        DomainTests().test_any_joint_action_gives_the_state_that_the_mapping_says(subject(wrong))


def test_the_suite_catches_a_continuous_action_that_the_mapping_is_wrong_about():
    half = broken.joint(lambda actions, context: toy_box.delivered(actions / 2, context))
    wrong = type("Wrong", (toy_box.Domain,), {"agent_mapping": lambda self, config: half()})()
    with pytest.raises(Exception, match=r"as JointMapping\.state says"):
        DomainTests().test_any_joint_action_gives_the_state_that_the_mapping_says(subject(wrong))


def test_a_class_without_a_domain_says_what_is_missing():
    nameless = type("Nameless", (DomainTests,), {})
    with pytest.raises(ConfigError, match=r"Nameless: the class attribute 'domain' is missing.*domain = \"grid\""):
        suite._subject(nameless)


@given(config=configs(SUBJECT))
def test_drawn_configurations_are_valid_and_near(config):
    assert isinstance(config, toy.Config)
    assert 2 <= config.horizon <= 8 and 0 <= config.chances.ends <= 0.4


def test_every_kind_of_setting_varies():
    drawn = settings_of(SUBJECT)
    for wanted in ("still", "model", "chances", "horizon"):
        found = find(drawn, lambda values, wanted=wanted: values.get(wanted) not in (None, 4), settings=QUICK)
        assert wanted in found
    assert find(drawn, lambda values: True, settings=QUICK) == {"horizon": 4}


@given(data=st.data())
def test_drawn_joint_actions_are_allowed(data):
    situation = data.draw(st.sampled_from(SUBJECT.situations))
    actions, mask = data.draw(joint_actions(SUBJECT, situation.decision)), situation.decision.observation.mask
    taken = mask.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    assert torch.equal(taken, mask.any(-1))


@given(data=st.data())
def test_drawn_continuous_joint_actions_lie_within_the_bounds(data):
    situation = data.draw(st.sampled_from(CONTINUOUS.situations))
    actions = data.draw(joint_actions(CONTINUOUS, situation.decision))
    low, high = torch.tensor(toy_box.LOW), torch.tensor(toy_box.HIGH)
    assert actions.shape == (3, 3, 2) and ((actions >= low) & (actions <= high)).all()


@given(drawn=states(CONTINUOUS))
def test_drawn_states_of_continuous_actions_miss_what_is_not_delivered(drawn):
    state, decision = drawn
    load = state[:, :2, 0]
    torch.testing.assert_close(state[:, 2, 0], 4 - (load - 0.05 * load.square()).sum(-1))
    assert (load >= decision.context["prior"]).all()


@given(drawn=states(SUBJECT))
def test_drawn_states_keep_the_weight_of_who_acts(drawn):
    state, decision = drawn
    context = decision.context
    expected = context["prior"].sum(-1) + (context["weight"] * context["acting"]).sum(-1)
    torch.testing.assert_close(state.sum((-1, -2)), expected)


@given(content=damaged(b"abcdefgh", [b"XY"]))
def test_damage_is_one_piece_at_one_place(content):
    before, piece, after = content.partition(b"XY")
    assert piece and b"abcdefgh".startswith(before) and b"abcdefgh".endswith(after)
    assert not after or len(before) + len(after) in (8, 7, 3)


@pytest.mark.parametrize("wanted", ["abcXYdefgh", "abcXYefgh", "abcXY", "bcdefgh", "a"])
def test_damage_inserts_replaces_and_cuts_off(wanted):
    enough = hypothesis_settings(QUICK, max_examples=2000)  # of some 60 outcomes
    assert find(damaged("abcdefgh", ["", "XY"]), lambda text: text == wanted, settings=enough) == wanted


def test_a_subject_can_change_its_configuration():
    assert replace(SUBJECT, config=toy.Config(horizon=7)).make_env().horizon == 7
