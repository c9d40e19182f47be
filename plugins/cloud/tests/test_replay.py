"""A trace on the simulator's clock: windows, and the load of what they show."""

from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgpg_cloud.arrivals import draw
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.replay import Fleet, Replay, in_use, lay, profile
from dgpg_cloud.workload import Pool

from .made import CPU, some
from .traced import config_of, pool_of, trace, traces, uneven


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    return uneven(tmp_path_factory.mktemp("trace"))


def test_a_trace_on_the_clock_by_hand() -> None:
    # Twice as fast in steps of 10 s: 20 s of the trace a step, from the first used job on.
    pool = pool_of([0, 60, 100, 119, 120, 199, 300], [500, 20, 20, 20, 20, 20, 20], first=2)
    found = lay(pool, 4, 10.0, 2.0)
    assert found is not None
    assert found.arrival.tolist() == [-5, -2, 0, 0, 1, 4, 10]
    assert found.base_steps.tolist() == [50, 2, 2, 2, 2, 2, 2]
    # Starts 0 to 5 have 4, 2, 1, 1, 1, 0 arrivals in their five moments: the last is a hole.
    assert found.starts.tolist() == [0, 1, 2, 3, 4]
    assert found.apart(4).tolist() == [0]
    assert lay(pool, 10, 10.0, 2.0) is None


def counted(pool: Pool, fleet: Fleet, found: Replay, t: int) -> float:
    """Share of the vCPUs held in step t, job by job."""
    held = 0.0
    for row, (at, base) in enumerate(zip(found.arrival, found.base_steps, strict=True)):
        for speed, share in zip(fleet.permille, fleet.share[:, 0], strict=True):
            held += share * pool.demand[row, 0] * (at <= t < at + ceil(base * 1000 / speed))
    return held / float(fleet.capacity[:, 0].sum())


@given(rows=traces, pace=st.floats(0.2, 5), first=st.integers(0, 3), horizon=st.integers(1, 6))
def test_the_load_is_what_jobs_hold_counted_one_by_one(
    rows: list[tuple[int, int, int]], pace: float, first: int, horizon: int
) -> None:
    submit = np.cumsum([gap for gap, _, _ in rows]).tolist()
    pool = pool_of(submit, [d for _, d, _ in rows], [c for _, _, c in rows], min(first, len(rows) - 1))
    fleet = Fleet(np.array([500, 1000]), np.array([[3e4, 1e9, 100], [1e4, 1e9, 100]]))
    found = lay(pool, horizon, 10.0, pace)
    if found is None:
        return
    by_step = [counted(pool, fleet, found, t) for t in range(int(found.starts[-1]) + horizon)]
    np.testing.assert_allclose(profile(found, pool, fleet, len(by_step))[:, 0], by_step, atol=1e-9)
    mean = np.mean([by_step[w + h] for w in found.starts for h in range(horizon)])
    assert in_use(found, pool, fleet, horizon)[0] == pytest.approx(mean, abs=1e-9)


def test_run_slots_can_be_what_runs_out(tmp_path: Path) -> None:
    """Jobs of a tenth of a machine's vCPUs each, four at most a machine: the load is that of slots."""
    path = trace(tmp_path, list(range(0, 60_000, 30)), [90] * 2000)
    values = config_of(tmp_path, path, load=0.6).model_dump()
    instance = build(Config.model_validate({**values, "machines": {**values["machines"], "run_slots": 4}}))
    assert instance.replay is not None
    # One job every 30 s / pace runs 90 s: that many slots of 16 are held.
    assert 3 * instance.replay.pace / 16 == pytest.approx(0.6, rel=0.06)
    assert any("run slots 0.60" in note for note in instance.notes)


@some
@given(seed=st.integers(0, 2**48))
def test_a_window_is_a_stretch_of_the_trace_and_never_the_hole(recorded: Instance, seed: int) -> None:
    jobs = draw(np.random.default_rng(seed), recorded)
    rows = np.sort(jobs.row[jobs.arrival >= 0])
    assert len(rows) and np.array_equal(rows, np.arange(rows[0], rows[-1] + 1))
    assert jobs.arrival.max() <= 30
    assert np.array_equal(jobs.base_steps[jobs.arrival >= 0], recorded.base_steps[jobs.row[jobs.arrival >= 0]])


def test_the_load_is_what_was_asked_for_and_a_hole_is_no_part_of_it(recorded: Instance) -> None:
    assert recorded.load == pytest.approx(0.6, rel=0.01)
    # What an episode's jobs hold if none waits, counted from what is drawn.
    capacity, horizon, held = recorded.capacity[:, 0].sum(), recorded.config.horizon, []
    for seed in range(300):
        jobs = draw(np.random.default_rng(seed), recorded)
        begin, end = jobs.arrival.clip(0), jobs.arrival.clip(0) + jobs.base_steps
        steps = (end.clip(0, horizon) - begin.clip(0, horizon)).clip(0)
        held.append(float(recorded.pool.demand[jobs.row, 0] @ steps) / horizon / capacity)
    assert np.mean(held) == pytest.approx(0.6, abs=4 * np.std(held) / 300**0.5)


@pytest.mark.parametrize("load", [0.1, 0.3, 0.9])
def test_any_load_is_reached_by_the_pace_and_run_times_stay(recorded: Instance, load: float) -> None:
    values = recorded.config.model_dump()
    other = build(Config.model_validate({**values, "workload": {**values["workload"], "load": load}}))
    assert other.load == pytest.approx(load, rel=0.01)
    assert other.replay is not None
    exact = float(recorded.pool.duration @ recorded.pool.demand[:, 0])
    played = float(other.base_steps @ other.pool.demand[:, 0]) * other.replay.step_s
    assert played == pytest.approx(exact, rel=0.01)


def test_dispatchers_get_jobs_in_turn(recorded: Instance) -> None:
    """No buffer has a second job of a step before every dispatcher has one."""
    for seed in range(20):
        jobs = draw(np.random.default_rng(seed), recorded)
        for t in range(31):
            count = np.bincount(jobs.dispatcher[jobs.arrival == t], minlength=10)
            assert count.max() - count.min() <= 1


def test_episodes_of_neighbouring_seeds_share_no_arrival(recorded: Instance) -> None:
    assert recorded.replay is not None
    windows = len(recorded.replay.apart(30))
    assert windows >= 8
    env = domain.make_env(recorded.config, windows, CPU, 12345)
    first = [range(s, s + 31) for s in sorted(s for s in env.starts if s is not None)]
    assert len(first) == windows
    assert all(one[-1] < other[0] for one, other in pairwise(first))
    env.reset()
    env.reset()  # from then on they are drawn
    assert env.starts == [None] * windows


def test_a_run_says_jobs_work_load_and_clock(recorded: Instance) -> None:
    notes = "\n".join(recorded.notes)
    for part in (
        "500 jobs: ",
        "vCPU-hours (simulated 100.",
        "one step is ",
        "times as fast",
        "run slots",
        "do not overlap",
    ):
        assert part in notes


def test_jobs_that_outlast_an_episode_are_a_note(tmp_path: Path) -> None:
    """Whoever lets them wait looks cheap; in longer episodes there is none."""
    path = trace(tmp_path, list(range(0, 60_000, 30)), [900] * 2000)
    told = {horizon: "\n".join(build(config_of(tmp_path, path, horizon, step=30)).notes) for horizon in (20, 60)}
    assert "runs longer on average than an episode lasts" in told[20] and "not_started" in told[20]
    assert "runs longer" not in told[60]
