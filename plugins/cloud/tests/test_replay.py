"""A trace on the simulator's clock: step, pace, windows, and what runs when an episode starts."""

from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dgpg.domain import validate
from dgpg.errors import ConfigError, DataError
from dgpg_cloud.arrivals import Jobs, draw
from dgpg_cloud.clock import buffered, coarsest_step
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.env import CloudEnv
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.replay import Fleet, Replay, in_use, lay, profile, whole_steps, work
from dgpg_cloud.seats import NOWHERE, seats
from dgpg_cloud.workload import Pool

from .made import hand_made, with_jobs

CPU = torch.device("cpu")
some = settings(max_examples=settings().max_examples // 2)


def pool_of(submit: list[float], duration: list[float], vcpu: list[int] | None = None, first: int = 0) -> Pool:
    rows = len(submit)
    demand = np.array([[1000 * c, 1024] for c in vcpu or [1] * rows])
    return Pool(demand, np.array(duration, float), ((),), np.zeros(rows, np.int64), np.array(submit, float), first)


def one_speed(vcpu: int = 100, slots: int = 1000) -> Fleet:
    return Fleet(np.array([1000]), np.array([[1000.0 * vcpu, 1e9, slots]]))


def trace(folder: Path, submit: list[float], duration: list[float], vcpu: list[int] | None = None) -> Path:
    path = folder / "jobs.csv"
    rows = zip(submit, duration, vcpu or [1] * len(submit), strict=True)
    path.write_text("submit,duration,cpu,memory_gib\n" + "".join(f"{s},{d},{c},1\n" for s, d, c in rows))
    return path


def machines(folder: Path, speed: float = 1.0) -> Path:
    path = folder / "machines.csv"
    path.write_text(f"cpu,memory_gib,price,speed,count\n16,64,1,{speed},8\n")
    return path


def config_of(folder: Path, path: Path, horizon: int = 8, agents: int = 4, **workload: Any) -> Config:
    values = {"num_agents": agents, "horizon": horizon, "machines": {"file": machines(folder), "run_slots": 64}}
    return validate(Config, {**values, "workload": {"trace": path, **workload}}, "")


# --- the step ----------------------------------------------------------------------------------


def test_run_times_in_whole_steps_by_hand() -> None:
    duration = np.array([1.0, 60.0, 60.1, 3600.0, 86400.0 * 100])
    assert whole_steps(duration, 60.0).tolist() == [1, 1, 2, 60, 144_000]
    assert whole_steps(np.array([0.3, 0.1 * 3, 4.35]), 0.1).tolist() == [3, 3, 44]  # 0.1 * 3 > 0.3 in floating point


def test_work_in_whole_steps_by_hand() -> None:
    # 2 vCPU for 90 s and 1 vCPU for 240 s: 420 vCPU seconds; in steps of 60 s 2 x 120 + 240 = 480.
    pool = pool_of([0, 5], [90, 240], [2, 1])
    assert work(pool, one_speed(), 60.0)[0] == pytest.approx(480 / 420)
    # At half the speed 180 and 480 s; two base steps of 60 s are four there, and four are eight: 960 of 840.
    half = Fleet(np.array([500]), np.array([[1e5, 1e9, 1000]]))
    assert work(pool, half, 60.0)[0] == pytest.approx(960 / 840)
    # Jobs of before the used part bring no work to it.
    assert work(pool_of([0, 5], [90, 240], first=1), one_speed(), 60.0)[0] == 1


@given(
    duration=st.lists(st.floats(1, 1e6), min_size=1, max_size=30),
    speed=st.sampled_from([[1000], [1000, 770], [500, 1300, 1104]]),
)
def test_the_step_adds_less_than_a_twentieth_to_the_work(duration: list[float], speed: list[int]) -> None:
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


BURSTS = {
    "even": [15.0 * i for i in range(2000)],
    "bursts": [600 * (i // 40) + 1.5 * (i % 40) for i in range(2000)],
    "at once": [600.0 * (i // 40) for i in range(2000)],
}


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


# --- windows and load --------------------------------------------------------------------------


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


traces = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 900), st.integers(1, 8)), min_size=2, max_size=40)


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


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    """A trace of 500 jobs at uneven times, some of them long, a long hole in the middle."""
    folder, rng = tmp_path_factory.mktemp("trace"), np.random.default_rng(0)
    submit = rng.exponential(10, 500).cumsum().round()
    submit[250:] += 1_000_000
    duration = np.where(rng.random(500) < 0.1, 2500, (rng.lognormal(4, 1, 500) + 1).round())
    path = trace(folder, submit.tolist(), duration.tolist(), rng.integers(1, 5, 500).tolist())
    return build(config_of(folder, path, 30, 10, load=0.6))


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
    assert exact <= played * (1 + 1e-9) < 1.05 * exact


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


# --- what runs at the start --------------------------------------------------------------------


@some
@given(rows=traces, seed=st.integers(0, 2**32), start=st.sampled_from([0.0, 0.5]))
def test_an_episode_starts_with_the_jobs_that_the_trace_has_running(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int]], seed: int, start: float
) -> None:
    """Times in whole steps, so that the trace itself can be asked: submit < t < submit + duration."""
    submit = [10 * t for t in np.cumsum([gap for gap, _, _ in rows]).tolist()]
    duration = [10 * d for _, d, _ in rows]
    first = int(len(rows) * start)
    if len(rows) - first < 2 or submit[-1] - submit[first] < 60:
        return
    folder = tmp_path_factory.mktemp("warm")
    path = trace(folder, submit, duration, [c for _, _, c in rows])
    instance = build(config_of(folder, path, 5, step=10, pace=1, start=start))
    assert instance.replay is not None
    at = int(np.random.default_rng(seed).choice(instance.replay.starts))
    jobs = draw(np.random.default_rng(seed), instance, at)
    now = submit[first] + 10 * at
    running = {i: s + d - now for i, (s, d) in enumerate(zip(submit, duration, strict=True)) if s < now < s + d}
    older = jobs.arrival < 0
    assert dict(zip(jobs.row[older].tolist(), (10 * jobs.base_steps[older]).tolist(), strict=True)) == running
    coming = [i for i, s in enumerate(submit) if i >= first and now <= s < now + 60]
    assert sorted(jobs.row[~older].tolist()) == coming


