"""The machines: by hand, and against an independent event simulation (`oracle.py`)."""

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg_cloud import dynamics
from dgpg_cloud.arrivals import Tape
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.dynamics import Cluster, Hardware

from .oracle import Job, Request, simulate
from .plays import CPU, Play, final, judged_records, moments, plays, records, some

# --- by hand -----------------------------------------------------------------------------------


def by_hand(**changes: object) -> Play:
    """One machine of 4 vCPU, 8 GiB and 3 run slots; five dispatchers with one job each, sent at step 0."""
    play = Play(
        capacity=np.array([[4, 8, 3]]),
        speed_permille=np.array([1000]),
        queue_places=5,
        demand=np.array([[3, 1, 1], [2, 1, 1], [1, 1, 1], [1, 6, 1], [1, 1, 1]]).reshape(1, 5, 1, 3),
        base_steps=np.array([2, 3, 1, 2, 1]).reshape(1, 5, 1),
        arrived=np.ones((9, 1, 5), np.int64),
        machine=np.zeros((8, 1, 5), np.int64),
        send=np.array([[[True] * 5]] + [[[False] * 5]] * 7),
        rank=np.arange(5).reshape(1, 1, 5).repeat(8, 0),
    )
    return replace(play, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "start", "finish"),
    [
        # Job 1 does not fit beside job 0, and job 2, which would, does not overtake it. At step 2, jobs 1, 2
        # and 3 fill the run slots; job 2 gives its one back at step 3.
        ({}, [0, 2, 2, 2, 3], [2, 5, 3, 4, 4]),
        # The last comer is first in line: job 4 runs at once, 3 and 2 beside it, 1 waits for a slot.
        ({"rank": np.arange(5)[::-1].reshape(1, 1, 5).repeat(8, 0)}, [4, 1, 0, 0, 0], [6, 4, 1, 2, 1]),
        # 2, 3 and 1 steps at nine tenths of the speed take 2.2, 3.3 and 1.1 steps.
        ({"speed_permille": np.array([900])}, [0, 3, 3, 3, 5], [3, 7, 5, 6, 7]),
        # At twice the speed, 3 steps take 1.5.
        ({"speed_permille": np.array([2000])}, [0, 1, 1, 1, 2], [1, 3, 2, 2, 3]),
        # A single run slot: one after the other.
        ({"capacity": np.array([[4, 8, 1]])}, [0, 2, 5, 6, -1], [2, 5, 6, 8, -1]),
        # Two places in the queue: the jobs of rank 2, 3 and 4 are refused and not sent again.
        ({"queue_places": 2}, [0, 2, -1, -1, -1], [2, 5, -1, -1, -1]),
    ],
)
def test_a_queue_by_hand(changes: dict[str, object], start: list[int], finish: list[int]) -> None:
    play = by_hand(**changes)
    expected = np.stack([np.where(np.array(start) < 0, -1, 0), start, finish], -1).reshape(1, 5, 1, 3)
    expected[..., 4, :, 0] = 0 if play.queue_places == 5 else -1  # placed, even if it does not start in 8 steps
    np.testing.assert_array_equal(records(final(play), (1, 5, 1)), expected)
    jobs, _ = play.judged()
    np.testing.assert_array_equal(judged_records(jobs, (1, 5, 1)), expected)


def test_what_a_job_holds_is_free_at_the_start_of_its_finish_step() -> None:
    used = [m.cluster.used[0].tolist() for m in moments(by_hand()) if m.phase == "released"]
    assert used == [
        [0, 0, 0],
        [3, 1, 1],
        [0, 0, 0],
        [3, 7, 2],
        [2, 1, 1],
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
    ]


def test_work_by_hand() -> None:
    # vCPU steps: 6 + 6 + 1 + 2 + 1 = 16 in all; job 0 does 3 a step, then jobs 1, 2, 3 do 4, and so on.
    work = [m.cluster.work[0].tolist() for m in moments(by_hand()) if m.phase == "started"]
    assert work == [[16, 19], [13, 18], [10, 17], [6, 9], [2, 1], [0, 0], [0, 0], [0, 0]]


# --- against the event simulation --------------------------------------------------------------


@given(play=plays())
def test_every_job_runs_where_and_when_the_event_simulation_says(play: Play) -> None:
    shape = play.base_steps.shape
    jobs, _ = play.judged()
    np.testing.assert_array_equal(records(final(play), shape), judged_records(jobs, shape))


