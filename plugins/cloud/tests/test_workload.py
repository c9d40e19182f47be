"""Jobs: the pools, how long they run, how much work they bring, and the arrivals of an episode."""

from dataclasses import replace
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dgpg.errors import ConfigError, DataError
from dgpg_cloud.arrivals import Jobs, draw, tape
from dgpg_cloud.config import Config, Workload
from dgpg_cloud.data import load_jobs
from dgpg_cloud.instance import Instance, build
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
    trace_pool,
)

some = settings(max_examples=settings().max_examples // 3)  # dozens of episodes an example


def pool_of(demand: list[list[int]], duration: list[float]) -> Pool:
    rows = len(duration)
    return Pool(np.array(demand), np.array(duration), ((),), np.zeros(rows, np.int64), None)


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
    one_speed = offered_load(pool, base, np.array([[16, 64]]), np.array([1000]), 0.5, 10)
    assert one_speed == pytest.approx(0.5 * 10 * 8 / 16)
    # A quarter of the vCPUs is at half the speed, so that jobs there take 4 and 6 steps: 16 vCPU steps.
    two_speeds = offered_load(pool, base, np.array([[12, 999], [4, 999]]), np.array([1000, 500]), 0.5, 10)
    assert two_speeds == pytest.approx(0.5 * 10 * (0.75 * 8 + 0.25 * 16) / 16)
    # Memory is the bottleneck where there is little of it.
    scarce = offered_load(pool, base, np.array([[16, 4]]), np.array([1000]), 0.5, 10)
    assert scarce == pytest.approx(0.5 * 10 * 4 / 4)


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
]


@pytest.mark.parametrize("values", SETTINGS, ids=str)
def test_the_offered_load_is_what_was_asked_for(values: dict[str, object]) -> None:
    instance = build(Config.model_validate(values))
    assert instance.load == pytest.approx(instance.config.workload.load, rel=0.01)


