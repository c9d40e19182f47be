"""The step and the pace of a trace's replay, and what is refused of them."""

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgpg.errors import ConfigError, DataError
from dgpg_cloud.clock import buffered, coarsest_step
from dgpg_cloud.instance import build
from dgpg_cloud.replay import Fleet, steps_to_leave, whole_steps, work

from .traced import BURSTS, config_of, one_speed, pool_of, trace


def test_run_times_in_whole_steps_by_hand() -> None:
    duration = np.array([1.0, 60.0, 60.1, 3600.0, 86400.0 * 100])
    assert whole_steps(duration, 60.0).tolist() == [1, 1, 2, 60, 144_000]
    assert whole_steps(np.array([0.3, 0.1 * 3, 4.35]), 0.1).tolist() == [3, 3, 44]  # 0.1 * 3 > 0.3 in floating point


def test_a_job_leaves_in_the_step_in_which_it_would_by_hand() -> None:
    # From 0.5 for 1 step it leaves at 1.5, in step 1; from 0.5 for 1.5, at 2.0, in step 2; from 3.0 for 2, in step 5.
    scaled, duration = np.array([0.5, 0.5, 3.0, 7.9, -1.5]), np.array([1.0, 1.5, 2.0, 0.05, 1.6])
    # A job that comes and goes within a step takes it; one of before the used part that leaves at 0.1 ends in step 0.
    assert steps_to_leave(scaled, duration).tolist() == [1, 2, 2, 1, 2]
    assert steps_to_leave(np.array([0.0]), np.array([0.1 * 3]) / 0.1).tolist() == [3]  # 3.0000000000000004 or not


@given(
    rows=st.lists(st.tuples(st.integers(-400, 400), st.integers(1, 300)), min_size=1, max_size=30),
    step=st.integers(1, 25),
)
def test_who_holds_a_place_when_dispatchers_decide(rows: list[tuple[int, int]], step: int) -> None:
    """Those who came before the step and go on at its end; who ends within it has made room."""
    submit, duration = (np.array(x, float) for x in zip(*rows, strict=True))
    came = np.floor(submit / step)
    leaves = came + steps_to_leave(submit / step, duration / step)
    for t in range(-20, 30):
        goes_on = (came < t) & (submit + duration >= (t + 1) * step)
        assert np.array_equal((came < t) & (t < leaves), goes_on)


@given(duration=st.floats(0.01, 40))
def test_a_run_time_is_kept_on_average(duration: float) -> None:
    """Over all moments of a step at which a job may come: what it runs, or the one step that it runs at least."""
    phase = (np.arange(4000) + 0.5) / 4000
    mean = steps_to_leave(phase, np.full(4000, duration)).mean()
    assert mean == pytest.approx(max(duration, 1.0), abs=1e-3)


def test_work_in_whole_steps_by_hand() -> None:
    # 2 vCPU for 90 s and 1 vCPU for 240 s: 420 vCPU seconds; in steps of 60 s 2 x 120 + 240 = 480.
    pool, two = pool_of([0, 5], [90, 240], [2, 1]), np.array([2, 4])
    assert work(pool, one_speed(), two, 60.0)[0] == pytest.approx(480 / 420)
    # At half the speed 180 and 480 s; two base steps of 60 s are four there, and four are eight: 960 of 840.
    half = Fleet(np.array([500]), np.array([[1e5, 1e9, 1000]]))
    assert work(pool, half, two, 60.0)[0] == pytest.approx(960 / 840)
    # Jobs of before the used part bring no work to it.
    assert work(pool_of([0, 5], [90, 240], first=1), one_speed(), two, 60.0)[0] == 1


@given(
    duration=st.lists(st.floats(1, 1e6), min_size=1, max_size=30),
    speed=st.sampled_from([[1000], [1000, 770], [500, 1300, 1104]]),
)
def test_with_the_step_rounding_up_would_add_less_than_a_twentieth(duration: list[float], speed: list[int]) -> None:
    pool = pool_of([0.0] * len(duration), duration)
    fleet = Fleet(np.array(speed), np.ones((len(speed), 3)))
    step = coarsest_step(pool, fleet)
    exact = sum(d * 1000 / s for d in duration for s in speed)
    rounded = sum(ceil(ceil(d / step - 1e-9) * 1000 / s) * step for d in duration for s in speed)
    assert rounded < 1.0500001 * exact
    # And no needless fineness: the shortest step that any trace needs is a fraction of its shortest job.
    assert step > min(duration) / 200


def test_waiting_in_buffers_by_hand() -> None:
    # Two dispatchers; five jobs at once: two go, three wait one step, one waits another. Then one comes and waits not.
    came = np.array([0.0, 1, 2, 3, 4, 55])
    assert buffered(came, 10.0, 2) == pytest.approx(4 / 6)
    assert buffered(came, 2.0, 2) == 0
    # The sixth comes while one waits, and goes with it.
    assert buffered(np.array([0.0, 1, 2, 3, 4, 25]), 10.0, 2) == pytest.approx(4 / 6)