def test_jobs_that_run_are_seated_the_largest_first_on_the_machine_that_they_fill_least() -> None:
    instance = hand_made()  # machines of 4 vCPU, 8 GiB and 8 vCPU, 16 GiB; rows of 1, 2, 4 vCPU and 4, 2, 4 GiB
    # 4 vCPU: half of the large machine. Then 1 vCPU and 4 GiB: half of the small one, three quarters of the large.
    # 2 vCPU each: 3/4 of either, the first of equals; the last fills the large one's vCPUs to 6/8 still.
    assert seats(instance, np.array([1, 1, 2, 0])).tolist() == [0, 1, 1, 0]
    assert seats(instance, np.array([2] * 4)).tolist() == [1, 0, 1, NOWHERE]


@pytest.mark.parametrize("slots", [1, 64])
def test_jobs_that_run_take_no_more_than_there_is_and_start_at_once(recorded: Instance, slots: int) -> None:
    values, played = recorded.config.model_dump(), recorded.replay
    assert played is not None
    values["machines"] |= {"run_slots": slots}
    values["workload"] |= {"step": played.step_s, "pace": played.pace}
    config = Config.model_validate(values)
    env = domain.make_env(config, 6, CPU, 0)
    env.reset()
    seated = env.tape.seat >= 0
    assert seated.any() and (env.cluster.start[seated] == 0).all() and (env.cluster.start[~seated] == -1).all()
    assert (env.cluster.used.view(6, 10, -1) <= env.plant.hardware.capacity).all()
    assert torch.equal(env.cluster.placed.sum(1), seated.view(6, -1).sum(1)) and not env.cluster.own_waiting.any()
    assert not env.cluster.waiting.any() and not env.cluster.length.any()
    # Those without a seat are in their dispatchers' buffers and decided on like any other job.
    older = sum(int((draw(np.random.default_rng(s), build(config), w).arrival < 0).sum()) for s, w in first(config, 6))
    assert older >= int(seated.sum()) and (slots > 1) == (older == int(seated.sum()))


def first(config: Config, envs: int) -> list[tuple[int, int | None]]:
    return list(enumerate(domain.make_env(config, envs, CPU, 0).starts))


def test_a_job_that_outlasts_the_episode_holds_its_machine_to_the_end(tmp_path: Path) -> None:
    """A hundred days among jobs of a minute, from before the episode: it was cut at 64 steps once."""
    submit = [0, *range(100_000, 103_000, 60)]
    path = trace(tmp_path, submit, [8_640_000, *[60] * (len(submit) - 1)], [16] * len(submit))
    config = config_of(tmp_path, path, 20, 2, step=60, pace=1, start=0.02)
    env = domain.make_env(config, 1, CPU, 0)
    env.reset()
    assert (env.cluster.used[:, 0] == 16_000).any()
    for _ in range(19):
        env.step(torch.zeros(1, 2, dtype=torch.int64))
        assert (env.cluster.used[:, 0] == 16_000).any()
    assert int(env.cluster.finish.max()) == (8_640_000 - 100_000) // 60 - int(env.instance.replay.starts[0])


def test_a_job_of_many_million_steps_is_not_too_long_to_count() -> None:
    """Its steps times 1000 are more than 32 bits hold."""

    from .made import hand_made

    env = CloudEnv(hand_made(), 1, CPU, 0)
    env.reset()
    with_jobs(env, [[0], [1]], [[1, 0]] * 5, base={0: 12_500_000})
    env.step(torch.tensor([[1, 0]]))
    assert int(env.cluster.finish[0]) == 25_000_000  # at half the speed


# --- refusals ----------------------------------------------------------------------------------


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


def test_a_run_says_jobs_work_load_and_clock(recorded: Instance) -> None:
    notes = "\n".join(recorded.notes)
    for part in (
        "500 jobs: ",
        "vCPU-hours (simulated 10",
        "one step is ",
        "times as fast",
        "run slots",
        "do not overlap",
    ):
        assert part in notes
    assert isinstance(draw(np.random.default_rng(0), recorded), Jobs)
