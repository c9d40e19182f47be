"""What is drawn before an episode: the day's profile, noise, incidents, and as many draws whatever the settings."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgpg_traffic.demand import draw, drawn_capacity, drawn_noise, profile, tape

from .made import CPU, STATIC, built

SEEDS = st.integers(0, 2**32 - 1)


def test_the_profile_by_hand() -> None:
    # periods of eight hours, their middles at 4, 12 and 20 o'clock: two widths of peaks from 8 and 17 o'clock
    middle = [math.exp(-((4 / 2.5) ** 2)), math.exp(-((4 / 2.5) ** 2)), math.exp(-((3 / 3) ** 2))]
    np.testing.assert_allclose(profile("daily", 3), [0.6 + 0.6 * x for x in middle])
    assert profile("daily", 12)[8] == pytest.approx(1.2)  # from 16 to 18 o'clock
    assert profile("flat", 5).tolist() == [1] * 5


@given(st.integers(1, 100))
def test_the_profile_lies_between_night_and_peak(periods: int) -> None:
    usual = profile("daily", periods)
    assert usual.shape == (periods,) and (usual >= 0.6).all() and (usual <= 1.2 + 1e-12).all()


def test_noise_has_the_deviation_asked_for_and_pairs_of_an_origin_move_together() -> None:
    noise = drawn_noise(np.random.default_rng(0), 200_000, np.array([7, 3, 7]), 0.1, 0.0) - 1
    # parts of 1, 0.4 and 0.2: own, of the origin and of all; a correlation is off by about 0.002
    whole = 1 + 0.4**2 + 0.2**2
    np.testing.assert_allclose(noise.std(0), 0.1 * whole**0.5, rtol=0.01)
    correlation = np.corrcoef(noise.T)
    assert correlation[0, 2] == pytest.approx((0.4**2 + 0.2**2) / whole, abs=0.01)
    assert correlation[0, 1] == correlation[1, 0] == pytest.approx(0.2**2 / whole, abs=0.01)


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_noise_remembers(memory: float) -> None:
    noise = drawn_noise(np.random.default_rng(0), 100_000, np.array([0, 1]), 0.1, memory) - 1
    found = [np.corrcoef(noise[:-lag, 0], noise[lag:, 0])[0, 1] for lag in (1, 2)]
    assert found == pytest.approx([memory, memory**2], abs=0.03)


@given(SEEDS, st.integers(1, 30), st.lists(st.integers(0, 4), min_size=1, max_size=6), st.floats(0, 0.49))
def test_demand_is_never_negative(seed: int, steps: int, origin: list[int], deviation: float) -> None:
    noise = drawn_noise(np.random.default_rng(seed), steps, np.array(origin), deviation, 0.8)
    assert noise.shape == (steps, len(origin)) and (noise >= 0).all() and np.isfinite(noise).all()
    none = drawn_noise(np.random.default_rng(seed), steps, np.array(origin), 0.0, 0.8)
    assert (none == 1).all()


@given(SEEDS, st.integers(1, 20), st.integers(1, 4), st.floats(0, 1), st.integers(1, 25))
def test_incidents_are_those_of_a_loop(seed: int, steps: int, links: int, chance: float, periods: int) -> None:
    found = drawn_capacity(np.random.default_rng(seed), steps, links, chance, 0.6, periods)
    expected, begins = np.ones((steps, links)), np.random.default_rng(seed).random((steps, links)) < chance
    for t, link in np.argwhere(begins):
        expected[t : t + periods, link] = 0.6
    np.testing.assert_array_equal(found, expected)


def test_incidents_of_every_chance() -> None:
    rng = np.random.default_rng(0)
    assert (drawn_capacity(rng, 9, 4, 0.0, 0.5, 3) == 1).all() and (drawn_capacity(rng, 9, 4, 1.0, 0.5, 3) == 0.5).all()
    often = drawn_capacity(rng, 50_000, 2, 0.02, 0.5, 3) == 0.5
    assert often.mean() == pytest.approx(1 - 0.98**3, abs=0.005)  # no beginning in the last three periods


CHANGES: list[dict[str, Any]] = [
    STATIC,
    {"incidents": {"probability": 1.0, "capacity": 0.3, "periods": 9}, "agents_per_pair": 3, "routes": 1},
    {"demand": {"noise": 0.4, "memory": 0.0, "scale": 3.0}, "start": "shortest"},
]


@pytest.mark.parametrize("change", CHANGES)
def test_settings_do_not_change_how_much_is_drawn(change: dict[str, Any]) -> None:
    after = []
    for instance in (built(), built(**change)):
        rng = np.random.default_rng(3)
        draw(rng, instance)
        after.append(rng.bit_generator.state)
    assert after[0] == after[1]


def test_an_episode_is_a_day_that_begins_at_any_time() -> None:
    instance = built(horizon=5, demand={"noise": 0.0})
    days = [draw(np.random.default_rng(seed), instance) for seed in range(60)]
    assert {day["period"][0] for day in days} == set(range(5))
    for day in days:
        assert ((day["period"] - day["period"][0]) % 5).tolist() == [0, 1, 2, 3, 4, 0]
        np.testing.assert_allclose(day["demand"][:, 0], 6 * profile("daily", 5)[day["period"]])


@given(SEEDS)
def test_scale_and_agents_of_a_pair_change_nothing_else(seed: int) -> None:
    plain, twice, shared = (
        draw(np.random.default_rng(seed), built(**x)) for x in ({}, {"demand": {"scale": 2.0}}, {"agents_per_pair": 3})
    )
    np.testing.assert_allclose(twice["demand"], 2 * plain["demand"])
    np.testing.assert_allclose(shared["demand"], plain["demand"] / 3 * np.ones(3))
    for other in (twice, shared):
        np.testing.assert_array_equal(other["period"], plain["period"])


def test_incidents_cut_the_capacity_of_the_network() -> None:
    instance = built(network="grid", horizon=12, incidents={"probability": 0.1, "capacity": 0.7})
    share = draw(np.random.default_rng(0), instance)["capacity"] / instance.network.capacity
    assert set(share.round(6).flat) == {0.7, 1.0}


def test_a_tape_lays_episodes_side_by_side() -> None:
    instance = built(network="grid", horizon=2, incidents={"probability": 0.5})
    days = [draw(np.random.default_rng(seed), instance) for seed in range(4)]
    found = tape(days, CPU)
    assert found.demand.shape == (3, 4, 140) and found.capacity.shape == (3, 4, 76) and found.period.shape == (3, 4)
    for b, day in enumerate(days):
        np.testing.assert_allclose(found.demand[:, b], day["demand"], rtol=1e-6)
        np.testing.assert_allclose(found.capacity[:, b], day["capacity"], rtol=1e-6)
        assert found.period[:, b].tolist() == day["period"].tolist()
    assert [str(x.dtype) for x in (found.demand, found.capacity, found.period)] == ["torch.float32"] * 2 + [
        "torch.int64"
    ]
