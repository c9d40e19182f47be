"""Algorithms are rows of one table."""

from dataclasses import replace

import pytest

from dgpg.actions.categorical import ESTIMATORS
from dgpg.algorithms import ALGORITHMS, find, train_config
from dgpg.config import TrainConfig
from dgpg.errors import ConfigError


def test_the_table() -> None:
    parts = {a.name: (a.critic, a.reward, a.guided) for a in ALGORITHMS.values()}
    assert parts == {
        "dg-pg": ("central", "shared", True),
        "mappo": ("central", "shared", False),
        "ippo": ("local", "shared", False),
        "ippo-local": ("local", "local", False),
    }
    assert all(find(name).name == name for name in ALGORITHMS)


def test_an_unknown_algorithm_shows_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown algorithm 'mapo': did you mean 'mappo'"):
        find("mapo")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_tuned_settings_are_valid(name: str) -> None:
    tuned = train_config(find(name), {}, ESTIMATORS)
    for field, value in find(name).tuned.items():
        assert getattr(tuned, field) == value or hasattr(getattr(tuned, field), "model_dump")


def test_the_users_settings_go_on_top_of_the_tuned_ones() -> None:
    algorithm = replace(find("dg-pg"), tuned={"clip": 0.3, "alpha": {"start": 0.5, "end": 0.5}})
    config = train_config(algorithm, {"alpha": {"end": 0.0}, "epochs": 7}, ESTIMATORS)
    assert (config.clip, config.epochs, config.alpha.start, config.alpha.end) == (0.3, 7, 0.5, 0.0)
    assert config.gamma == TrainConfig().gamma


def test_errors_name_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"train\.estimator: unknown estimator 'exakt': did you mean 'exact'"):
        train_config(find("dg-pg"), {"estimator": "exakt"}, ESTIMATORS)
    with pytest.raises(ConfigError, match=r"unknown setting 'train\.clipp'"):
        train_config(find("dg-pg"), {"clipp": 1}, ESTIMATORS)


def test_the_default_estimator_is_the_first_of_its_kind() -> None:
    assert TrainConfig().estimator == ESTIMATORS[0]


def test_a_scale_that_an_estimator_does_not_have_is_refused() -> None:
    settings = {"estimator": "first_order", "guidance_scale": "influence"}
    with pytest.raises(ConfigError, match="guidance_scale"):
        train_config(find("dg-pg"), settings, ESTIMATORS)
