"""What a configuration is built into, and one clear message for each that cannot be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dgpg.domain import validate
from dgpg.errors import ConfigError, DataError
from dgpg_power.config import Config
from dgpg_power.domain import LOCAL, SAMPLED, TUNED, domain
from dgpg_power.factors import bridges, lodf
from dgpg_power.instance import build
from dgpg_power.programs.cause import most_over
from dgpg_power.system import NAMED, made_of

from .made import CPU, TWO_BUSES, built

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no series": ({"load": {"source": "series"}}, r"load\.source = series: no DAY_AHEAD_.* use load\.source=noise"),
    "nothing to commit": ({"commitment": "committed"}, "commitment = committed: .* recorded series only; use all-on"),
    "load order": ({"load": {"low": 0.9, "high": 0.8}}, r"load: low = 0\.9 must not exceed high = 0\.8"),
    "day order": ({"load": {"days": (9, 3)}}, r"load: days = \[9, 3\]: the first must not be after the last"),
    "one day": ({"load": {"days": [1]}}, r"load\.days.* expected \[first, last\], such as \[1, 14\], got \[1\]"),
    "three days": ({"load": {"days": [1, 2, 3]}}, r"load\.days.* expected \[first, last\]"),
    "no month": ({"load": {"months": []}}, r"months = \[\]: expected at least one"),
    "months of no series": (
        {"load": {"months": [1]}},
        r"load\.months and load\.days .* demand of case9 is drawn; leave",
    ),
    "unknown setting": ({"limit_scal": 2}, "unknown setting 'limit_scal': did you mean 'limit_scale'"),
    "capacity": (
        {"load": {"scale": 5.0}},
        r"load\.scale x load\.high asks for 1575 MW, .* at most 820 MW; lower load\.scale \(5\)",
    ),
    "limits": ({"limit_scale": 1e-3}, "case9: no sampled demand .* within the line limits: .* MW; raise limit_sc"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_configuration_that_cannot_be_is_refused(fault: str) -> None:
    values, message = REFUSED[fault]
    with pytest.raises(ConfigError, match=message):
        build(validate(Config, {"network": "case9"} | values, ""))


@pytest.mark.parametrize(("name", "near"), [("case93", "case9"), ("case24-tigt", "case24-tight")])
def test_an_unknown_network_shows_the_nearest(name: str, near: str) -> None:
    with pytest.raises(DataError, match=f"unknown network '{name}': did you mean '{near}'.* path of a MATPOWER file"):
        built(network=name)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(DataError, match=r"absent\.m"):
        built(network="absent.m")


def test_a_file_whose_demand_exceeds_its_units_loads_once_scaled(tmp_path: Path) -> None:
    path = tmp_path / "two.m"
    path.write_text(TWO_BUSES.replace("2 1 100 0", "2 1 500 0"))
    with pytest.raises(
        ConfigError, match=r"load\.scale x .* asks for 500 MW, the units of two .* 400 MW; lower load\.s"
    ):
        built(network=str(path))
    assert built(network=str(path), load={"scale": 0.2}).network.load.sum() == 100


def test_equal_configurations_are_built_once() -> None:
    assert built(horizon=7) is built(horizon=7)
    assert built(horizon=7) is not built(horizon=8)


def test_the_tight_grid_is_another_with_its_limits_scaled() -> None:
    name, share = NAMED["case24-tight"].name, NAMED["case24-tight"].limit
    tight, loose = built(network="case24-tight").network, built(network=name).network
    np.testing.assert_allclose(tight.flow_max, share * loose.flow_max)
    np.testing.assert_array_equal(tight.load, loose.load)


@pytest.mark.parametrize("name", ["case9", "case39"])
def test_outage_factors_are_those_of_each_line(name: str) -> None:
    instance = built(network=name)
    bridge = bridges(instance.network)
    for line in range(instance.network.num_lines):
        expected = np.zeros(instance.network.num_lines) if bridge[line] else lodf(instance.network, line)
        np.testing.assert_allclose(instance.outage_factors[:, line], expected, atol=1e-9)
    assert instance.trippable.tolist() == np.flatnonzero(~bridge).tolist()


def test_a_price_that_is_given_is_taken_and_one_that_is_not_is_measured() -> None:
    assert built(prices={"overload": 77.0}).tariff.overload == 77.0
    measured, notes = built(network="case24-tight").tariff.overload, built(network="case24-tight").notes
    assert measured > 20 and any(f"overload price {measured:g} $ per MWh, 2 times" in note for note in notes)


def test_notes_say_what_was_made() -> None:
    size, commitment = built().notes[:2]
    assert size == "case9: 3 units, 9 buses, 9 lines" and commitment.startswith("every unit is on")
    assert built(commitment="relaxed").notes[1].startswith("RELAXED")
    assert (built(commitment="relaxed").network.unit_min == 0).all()


def test_a_grid_whose_lines_never_bind_says_that_merit_order_is_enough() -> None:
    idle = "no line ever binds: merit order is optimal here; lower limit_scale for congestion"
    assert built(network="case9").notes[-1] == idle
    assert built(network="case9", limit_scale=0.5).notes[-1].startswith("1 line binds at times; 0.0% of sampled")


def test_ramps_are_shares_of_the_maximum() -> None:
    network = built(ramp=0.25).network
    np.testing.assert_allclose(network.ramp, 0.25 * network.unit_max)


def test_scales_are_positive_and_lines_to_watch_exist() -> None:
    instance = built(network="case24-tight")
    scales, lines = instance.scales, instance.network.num_lines
    for moments in (scales.load, scales.total, scales.loading, scales.base_loading):
        assert np.isfinite(moments).all() and (moments[1] > 0).all()
    for watched in (instance.own_lines, instance.broadcast[None]):
        assert ((watched >= 0) & (watched < lines)).all()
        assert all(len(set(row.tolist())) == len(row) for row in watched)


def test_the_domain_makes_parts_that_fit() -> None:
    config = Config(network="case9", horizon=6)
    env = domain.make_env(config, 2, CPU, 0)
    context = env.reset().context
    actions = torch.full((2, env.num_agents, 2), 0.5)
    state = domain.agent_mapping(config).state(actions, context)
    assert domain.analytical_model(config).potential(state, context).shape == (2,)
    assert domain.describe(config) == build(config).notes
    assert [rule.name for rule in domain.baselines(config)][-2:] == ["dc-opf", "bound"]
    assert domain.training("dg-pg") == TUNED
    descent = domain.training("mirror-descent")["train"]  # a rate for a handful of numbers, the rest as for dg-pg
    assert descent == TUNED["train"] | {"actor_lr": 0.03}
    assert (
        all(domain.training(name) == SAMPLED for name in ("mappo", "ippo")) and domain.training("ippo-local") == LOCAL
    )


MUST_RUN = TWO_BUSES.replace("1 0 0 0 0 1 100 1 200 0;", "1 0 0 0 0 1 100 1 200 80;")
"""The cheap unit must give 80 MW, and the line away from it carries 50."""


def test_the_cure_for_minimum_outputs_that_lines_cannot_carry_works(tmp_path: Path) -> None:
    path = tmp_path / "two.m"
    path.write_text(MUST_RUN)
    with pytest.raises(ConfigError, match=r"every unit stays above its minimum output: .*; let .*=relaxed, or"):
        built(network=str(path), load={"scale": 0.9})
    assert built(network=str(path), load={"scale": 0.9}, commitment="relaxed").tariff.overload > 0
    assert built(network=str(path), load={"scale": 0.9}, limit_scale=2).tariff.overload > 0


def test_the_cure_for_limits_alone_works(tmp_path: Path) -> None:
    path = tmp_path / "two.m"
    path.write_text(TWO_BUSES.replace("2 0 0 0 0 1 100 1 200 0", "2 0 0 0 0 1 100 1 10 0"))
    with pytest.raises(ConfigError, match=r"within the line limits: .*; raise limit_scale or lower load\.scale"):
        built(network=str(path))
    assert built(network=str(path), limit_scale=2).tariff.overload > 0
    assert built(network=str(path), load={"scale": 0.5}).tariff.overload > 0


def test_the_line_that_no_dispatch_relieves_is_named(tmp_path: Path) -> None:
    path = tmp_path / "two.m"
    path.write_text(TWO_BUSES.replace("2 0 0 0 0 1 100 1 200 0", "2 0 0 0 0 1 100 1 10 0"))
    with pytest.raises(
        ConfigError, match=r"where overloads are least, line 0 \(bus 1 to bus 2\) is over by [\d.]+ MW;"
    ):
        built(network=str(path), load={"low": 0.999, "high": 1.0, "noise": 0.0})
    network = built().network
    system = made_of(Config(), replace(network, flow_max=network.flow_max / 4, flow_min=network.flow_min / 4))
    line, over = most_over(system, network.load, network.unit_min, network.unit_max) or (-1, 0.0)
    assert line >= 0 and over > 1
    assert most_over(made_of(Config(), network), network.load, network.unit_min, network.unit_max) is None


def test_losses_that_no_grid_has_are_refused_and_not_left_to_grow(tmp_path: Path) -> None:
    path = tmp_path / "two.m"
    path.write_text(TWO_BUSES.replace("1 2 0 0.1", "1 2 0.05 0.1").replace("baseMVA = 100", "baseMVA = 1"))
    with pytest.raises(
        ConfigError, match=r"lines lose \d+% of the load at the optimum; r and baseMVA \(1\) do not fit"
    ):
        built(network=str(path))
    assert built(network=str(path), mismatch={"losses": False}).tariff.overload > 0


def test_one_bus_is_no_grid(tmp_path: Path) -> None:
    path = tmp_path / "one.m"
    path.write_text(TWO_BUSES.replace("[1 3 0", "[1 3 50").replace("2 1 100", "2 4 100"))
    with pytest.raises(
        DataError, match="no line in service and one bus alone, expected a grid: on one bus merit order"
    ):
        built(network=str(path))


def test_moments_below_the_minimum_outputs_are_told_from_congestion() -> None:
    note = built(load={"scale": 0.1}).notes[-1]
    assert note.startswith("no line ever binds") and "ask for less than the units give at least" in note
    share = float(note.split("; ")[-1].split("%")[0])
    network = built().network
    assert 0 < share < 100 and 0.1 * 0.85 * network.load.sum() < network.unit_min.sum() < 0.1 * network.load.sum()
    assert "ask for less" not in built(load={"scale": 0.1}, commitment="relaxed").notes[-1]