@given(play=plays())
def test_machines_refuse_whom_the_event_simulation_refuses(play: Play) -> None:
    _, judged = play.judged()
    answers: list[list[bool]] = [[] for _ in judged]
    for moment in moments(play):
        if moment.phase == "placed":
            for b, order in enumerate(play.rank[moment.t].argsort(-1)):
                answers[b] += [bool(moment.taken[b, n]) for n in order if moment.send[b, n]]
    assert answers == judged


def test_a_large_cluster_equals_the_event_simulation() -> None:
    rng = np.random.default_rng(5)
    machines, agents, envs, steps, length = 30, 120, 2, 80, 40
    sizes = np.array([[1000, 1792], [2000, 3584], [4000, 28672], [8000, 57344]])
    arrivals = rng.random((steps + 1, envs, agents)) < 0.4
    play = Play(
        capacity=np.stack([rng.integers(8, 17, machines) * 1000, rng.integers(32, 129, machines) * 1024,
                           rng.integers(2, 9, machines)], 1),
        speed_permille=rng.integers(700, 1300, machines),
        queue_places=6,
        demand=np.concatenate([sizes[rng.choice(4, (envs, agents, length), p=[0.6, 0.2, 0.1, 0.1])],
                               np.ones((envs, agents, length, 1), np.int64)], -1),
        base_steps=rng.geometric(0.25, (envs, agents, length)).clip(max=64),
        arrived=arrivals.cumsum(0).clip(max=length),
        machine=rng.integers(machines, size=(steps, envs, agents)),
        send=rng.random((steps, envs, agents)) < 0.9,
        rank=rng.random((steps, envs, agents)).argsort(-1),
    )  # fmt: skip
    shape = play.base_steps.shape
    jobs, answers = play.judged()
    found = records(final(play), shape)
    np.testing.assert_array_equal(found, judged_records(jobs, shape))
    # The instance is worth something: jobs wait, jobs are refused, thousands run.
    assert (found[..., 1] >= 0).sum() > 3000
    assert not all(all(taken) for taken in answers)


# --- through the environment -------------------------------------------------------------------


@some
@given(
    seed=st.integers(0, 2**32),
    agents=st.integers(3, 6),
    candidates=st.integers(1, 4),
    run_slots=st.integers(1, 4),
    queue_places=st.integers(1, 5),
    envs=st.integers(1, 3),
)
def test_an_episode_equals_the_event_simulation(
    seed: int, agents: int, candidates: int, run_slots: int, queue_places: int, envs: int
) -> None:
    """Warm start included: what the environment sends is observed, the event simulation plays it again."""
    config = Config(
        num_agents=agents, candidates=candidates, horizon=12, seed=3,
        workload={"longest": 12, "load": 0.9}, machines={"run_slots": run_slots, "queue_places": queue_places},
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    env = domain.make_env(config, envs, CPU, seed)
    calls: list[tuple[Tensor, ...]] = []

    def place(cluster: Cluster, tape: Tape, hardware: Hardware, *told: Tensor) -> Tensor:
        taken = real(cluster, tape, hardware, *told)
        calls.append((*(x.clone() for x in told), taken))
        return taken

    real = dynamics.place
    with mock.patch.object(dynamics, "place", place):
        env.reset()
        warm = len(calls)
        for _ in range(config.horizon - 1):  # the last step would start the next episode
            env.step(torch.from_numpy(rng.integers(config.candidate_count, size=(envs, agents))))

    cluster, tape, hardware = env.cluster, env.tape, env.plant.hardware
    shape = (envs, agents, tape.length)
    jobs, answers = [], []
    for b in range(envs):
        demand, base = tape.demand.view(*shape, -1)[b], tape.base_steps.view(shape)[b]
        lists = [
            [Job(tuple(demand[n, i].tolist()), int(base[n, i])) for i in range(int(tape.arrived[-1, b, n]))]
            for n in range(agents)
        ]
        requests = {}
        for call, (machine, send, rank, _) in enumerate(calls):
            # Step 0 follows the rounds of the warm start.
            when = (0, call) if call <= warm else (call - warm, 0)
            requests[when] = [Request(n, int(machine[b, n])) for n in rank[b].argsort().tolist() if send[b, n]]
        log = simulate(
            hardware.capacity.tolist(), hardware.speed_permille.tolist(), queue_places, lists, requests,
            config.horizon - 1,
        )  # fmt: skip
        jobs.append(lists)
        answers.append([taken for _, _, taken in log])
    np.testing.assert_array_equal(records(cluster, shape), judged_records(jobs, shape))
    for b in range(envs):
        seen = [bool(taken[b, n]) for _, send, rank, taken in calls for n in rank[b].argsort().tolist() if send[b, n]]
        assert seen == answers[b]
