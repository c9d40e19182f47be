"""What is drawn before an episode: bounds, outages, and as many draws whatever the settings."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgpg_power.config import Load
from dgpg_power.data import load_network
from dgpg_power.factors import bridges
from dgpg_power.load import draw, drawn_load, drawn_outages, tape
from dgpg_power.system import noise_factor

from .made import CPU, EXACT, built


@pytest.mark.parametrize("name", ["case9", "case39"])
def test_the_noise_has_unit_variances_and_neighbours_are_alike(name: str) -> None:
    network = load_network(name)
    factor = noise_factor(network, 3.0)
    correlation = factor @ factor.T
    np.testing.assert_allclose(np.diag(correlation), 1.0, atol=1e-9)
    assert (correlation > -1e-9).all() and (factor == np.tril(factor)).all()
    near = correlation[network.line_from, network.line_to].mean()
    assert near > correlation[~np.eye(len(correlation), dtype=bool)].mean() + 0.1


def test_without_reach_each_bus_moves_for_itself() -> None:
    np.testing.assert_allclose(noise_factor(load_network("case9"), 0.0), np.eye(9), atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 1), st.floats(0, 0.5), st.floats(0, 0.49))
def test_loads_stay_within_their_bounds(seed: int, low: float, span: float, noise: float) -> None:
    network = load_network("case9")
    factor = noise_factor(network, 3.0)
    config = Load(low=low, high=low + span, noise=0.0)
    quiet = drawn_load(np.random.default_rng(seed), 24, network.load, factor, config)
    served = network.load > 0
    common = quiet[:, served] / network.load[served]
    assert (common >= low - 1e-12).all() and (common <= low + span + 1e-12).all()
    np.testing.assert_allclose(common, common[:, :1] * np.ones(served.sum()))
    loud = drawn_load(np.random.default_rng(seed), 24, network.load, factor, config.model_copy(update={"noise": noise}))
    assert (loud >= 0).all() and (loud[:, ~served] == 0).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0, 1), st.integers(1, 6))
def test_one_line_at_a_time_is_out_for_the_length_asked_for(seed: int, steps: int, chance: float, length: int) -> None:
    lines = np.array([2, 5, 7])
    out = drawn_outages(np.random.default_rng(seed), steps, lines, chance, length)
    assert out.shape == (steps,) and set(out.tolist()) <= {-1, 2, 5, 7}
    edges = np.flatnonzero(np.diff(out, prepend=-2, append=-2))
    for begin, end in pairwise(edges):
        assert out[begin] == -1 or end - begin == length or end == steps


def test_chances_of_none_and_all() -> None:
    draws, lines = np.random.default_rng(0), np.array([4])
    assert (drawn_outages(draws, 9, lines, 0.0, 2) == -1).all()
    assert drawn_outages(draws, 7, lines, 1.0, 2).tolist() == [4, 4, -1, 4, 4, -1, 4]
    assert (drawn_outages(draws, 9, lines[:0], 1.0, 2) == -1).all()


def test_a_bridge_never_trips() -> None:
    instance = built(network="case39", mismatch={"outages": 1.0, "outage_steps": 1}, horizon=40)
    bridge = bridges(instance.network)
    assert bridge.any()
    drawn = np.concatenate([draw(np.random.default_rng(e), instance)["outage"] for e in range(30)])
    happened = drawn[drawn >= 0]
    assert len(happened) > 500 and not bridge[happened].any()


CHANGES: list[dict[str, Any]] = [
    {"mismatch": EXACT},
    {"mismatch": {"outages": 1.0, "forecast_error": 0.2, "outage_steps": 2}},
    {"load": {"noise": 0.0, "memory": 0.0, "low": 0.5}},
    {"observation": "P", "action": "set-point", "ramp": 0.1, "limit_scale": 2.0},
]


@pytest.mark.parametrize("change", CHANGES)
def test_settings_do_not_change_how_much_is_drawn(change: dict[str, Any]) -> None:
    after = []
    for instance in (built(), built(**change)):
        rng = np.random.default_rng(3)
        draw(rng, instance)
        after.append(rng.bit_generator.state)
    assert after[0] == after[1]


def test_load_is_the_forecast_where_there_is_no_error() -> None:
    episode = draw(np.random.default_rng(0), built(mismatch={"forecast_error": 0.0}))
    np.testing.assert_array_equal(episode["load"], episode["forecast"])


def test_the_error_of_a_bus_has_a_common_and_an_own_part() -> None:
    instance = built(mismatch={"forecast_error": 0.1}, horizon=2000)
    episode, served = draw(np.random.default_rng(0), instance), instance.network.load > 0
    error = (episode["load"] / np.where(episode["forecast"] > 0, episode["forecast"], 1) - 1)[:, served]
    np.testing.assert_allclose(error.std(0), 0.1 * 2**0.5, rtol=0.1)
    assert np.corrcoef(error.T)[0, 1] == pytest.approx(0.5, abs=0.08)


def test_a_tape_lays_episodes_side_by_side() -> None:
    instance = built()
    episodes = [draw(np.random.default_rng(e), instance) for e in range(3)]
    found, steps = tape(episodes, CPU), instance.config.horizon + 1
    assert found.load.shape == (steps, 3, 9) and found.most.shape == (steps, 3, 3)
    assert found.outage.shape == (steps, 3) and str(found.outage.dtype) == "torch.int64"
    np.testing.assert_allclose(found.load[:, 2], episodes[2]["load"], rtol=1e-6)
    np.testing.assert_allclose(found.clock.square().sum(-1), 1.0, rtol=1e-5)