@given(
    gaps=st.lists(st.integers(0, 40), min_size=2, max_size=60).filter(sum),
    interval=st.floats(0.5, 60),
    dispatchers=st.integers(1, 4),
)
def test_waiting_in_buffers_is_that_of_jobs_dealt_in_turn(gaps: list[int], interval: float, dispatchers: int) -> None:
    came = np.cumsum(gaps) - gaps[0]
    free, waited = [0] * dispatchers, 0
    for k, t in enumerate(came):
        step = int(t / interval)
        goes = max(step, free[k % dispatchers])
        free[k % dispatchers], waited = goes + 1, waited + goes - step
    assert buffered(came.astype(float), interval, dispatchers) == pytest.approx(waited / len(came))


def test_bursts_shorten_the_step_and_what_comes_at_once_does_not(tmp_path: Path) -> None:
    """Bursts of 40 jobs in a minute for 4 dispatchers, and the same at one moment, who wait ten steps of any length."""
    step_s = {}
    for name, submit in BURSTS.items():
        (tmp_path / name).mkdir()
        played = build(config_of(tmp_path, trace(tmp_path / name, submit, [600] * 2000), 2, load=0.7)).replay
        assert played is not None
        step_s[name] = played.step_s
    # One job a step and dispatcher is one in 1.5 / 4 s of the trace.
    assert step_s["bursts"] < step_s["even"] / 3
    assert step_s["at once"] > 3 * step_s["bursts"]


def test_steps_that_change_the_work_are_refused_and_say_what_to_set(tmp_path: Path) -> None:
    path = trace(tmp_path, list(range(0, 30_000, 30)), [90] * 1000)
    with pytest.raises(ConfigError) as caught:
        build(config_of(tmp_path, path, step=200))
    for part in ("workload.step = 200", "2.22 times the vCPU work", "jobs.csv", "within 10 %", "workload.work=any"):
        assert part in str(caught.value)
    instance = build(config_of(tmp_path, path, step=200, work="any"))
    assert any("simulated 222.2 %" in note for note in instance.notes)
    assert instance.load == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize(
    ("horizon", "workload", "parts"),
    [
        (8, {"longest": 32}, ("workload", "longest = 32 is of synthetic jobs", "leave it out")),
        (
            20,
            {"step": 3000, "work": "any", "load": 0.9},
            ("workload.load = 0.9", "at most", "workload.step", "jobs.csv"),
        ),
        (11, {"step": 3000, "work": "any", "pace": 1}, ("horizon = 11", "10.0 steps of 3000 s", "lower horizon")),
        (8, {"end": 0.004, "load": 0.9}, ("workload.load = 0.9", "4 machines a load of 0.0", "num_machines")),
        (8, {"step": 0}, ("workload.step = 0",)),
    ],
    ids=str,
)
def test_what_a_trace_cannot_give_is_refused(
    tmp_path: Path, horizon: int, workload: dict[str, Any], parts: tuple[str, ...]
) -> None:
    path = trace(tmp_path, list(range(0, 30_000, 30)), [90] * 1000)
    with pytest.raises(ConfigError) as caught:
        build(config_of(tmp_path, path, horizon, **workload))
    for part in parts:
        assert part in str(caught.value)


def test_bursts_that_are_more_than_the_load_alone_are_refused(tmp_path: Path) -> None:
    """Forty jobs at once on 64 vCPUs, and episodes too short to show anything else."""
    path = trace(tmp_path, BURSTS["at once"], [600] * 2000)
    with pytest.raises(ConfigError, match=r"workload\.load = 0\.3: episodes of 2 steps .* a load of 0\.\d+ and more"):
        build(config_of(tmp_path, path, 2, load=0.3))


@pytest.mark.parametrize(
    ("duration", "workload", "parts"),
    [
        (1e6, {"step": 1e-4, "pace": 1}, ("workload.step = 0.0001", "runs 10,000,000,000 steps", "1,073,741,824")),
        (50.0, {"step": 1e-4, "pace": 1}, ("workload.step = 0.0001", "299,", "steps of it", "4,194,304", "raise")),
        (1e6, {"step": 1.0, "load": 0.0001}, ("workload.step = 1", "expected at most 4,194,304", "workload.load")),
    ],
    ids=str,
)
def test_more_steps_than_can_be_counted_are_refused(
    tmp_path: Path, duration: float, workload: dict[str, Any], parts: tuple[str, ...]
) -> None:
    """A crash in the machines, and a computer busy for ever, once."""
    path = trace(tmp_path, list(range(0, 30_000, 30)), [duration] * 1000)
    with pytest.raises(ConfigError) as caught:
        build(config_of(tmp_path, path, **workload))
    for part in parts:
        assert part in str(caught.value)


def test_jobs_that_all_come_at_once_are_refused(tmp_path: Path) -> None:
    path = trace(tmp_path, [7.0] * 5, [90.0] * 5)
    with pytest.raises(DataError, match="all 5 jobs of the used part come at the same moment"):
        build(config_of(tmp_path, path))


def test_a_part_of_one_job_is_refused(tmp_path: Path) -> None:
    path = trace(tmp_path, [10.0 * i for i in range(10)], [90.0] * 10)
    with pytest.raises(DataError, match=r"jobs\.csv: 1 jobs between workload\.start and workload\.end"):
        build(config_of(tmp_path, path, start=0.85, end=0.95))
