"""Jobs: the pools, how long they run, and how much work they bring."""

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgpg.errors import ConfigError
from dgpg_cloud.config import Config, Workload
from dgpg_cloud.instance import build
from dgpg_cloud.workload import (
    GENERAL,
    MEMORY,
    MEMORY_SHARE,
    Pool,
    base_steps,
    fit_scale,
    offered_load,
    steps_on,
    synthetic_pool,
)

from .made import episode_loads


def pool_of(demand: list[list[int]], duration: list[float]) -> Pool:
    rows = len(duration)
    return Pool(np.array(demand), np.array(duration), ((),), np.zeros(rows, np.int64))


# --- how long jobs run -------------------------------------------------------------------------


def test_base_steps_by_hand() -> None:
    duration = np.array([0.01, 0.5, 1.0, 1.2, 3.0, 400.0])
    assert base_steps(duration, 1.0, 8).tolist() == [1, 1, 1, 2, 3, 8]
    assert base_steps(duration, 2.0, 64).tolist() == [1, 1, 2, 3, 6, 64]


def test_steps_on_a_machine_by_hand() -> None:
    # 3 base steps: as they are, at half and twice the speed, at 0.9 (3.33) and at 0.999 (3.003).
    assert steps_on(np.array([3]), np.array([1000, 500, 2000, 900, 999])).tolist() == [3, 6, 2, 4, 4]
    assert steps_on(np.array([1, 39, 64]), np.int64(1300)).tolist() == [1, 30, 50]


@given(base=st.integers(1, 10_000), permille=st.integers(1, 5000))
def test_steps_on_a_machine_are_rounded_up_exactly(base: int, permille: int) -> None:
    assert steps_on(np.array([base]), np.int64(permille)).tolist() == [ceil(Fraction(base * 1000, permille))]


# --- the load that is asked for ----------------------------------------------------------------


def test_offered_load_by_hand() -> None:
    # 2 vCPU for 2 steps and 4 vCPU for 3: 8 vCPU steps a job; memory 1 x 2 and 2 x 3: 4 GiB steps a job.
    pool, base = pool_of([[2, 1], [4, 2]], [1.0, 1.0]), np.array([2, 3])
    one_speed = offered_load(pool, base, np.array([[16, 64, 99]]), np.array([1000]), 0.5, 10)
    assert one_speed == pytest.approx(0.5 * 10 * 8 / 16)
    # A quarter of the vCPUs is at half the speed, so that jobs there take 4 and 6 steps: 16 vCPU steps.
    two_speeds = offered_load(pool, base, np.array([[12, 999, 99], [4, 999, 99]]), np.array([1000, 500]), 0.5, 10)
    assert two_speeds == pytest.approx(0.5 * 10 * (0.75 * 8 + 0.25 * 16) / 16)
    # Memory is the bottleneck where there is little of it.
    scarce = offered_load(pool, base, np.array([[16, 4, 99]]), np.array([1000]), 0.5, 10)
    assert scarce == pytest.approx(0.5 * 10 * 4 / 4)
    # So are run slots: jobs of 2.5 steps on average hold one each.
    slots = offered_load(pool, base, np.array([[16, 64, 4]]), np.array([1000]), 0.5, 10)
    assert slots == pytest.approx(0.5 * 10 * 2.5 / 4)


SETTINGS = [
    {},
    {"preset": "waiting"},
    {"workload": {"load": 0.3}},
    {"workload": {"load": 0.85}},
    {"workload": {"load": 0.4, "arrivals": 0.2}},
    {"workload": {"load": 0.7, "arrivals": 0.9, "swing": 0.1}},
    {"workload": {"load": 0.4, "longest": 8}},
    {"num_agents": 12, "num_machines": 20, "workload": {"load": 0.5}},
    {"num_agents": 300, "seed": 7},
    {"workload": {"load": 0.6}, "machines": {"run_slots": 3}},
]


