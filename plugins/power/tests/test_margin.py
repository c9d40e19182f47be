"""Limits that an AC power flow narrows: by hand, on a grid that binds, in an evaluation, and where it cannot judge."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dgpg.errors import ConfigError
from dgpg_power.baselines import baselines
from dgpg_power.config import Config
from dgpg_power.data import load_network
from dgpg_power.domain import domain
from dgpg_power.instance import build
from dgpg_power.margin import _beyond, judged
from dgpg_power.system import System, configured


def limited(rate: float) -> System:
    """case9 with one rate on all of its lines."""
    system, _ = configured(Config(network="case9"))
    lines = np.full(system.network.num_lines, rate)
    return replace(system, network=replace(system.network, flow_min=-lines, flow_max=lines))


def beyond(ends: list[complex], flow: float, system: System, tight: System) -> float:
    """Of the first line in one moment, all others idle."""
    count = system.network.num_lines
    flows, ac = np.zeros((1, count)), np.zeros((1, 2, count), complex)
    flows[0, 0], ac[0, :, 0] = flow, ends
    found = _beyond(np.full(count, 100.0), ac, flows, system, tight)
    assert not found[1:].any()
    return float(found[0])


def test_a_limit_lacks_what_reactive_power_and_losses_add_at_the_worse_end() -> None:
    system = limited(100.0)
    # At the second end sqrt(100^2 - 60^2) = 80 may pass, 83 do: 3 too many of the 78 that DC counts.
    assert beyond([79 + 10j, -83 + 60j], 78.0, system, system) == pytest.approx(100 - 75)
    assert beyond([-79 + 10j, 83 - 60j], -78.0, system, system) == pytest.approx(100 - 75)
    # 99.5 MW may pass, 69 do: what is left above the limit takes nothing off.
    assert beyond([69 + 10j, -69 + 10j], 70.0, system, system) == 0.0


def test_only_moments_that_load_a_line_and_keep_its_limit_say_something() -> None:
    system = limited(100.0)
    assert beyond([49 + 90j, -49 + 90j], 49.0, system, system) == 0.0
    tight = replace(system, network=system.network.narrowed(np.full(system.network.num_lines, 30.0)))
    assert beyond([71 + 60j, -71 + 60j], 71.0, system, tight) == 0.0
    assert beyond([70 + 60j, -70 + 60j], 70.0, system, tight) == pytest.approx(100 - 80)


def test_limits_move_to_the_middle_by_half_of_the_way_at_most() -> None:
    network = load_network("case9")
    low, high = network.flow_min.copy(), network.flow_max.copy()
    low[:3], high[:3] = (-40, -np.inf, -np.inf), (60, 50, np.inf)
    made = replace(network, flow_min=low, flow_max=high).narrowed(np.array([10.0, 10.0, 10.0, *[1e6] * 6]))
    assert made.flow_min[:3].tolist() == [-30, -np.inf, -np.inf] and made.flow_max[:3].tolist() == [50, 40, np.inf]
    np.testing.assert_allclose(made.flow_max[3:], high[3:] / 2)


CONGESTED = Config(network="case39", limit_scale=0.7, horizon=12)
"""At these limits eight lines bind at times."""


def over(config: Config) -> dict[str, float | str]:
    """What the judge says of the optimum on days that no margin was measured on."""
    rules = {rule.name: rule for rule in baselines(config) if rule.name == "dc-opf"}
    return dict(domain.judge(config, rules, 4, 99)[0])


def test_the_optimum_within_a_margin_keeps_rate_a_in_steps_that_were_not_sampled() -> None:
    name = "line over rate A by 1 %, share of steps"
    assert float(over(CONGESTED)[name]) > 0.2
    assert float(over(CONGESTED.model_copy(update={"margin": 0.0}))[name]) < 0.05


def test_a_margin_is_measured_and_a_share_comes_on_top() -> None:
    system, _ = configured(CONGESTED)
    found = judged(system, 0.02)
    reach = np.where(np.isfinite(system.network.reach), system.network.reach, 0.0)
    np.testing.assert_allclose(build(CONGESTED.model_copy(update={"margin": 0.02})).margin, found.taken)
    assert (found.taken >= 0.02 * reach).all() and (found.taken > 0.03 * reach).any()
    assert "2.0% off every limit" in found.notes[0]
    assert not build(CONGESTED).margin.any()


def test_an_evaluation_keeps_the_margin_of_its_training() -> None:
    trained = CONGESTED.model_copy(update={"margin": 0.0})
    busier = CONGESTED.model_copy(update={"margin": 0.0, "load": CONGESTED.load.model_copy(update={"low": 0.95})})
    kept = build(domain.transfer(trained, busier))
    np.testing.assert_array_equal(kept.margin, build(trained).margin)
    assert any("that of the training" in note for note in kept.notes)
    without = build(domain.transfer(trained, CONGESTED))
    np.testing.assert_array_equal(without.network.flow_max, build(CONGESTED).network.flow_max)


def test_a_grid_that_no_ac_power_flow_judges_has_no_margin(data_file: Any) -> None:
    with pytest.raises(ConfigError, match=r"generated grid has no reactive power .* margin out"):
        build(Config(network="synthetic-10", margin=0.0))
    with pytest.raises(ConfigError, match=r"recorded series .* margin out"):
        build(Config(network=str(data_file("rts_gmlc") / "RTS_GMLC.m"), margin=0.0))
