"""Every check catches a plugin with one planted mistake and names its cause; the intact toy passes all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dgpg import checks

from .. import broken, toy, toy_box, toy_simplex

FUNCTIONS = {check.name: check for check in checks.CHECKS}
CASES = [(name, case) for name, cases in broken.BROKEN.items() for case in cases]


def test_every_check_has_a_broken_plugin():
    assert set(broken.BROKEN) == set(FUNCTIONS)


def test_every_check_is_public_and_described():
    for name, check in FUNCTIONS.items():
        assert getattr(checks, name) is check.function and name in checks.__all__
        assert check.description.endswith(".")


@pytest.mark.parametrize("name, case", CASES, ids=[f"{name}: {case.label}" for name, case in CASES])
def test_a_planted_mistake_is_caught_and_its_cause_named(name, case):
    subject = replace(checks.subject(case.domain, case.settings), name=case.name)
    with pytest.raises(checks.CheckFailed) as caught:
        FUNCTIONS[name].function(subject)
    message = str(caught.value)
    for part in ("expected", "got", "Likely cause:", "Fix:", *case.words):
        assert part in message, message


@pytest.mark.parametrize("model", ["cost", "split"])
@pytest.mark.parametrize("seed", range(3))
def test_the_intact_toy_passes_everything(model, seed):
    outcomes = checks.run(checks.subject(toy.Domain(), {"model": model}, seed=seed))
    assert [one.message for one in outcomes if one.status == "fail"] == []
    skipped = {one.name for one in outcomes if one.status == "skip"}
    references = {"conservation", *(name for name in FUNCTIONS if name.startswith("reference_"))}
    assert skipped == {
        "entry_point",
        "default_model",
        "named",
        "joint_state",
        "slope_is_effect",
        "measured_state",
        "parts",
        "late_features",
    } | (references if model == "cost" else set())


@pytest.mark.parametrize("domain", [toy_box.Domain(), toy_simplex.Domain()], ids=["box", "simplex"])
@pytest.mark.parametrize("seed", range(3))
def test_the_intact_continuous_toys_pass_everything(seed, domain):
    outcomes = checks.run(checks.subject(domain, seed=seed))
    assert [one.message for one in outcomes if one.status == "fail"] == []
    skipped = {one.name for one in outcomes if one.status == "skip"}
    choices = {"influence_format", "distinct_blocks", "state_is_sum", "influence_is_effect"}
    references = {"conservation", *(name for name in FUNCTIONS if name.startswith("reference_"))}
    blocks = {"block_features", "block_work", "measured_state"}
    blocks |= {"block_cost"} if isinstance(domain, toy_box.Domain) else set()
    optional = {"entry_point", "default_model", "named", "transferred_settings", "parts", "late_features"}
    assert skipped == optional | choices | references | blocks


def test_a_deterministic_domain_says_so_and_is_skipped():
    settings = {"still": True}
    with pytest.raises(checks.CheckFailed, match="deterministic = True"):
        checks.seeds(checks.subject(toy.Domain(), settings))
    declared = type("Declared", (toy.Domain,), {"deterministic": True})()
    with pytest.raises(checks.Skipped, match="nothing in it is random"):
        checks.seeds(checks.subject(declared, settings))


def test_an_exception_in_the_plugin_is_a_failure_that_names_file_and_line():
    class Raises(toy.Env):
        def step(self, actions):
            raise KeyError("demand")

    domain = type("Raising", (toy.Domain,), {"make_env": lambda self, c, envs, device, seed: Raises(envs, seed)})()
    outcome = checks.examine(FUNCTIONS["finite"], checks.subject(domain))
    assert outcome.status == "fail"
    assert "KeyError: 'demand'" in outcome.message and "test_broken.py:" in outcome.message


def test_a_return_value_of_no_use_is_a_failure_too():
    domain = type("Empty", (toy.Domain,), {"agent_mapping": lambda self, config: object()})()
    outcome = checks.examine(FUNCTIONS["influence_format"], checks.subject(domain))
    assert outcome.status == "fail" and "what the plugin returned could not be used" in outcome.message
