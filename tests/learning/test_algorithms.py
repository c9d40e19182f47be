"""Algorithms are rows of one table."""

from dataclasses import replace

import pytest
from gymnasium import spaces

from dgpg.errors import ConfigError
from dgpg.learning import ALGORITHMS, TrainConfig
from dgpg.learning.algorithms import find, train_config

CHOICES = spaces.MultiDiscrete([3, 3])
NUMBERS = spaces.Box(0, 1, (2, 1))


def test_the_table() -> None:
    parts = {a.name: (a.critic, a.reward, a.guided) for a in ALGORITHMS.values()}
    assert parts == {
        "dg-pg": ("central", "shared", True),
        "mappo": ("central", "shared", False),
        "mappo-blocks": ("blocks", "shared", False),
        "ippo": ("local", "shared", False),
        "ippo-local": ("local", "local", False),
        "ippo-blocks": ("local", "blocks", False),
        "mirror-descent": ("central", "shared", True),
    }
    assert all(find(name).name == name for name in ALGORITHMS)


def test_an_unknown_algorithm_shows_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown algorithm 'mapo': did you mean 'mappo'"):
        find("mapo")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_tuned_settings_are_valid(name: str) -> None:
    tuned = train_config(find(name), {}, {}, CHOICES)
    for field, value in find(name).tuned.items():
        assert getattr(tuned, field) == value or hasattr(getattr(tuned, field), "model_dump")


def test_the_users_settings_go_on_top_of_the_tuned_ones() -> None:
    algorithm = replace(find("dg-pg"), tuned={"clip": 0.3, "alpha": {"start": 0.5, "end": 0.5}})
    config = train_config(algorithm, {}, {"alpha": {"end": 0.0}, "epochs": 7}, CHOICES)
    assert (config.clip, config.epochs, config.alpha.start, config.alpha.end) == (0.3, 7, 0.5, 0.0)
    assert config.gamma == TrainConfig().gamma


def test_errors_name_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"train\.estimator: unknown estimator 'exakt': did you mean 'exact'"):
        train_config(find("dg-pg"), {}, {"estimator": "exakt"}, CHOICES)
    with pytest.raises(ConfigError, match=r"unknown setting 'train\.clipp'"):
        train_config(find("dg-pg"), {}, {"clipp": 1}, CHOICES)


def test_the_default_estimator_is_the_first_of_its_kind() -> None:
    assert train_config(find("dg-pg"), {}, {}, CHOICES).estimator == "all_action"
    assert train_config(find("dg-pg"), {}, {}, NUMBERS).estimator == "pathwise"
    assert train_config(find("dg-pg"), {}, {"distribution": "beta"}, NUMBERS).estimator == "first_order"


def test_what_a_domain_was_tuned_to_replaces_the_algorithms_settings() -> None:
    algorithm = replace(find("dg-pg"), tuned={"clip": 0.3}, independent={"gamma": 0.5})
    domain = {"parameters": "independent", "lambda_": 0.5}
    config = train_config(algorithm, domain, {"lambda_": 0.7}, CHOICES)
    assert (config.clip, config.gamma, config.lambda_) == (TrainConfig().clip, TrainConfig().gamma, 0.7)
    assert config.parameters == "independent"


def test_a_policy_without_chance_is_for_guidance_alone() -> None:
    mean, one = {"distribution": "mean"}, {"alpha": {"start": 1.0, "end": 1.0}}
    assert train_config(find("dg-pg"), {}, mean | one, NUMBERS).distribution == "mean"
    for name, settings in (("dg-pg", mean), ("mappo", mean | one)):
        with pytest.raises(ConfigError, match=r"train\.distribution = mean: .* use algorithm dg-pg with"):
            train_config(find(name), {}, settings, NUMBERS)


def test_choices_have_no_distribution_to_set() -> None:
    with pytest.raises(ConfigError, match=r"train\.distribution = beta: agents of this domain choose"):
        train_config(find("dg-pg"), {}, {"distribution": "beta"}, CHOICES)


def test_a_scale_that_an_estimator_does_not_have_is_refused() -> None:
    settings = {"estimator": "first_order", "guidance_scale": "influence"}
    with pytest.raises(ConfigError, match="guidance_scale"):
        train_config(find("dg-pg"), {}, settings, CHOICES)
