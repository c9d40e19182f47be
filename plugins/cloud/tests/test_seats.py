"""What runs when an episode of a trace starts, and where."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg_cloud.arrivals import draw
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.env import CloudEnv
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.seats import NOWHERE, seats

from .made import CPU, hand_made, some, with_jobs
from .traced import config_of, trace, traces, uneven


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    return uneven(tmp_path_factory.mktemp("trace"))


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