@pytest.mark.parametrize("values", SETTINGS, ids=str)
def test_the_offered_load_is_what_was_asked_for(values: dict[str, object]) -> None:
    instance = build(Config.model_validate(values))
    assert instance.load == pytest.approx(instance.config.workload.load, rel=0.01)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"preset": "waiting", "seed": 3},
        {"num_agents": 20, "workload": {"load": 0.7, "arrivals": 0.8, "swing": 0.2, "longest": 32}},
    ],
    ids=str,
)
def test_the_arrivals_of_many_episodes_bring_the_load_that_was_asked_for(values: dict[str, object]) -> None:
    """Episodes are independent, so the standard error is known: four of them, and small enough to tell."""
    instance = build(Config.model_validate(values))
    loads = episode_loads(instance, 150)
    loads = loads[:, loads.mean(0).argmax()]
    error = loads.std() / len(loads) ** 0.5
    asked = instance.config.workload.load
    assert error < 0.02 * asked
    assert abs(loads.mean() - asked) < 4 * error


@pytest.mark.parametrize("load", [0.01, 0.99])
def test_a_load_out_of_reach_says_what_is_in_reach(load: float) -> None:
    config = Config.model_validate({"workload": {"load": load, "arrivals": 0.05 if load > 0.5 else 0.5, "longest": 16}})
    with pytest.raises(ConfigError) as caught:
        build(config)
    assert f"workload.load = {load}" in str(caught.value)
    assert "workload.arrivals" in str(caught.value)
    words = str(caught.value).replace(";", "").split()
    low, high = (float(words[words.index("from") + i]) for i in (1, 3))
    assert load < low or load > high


def test_the_scale_is_the_least_that_reaches_the_load() -> None:
    # One machine of 4 vCPU; half a job of 2 vCPU a step: 2 base steps give a load of 0.5, 3 give 0.75.
    pool, capacity, speed = pool_of([[2, 0]], [10.0]), np.array([[4, 4, 9]]), np.array([1000])
    scale = fit_scale(pool, Workload(load=0.5, arrivals=0.5), capacity, speed, 1)
    assert base_steps(pool.duration, scale, 64).tolist() == [2]
    scale = fit_scale(pool, Workload(load=0.6, arrivals=0.5), capacity, speed, 1)
    assert base_steps(pool.duration, scale, 64).tolist() == [3]


@pytest.mark.parametrize("preset", ["default", "waiting"])
def test_presets_leave_room_at_the_peak_and_give_jobs_of_a_few_steps(preset: str) -> None:
    instance = build(Config(preset=preset))
    work = instance.config.workload
    assert work.load * (1 + work.swing) <= 0.72 + 1e-9
    assert 2.75 < instance.base_steps.mean() < 4
    assert instance.base_steps.min() == 1 and instance.base_steps.max() == work.longest


# --- synthetic jobs ----------------------------------------------------------------------------


def test_synthetic_jobs_are_the_sizes_in_the_table_in_their_shares() -> None:
    pool = synthetic_pool(0)
    for sizes, weight in ((GENERAL, 1 - MEMORY_SHARE), (MEMORY, MEMORY_SHARE)):
        assert sum(share for _, _, share in sizes) == pytest.approx(1)
        for vcpu, memory, share in sizes:
            found = (pool.demand == [vcpu * 1000, memory * 1024]).all(1).mean()
            expected = weight * share
            # 16384 draws: five standard errors of a share.
            assert abs(found - expected) < 5 * (expected * (1 - expected) / len(pool.demand)) ** 0.5
    assert pool.submit is None and pool.gpu_models == ((),) and not pool.kind.any()


def test_synthetic_durations_have_the_stated_body_and_tail() -> None:
    pool = synthetic_pool(1)
    memory = np.isin(pool.demand[:, 1] / pool.demand[:, 0], [14 * 1024 / 2000])
    body, tail = np.log(pool.duration[~memory]), pool.duration[memory]
    # Lognormal(0, 1): 13926 draws on average; Pareto(1.8) from 1: maximum-likelihood estimate of its shape.
    assert abs(body.mean()) < 5 / len(body) ** 0.5 and abs(body.std() - 1) < 5 / (2 * len(body)) ** 0.5
    assert tail.min() >= 1 and 1 / np.log(tail).mean() == pytest.approx(1.8, rel=5 / len(tail) ** 0.5)


def test_the_seed_decides_the_synthetic_jobs() -> None:
    one, same, other = synthetic_pool(1), synthetic_pool(1), synthetic_pool(2)
    assert np.array_equal(one.demand, same.demand) and np.array_equal(one.duration, same.duration)
    assert not np.array_equal(one.duration, other.duration)
