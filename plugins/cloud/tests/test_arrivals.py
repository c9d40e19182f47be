"""The arrivals of an episode: synthetic ones and windows of a trace."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dgpg.errors import DataError
from dgpg_cloud.arrivals import Jobs, draw, tape
from dgpg_cloud.config import Config, Workload
from dgpg_cloud.data import load_jobs
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.workload import steps_on, trace_pool

from .made import episode_loads

some = settings(max_examples=settings().max_examples // 3)  # dozens of episodes an example


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
