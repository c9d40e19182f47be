"""A policy in other settings than its run's: what its features and outputs mean stays that of the run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dgpg.domain import SupportsTransfer, validate
from dgpg.errors import ConfigError
from dgpg.measuring import evaluate
from dgpg.runs import launch, open_trained, training
from dgpg.runs.trained import evaluated_in
from dgpg_power.config import Config
from dgpg_power.domain import domain
from dgpg_power.instance import Instance, build
from dgpg_power.observation import BOUND

from .made import CPU, TWO_BUSES

TIGHT = Config(network="case24-tight", horizon=6)
TOTAL = 8
"""Where a unit's features have the total forecast."""
LIGHT: Mapping[str, Any] = {"load": {"low": 0.6, "high": 0.7}}
"""Demand of other days, so to say: other scales, lines that never bind, and so the least price."""


def evaluated(overrides: Mapping[str, Any], trained: Config = TIGHT) -> Config:
    """Settings of an evaluation under some changed ones."""
    config = evaluated_in(domain, trained, overrides)
    assert isinstance(config, Config)
    return config


def measured(overrides: Mapping[str, Any]) -> Instance:
    """What those settings would say of themselves."""
    return build(validate(Config, TIGHT.model_dump() | overrides, ""))


def meaning(instance: Instance) -> dict[str, Any]:
    """Everything of an instance that features are made with, and the price."""
    scales = {name: getattr(instance.scales, name).tolist() for name in ("load", "total", "loading", "base_loading")}
    lines = {"own": instance.own_lines.tolist(), "broadcast": instance.broadcast.tolist()}
    return scales | lines | {"price": instance.tariff.overload}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run on the tight grid, relaxed, before its first iteration."""
    settings = {"network": "case24-tight", "horizon": 6, "commitment": "relaxed"}
    plan = launch.resolve("power", {"num_envs": 2, "device": "cpu", "settings": settings})
    training.start(plan, tmp_path / "r")
    return tmp_path / "r"


def test_an_evaluation_on_other_demand_keeps_scales_lines_and_price_of_the_run(run: Path) -> None:
    own, other = (build(open_trained(run, x).config) for x in ({}, LIGHT))
    assert meaning(other) == meaning(own)
    alone = meaning(measured(LIGHT | {"commitment": "relaxed"}))
    assert [name for name, value in meaning(own).items() if alone[name] == value] == []
    assert other.config.load.high == 0.7 and own.config.load.high == 1.0


def test_demand_is_seen_in_deviations_of_the_run(run: Path) -> None:
    config, scales = open_trained(run, LIGHT).config, build(open_trained(run, {}).config).scales
    env = domain.make_env(config, 2, CPU, 0)
    seen = env.reset().observation.agent[:, 0, TOTAL]
    expected = (env.tape.forecast[0].sum(-1).double() - float(scales.total[0, 0])) / float(scales.total[1, 0])
    torch.testing.assert_close(seen.double(), expected.clamp(-BOUND, BOUND), rtol=1e-4, atol=1e-4)
    assert (seen < -2).all()  # among its own days it would lie around 0


def test_set_points_stay_megawatts_within_the_bounds_of_training(run: Path) -> None:
    """The run took minimum outputs as 0; where they are not, the grid clips."""
    own, other = (open_trained(run, x) for x in ({}, {"commitment": "all-on"}))
    first: Any = own.team.kind
    second: Any = other.team.kind
    assert torch.equal(first.low, second.low) and (second.low[:, 0] == 0).all()
    assert (build(other.config).network.unit_min > 0).any()
    found = evaluate.play(domain, other.config, evaluate.policies(other)["dg-pg"], 1, 0, CPU)
    assert np.isfinite(found.cost).all() and found.measures["imbalance_mw"] < 1.0


def test_a_price_that_is_given_counts(run: Path) -> None:
    assert build(evaluated({"prices": {"overload": 77.0}})).tariff.overload == 77.0
    given = TIGHT.model_copy(update={"prices": TIGHT.prices.model_copy(update={"overload": 33.0})})
    assert build(evaluated(LIGHT, given)).tariff.overload == 33.0


@pytest.mark.parametrize("same", [{"limit_scale": 0.9}, {"network": "case24_ieee_rts"}, {"seed": 3}, LIGHT])
def test_settings_of_the_same_grid_keep_what_the_run_saw(same: Mapping[str, Any]) -> None:
    assert evaluated(same).trained == TIGHT
    assert meaning(build(evaluated(same))) == meaning(build(TIGHT))


def test_another_grid_has_a_meaning_of_its_own() -> None:
    assert evaluated({"network": "case9"}) == Config(network="case9", horizon=6)
    assert evaluated({"network": "case9"}, evaluated(LIGHT)).trained is None


def test_nothing_changes_without_a_change() -> None:
    assert isinstance(domain, SupportsTransfer)
    assert evaluated({}) == TIGHT == evaluated({"horizon": 6})
    assert meaning(build(domain.transfer(TIGHT, TIGHT))) == meaning(build(TIGHT))


def test_what_was_transferred_keeps_the_first_settings() -> None:
    twice = evaluated({"seed": 5}, evaluated(LIGHT))
    assert twice.trained == TIGHT and twice.seed == 5 and twice.load.high == 0.7


def test_a_user_who_names_other_settings_is_heard() -> None:
    other = TIGHT.model_dump(mode="json") | {"seed": 4}
    assert evaluated({"trained": other}).trained == validate(Config, other, "")


def test_settings_of_an_evaluation_survive_storing_and_are_built_once() -> None:
    config = evaluated(LIGHT)
    again = validate(Config, config.model_dump(mode="json"), "")
    assert again == config and hash(again) == hash(config) and build(again) is build(config)


def test_notes_say_whose_scales_they_are() -> None:
    price = build(TIGHT).tariff.overload
    note = f"overload price {price:g} $ per MWh; feature scales and lines to watch are those of the training's settings"
    assert build(evaluated(LIGHT)).notes[-1] == note


def test_training_on_another_grid_is_refused(tmp_path: Path) -> None:
    two = tmp_path / "two.m"
    two.write_text(TWO_BUSES)
    with pytest.raises(
        ConfigError, match=r"trained: two has 2 units, 2 buses and 1 lines, case9 has 3 units, .* name the same network"
    ):
        build(Config(network="case9", trained=Config(network=str(two))))


def test_training_has_no_training_of_its_own() -> None:
    inner = TIGHT.model_copy(update={"trained": TIGHT}).model_dump(mode="json")
    with pytest.raises(ConfigError, match=r"^trained\.trained: .* leave it out"):
        validate(Config, {"trained": inner}, "")


@pytest.mark.slow
def test_other_days_of_a_series_keep_what_the_run_saw(data_file: Callable[[str], Path]) -> None:
    case = str(data_file("rts_gmlc/RTS_GMLC.m"))
    own = validate(Config, {"network": case, "load": {"months": (1,), "days": (1, 3)}}, "")
    config = evaluated({"load": {"months": [7], "days": [4, 6]}}, own)
    instance = build(config)
    assert meaning(instance) == meaning(build(own))
    assert meaning(instance) != meaning(build(config.model_copy(update={"trained": None})))
    assert instance.series is not None and len(instance.series.load) == 72
    assert evaluated({"load": {"source": "noise"}}, own).trained is None  # without the series, other units