def episode_loads(instance: Instance, episodes: int) -> np.ndarray:
    """Work that arrives in a step over capacity, by resource, `[episodes, R]`; spread as capacity is."""
    share = instance.capacity / instance.capacity.sum(0)
    last, result = instance.config.horizon, []
    for seed in range(episodes):
        jobs = draw(np.random.default_rng(seed), instance)
        new = jobs.arrival >= 0
        steps = -(-jobs.base_steps[new, None] * 1000 // instance.speed_permille)
        work = instance.pool.demand[jobs.row[new]] * (steps @ share)
        result.append(work.sum(0) / (last + 1) / instance.capacity.sum(0))
    return np.array(result)


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
    pool, capacity, speed = pool_of([[2, 0]], [10.0]), np.array([[4, 4]]), np.array([1000])
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
    assert pool.gap is None and pool.gpu_models == ((),) and not pool.kind.any()


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


# --- arrivals ----------------------------------------------------------------------------------


def test_synthetic_arrivals_follow_the_cycle() -> None:
    """At most one a dispatcher and step before some are handed on; the mean rate; its swing over a period."""
    config = Config(num_agents=40, horizon=128, workload={"arrivals": 0.5, "swing": 0.6, "period": 128, "load": 0.3})
    instance = build(config)
    counts = []
    for seed in range(100):
        jobs = draw(np.random.default_rng(seed), instance)
        counts.append(np.bincount(jobs.arrival[(jobs.arrival >= 0) & (jobs.arrival < 128)], minlength=128) / 40)
    rates = np.array(counts)
    # One period exactly: a mean of 512,000 coin flips.
    assert rates.mean() == pytest.approx(0.5, abs=5 * 0.5 / 512_000**0.5)
    # First Fourier coefficient of each episode: rate x swing x period / 2, whatever the phase.
    swing = np.abs(np.fft.rfft(rates, axis=1)[:, 1]) / 64 / 0.5
    assert swing.mean() == pytest.approx(0.6, rel=0.03)
    phase = np.exp(1j * np.angle(np.fft.rfft(rates, axis=1)[:, 1]))
    assert abs(phase.mean()) < 4 / 10  # 100 uniform phases: 4 standard errors


@some
@given(seed=st.integers(0, 2**48))
def test_what_one_episode_draws(seed: int) -> None:
    config = Config(num_agents=10, horizon=20, workload={"longest": 12, "load": 0.4})
    instance = build(config)
    jobs = draw(np.random.default_rng(seed), instance)
    order = np.lexsort((jobs.arrival, jobs.dispatcher))
    assert np.array_equal(order, np.arange(len(order)))
    assert jobs.arrival.min() >= -12 and jobs.arrival.max() <= 20
    full = instance.base_steps[jobs.row]
    older = jobs.arrival < 0
    assert np.array_equal(jobs.base_steps[~older], full[~older])
    # An older job has run since it came at the speed of one of its dispatcher's candidates, and is still not done.
    permille = instance.speed_permille[instance.graph[jobs.dispatcher]]
    left = steps_on(full[:, None], permille) + jobs.arrival[:, None]
    possible = np.where(left > 0, np.maximum(left * permille // 1000, 1), 0)
    assert (possible == jobs.base_steps[:, None]).any(1)[older].all()
    assert (jobs.base_steps > 0).all()
    assert (np.sort(jobs.rank, axis=1) == np.arange(10)).all() and jobs.rank.shape == (20, 10)
    again = draw(np.random.default_rng(seed), instance)
    assert all(np.array_equal(getattr(jobs, name), getattr(again, name)) for name in vars(jobs))


def test_every_order_within_a_step_is_as_likely() -> None:
    instance = build(Config(num_agents=3, num_machines=4, horizon=600, workload={"longest": 8}))
    rank = np.concatenate([draw(np.random.default_rng(seed), instance).rank for seed in range(4)])
    _, counts = np.unique(rank, axis=0, return_counts=True)
    # 2400 orders of 6: chi-square with 5 degrees of freedom, 20.5 at the 0.1 % level.
    assert len(counts) == 6 and ((counts - 400) ** 2 / 400).sum() < 20.5


def test_a_tape_by_hand() -> None:
    config = Config(num_agents=3, num_machines=4, horizon=2, workload={"longest": 8})
    instance = build(config)
    rank = np.array([[0, 1, 2], [2, 1, 0]])
    first = Jobs(
        dispatcher=np.array([0, 0, 0, 2]), row=np.array([5, 6, 7, 8]), arrival=np.array([-3, -1, 1, 2]),
        base_steps=np.array([9, 2, 3, 4]), rank=rank,
    )  # fmt: skip
    second = Jobs(
        dispatcher=np.array([1]),
        row=np.array([4]),
        arrival=np.array([0]),
        base_steps=np.array([6]),
        rank=rank[::-1],
    )
    made = tape([first, second], instance, torch.device("cpu"))
    assert made.length == 3
    assert made.older.tolist() == [[2, 0, 0], [0, 0, 0]]
    assert made.arrived.tolist() == [[[2, 0, 0], [0, 1, 0]], [[3, 0, 0], [0, 1, 0]], [[3, 0, 1], [0, 1, 0]]]
    assert made.rank.tolist() == [[[0, 1, 2], [2, 1, 0]], [[2, 1, 0], [0, 1, 2]]]
    base, demand = made.base_steps.view(2, 3, 3), made.demand.view(2, 3, 3, 3)
    assert base[0, 0].tolist() == [9, 2, 3] and base[0, 2, 0] == 4 and base[1, 1, 0] == 6
    for place, row in (((0, 0, 0), 5), ((0, 0, 1), 6), ((0, 0, 2), 7), ((0, 2, 0), 8), ((1, 1, 0), 4)):
        assert demand[place].tolist() == [*instance.pool.demand[row], 1]


# --- traces ------------------------------------------------------------------------------------


def swf(path: Path, submit: list[float], duration: list[float], processors: list[int] | None = None) -> Path:
    processors = processors or [1] * len(submit)
    rows = zip(submit, duration, processors, strict=True)
    path.write_text(
        "".join(f"{i} {s} 0 {d} {p} -1 -1 {p} -1 -1 1 1 1 -1 -1 -1 -1 -1\n" for i, (s, d, p) in enumerate(rows))
    )
    return path


def test_the_used_part_of_a_trace(tmp_path: Path) -> None:
    jobs = load_jobs(
        swf(tmp_path / "a.swf", [0, 10, 30, 60, 100, 150, 210, 280, 360, 450], [7] * 10, list(range(1, 11)))
    )
    pool = trace_pool(jobs, Workload(start=0.2, end=0.7))
    assert pool.demand[:, 0].tolist() == [3000, 4000, 5000, 6000, 7000]
    assert pool.gap is not None
    # The first has none before it; the longest, 60, is cut to the 0.99 quantile of the five.
    assert pool.gap[:4].tolist() == [0, 30, 40, 50] and pool.gap[4] == pytest.approx(50 + 0.96 * 10)
    with pytest.raises(DataError, match=r"a\.swf: 1 jobs between workload\.start and workload\.end"):
        trace_pool(jobs, Workload(start=0.85, end=0.95))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    """A trace of 500 jobs at uneven times, a long hole in the middle."""
    rng = np.random.default_rng(0)
    submit = rng.exponential(10, 500).cumsum().round()
    submit[250:] += 1_000_000
    duration = (rng.lognormal(4, 1, 500) + 1).round()
    path = swf(
        tmp_path_factory.mktemp("trace") / "jobs.swf",
        submit.tolist(),
        duration.tolist(),
        rng.integers(1, 5, 500).tolist(),
    )
    return build(Config(num_agents=10, horizon=30, workload={"trace": path, "longest": 32}))


@some
@given(seed=st.integers(0, 2**48))
def test_a_window_of_a_trace_keeps_its_order_and_its_hole_does_not_swallow_the_episode(
    recorded: Instance, seed: int
) -> None:
    jobs = draw(np.random.default_rng(seed), recorded)
    new = jobs.arrival >= 0
    order = np.argsort(jobs.arrival[new], kind="stable")
    rows, when = jobs.row[new][order], jobs.arrival[new][order]
    # Consecutive rows, round the end of the trace; in their order up to that of the same step.
    first = np.flatnonzero(~np.isin((rows - 1) % 500, rows))
    assert len(first) == 1 and len(set(rows)) == len(rows)
    place = (rows - rows[first[0]]) % 500
    assert sorted(place) == list(range(len(rows)))
    assert all(place[when < t].max(initial=-1) < place[when >= t].min(initial=999) for t in range(1, 31))
    # 5 jobs a step on average; a hole of a million seconds would put nearly all into two steps.
    assert 0.5 * 5 * 31 < len(rows) < 1.6 * 5 * 31
    assert np.bincount(when).max() < 40


def test_windows_of_a_trace_bring_the_load_that_was_asked_for(recorded: Instance) -> None:
    assert recorded.load == pytest.approx(recorded.config.workload.load, rel=0.01)
    loads = episode_loads(recorded, 300)
    loads = loads[:, loads.mean(0).argmax()]
    # Windows overlap (a third of the trace each), so they count as far fewer than 300: some 5 % of deviation.
    assert loads.mean() == pytest.approx(recorded.config.workload.load, rel=0.05)


def test_jobs_that_all_came_at_once_are_spread_evenly(recorded: Instance) -> None:
    at_once = replace(recorded, pool=replace(recorded.pool, gap=np.zeros(500)))
    jobs = draw(np.random.default_rng(0), at_once)
    assert np.bincount(jobs.arrival[jobs.arrival >= 0]).tolist() == [5] * 31
