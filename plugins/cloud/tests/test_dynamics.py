"""The machines: against an independent event simulation (`oracle.py`), by hand, and what always holds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from dgpg_cloud import dynamics
from dgpg_cloud.arrivals import Tape
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.dynamics import Cluster, Hardware

from .oracle import Job, Request, simulate

CPU = torch.device("cpu")
some = settings(max_examples=settings().max_examples // 2)


@dataclass(frozen=True)
class Play:
    """Machines, jobs, and what every dispatcher tries in every step; B environments, N dispatchers."""

    capacity: np.ndarray
    """`[M, R + 1]`, run slots last."""
    speed_permille: np.ndarray
    """`[M]`."""
    queue_places: int
    demand: np.ndarray
    """`[B, N, L, R + 1]`."""
    base_steps: np.ndarray
    """`[B, N, L]`."""
    arrived: np.ndarray
    """`[T + 1, B, N]`, jobs that have come by step t."""
    machine: np.ndarray
    """`[T, B, N]`."""
    send: np.ndarray
    """bool `[T, B, N]`."""
    rank: np.ndarray
    """`[T, B, N]`."""

    @property
    def horizon(self) -> int:
        return len(self.machine)

    def tape(self) -> Tape:
        length = self.base_steps.shape[-1]
        return Tape(
            demand=torch.from_numpy(self.demand.reshape(-1, self.demand.shape[-1])).int(),
            base_steps=torch.from_numpy(self.base_steps.reshape(-1)).int(),
            kind=torch.zeros(self.base_steps.size, dtype=torch.int64),
            arrived=torch.from_numpy(self.arrived),
            older=torch.zeros(self.arrived.shape[1:], dtype=torch.int64),
            rank=torch.from_numpy(self.rank),
            length=length,
        )

    def hardware(self) -> Hardware:
        return Hardware(
            capacity=torch.from_numpy(self.capacity).int(),
            speed_permille=torch.from_numpy(self.speed_permille).int(),
            queue_places=self.queue_places,
        )

    def judged(self) -> tuple[list[list[list[Job]]], list[list[bool]]]:
        """By the event simulation: jobs by environment and dispatcher, and the answers to requests."""
        jobs, answers = [], []
        for b in range(self.arrived.shape[1]):
            came = [np.repeat(np.arange(len(self.arrived)), np.diff(a, prepend=0)) for a in self.arrived[:, b].T]
            lists = [
                [
                    Job(tuple(d.tolist()), int(s), int(t))
                    for d, s, t in zip(self.demand[b, n], self.base_steps[b, n], when, strict=False)
                ]
                for n, when in enumerate(came)
            ]
            requests = {}
            for t in range(self.horizon):
                comers = [n for n in self.rank[t, b].argsort().tolist() if self.send[t, b, n]]
                requests[t, 0] = [Request(n, int(self.machine[t, b, n])) for n in comers]
            log = simulate(
                self.capacity.tolist(),
                self.speed_permille.tolist(),
                self.queue_places,
                lists,
                requests,
                self.horizon,
            )
            jobs.append(lists)
            answers.append([taken for _, _, taken in log])
        return jobs, answers


@st.composite
def plays(draw: st.DrawFn) -> Play:
    machines, agents, envs = draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(1, 3))
    resources, steps, length = draw(st.integers(2, 3)), draw(st.integers(1, 10)), draw(st.integers(1, 6))

    def array(shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
        return draw(hnp.arrays(np.int64, shape, elements=st.integers(low, high), fill=st.nothing()))

    jobs = envs, agents, length
    unit = draw(st.sampled_from([1, 1000]))
    speeds = st.sampled_from([1000, 500, 731, 901, 1104, 2500])
    room = array((machines, resources), 3, 12) * unit
    arrivals = array((steps + 1, envs, agents), 0, 2)
    return Play(
        capacity=np.concatenate([room, array((machines, 1), 1, 4)], 1),
        speed_permille=draw(hnp.arrays(np.int64, machines, elements=speeds)),
        queue_places=draw(st.integers(1, 5)),
        # A demand of 4 does not fit on every machine; one of 0 stands for a job without GPU.
        demand=np.concatenate([array((*jobs, resources), 0, 4) * unit, np.ones((*jobs, 1), np.int64)], -1),
        base_steps=array(jobs, 1, 7),
        arrived=arrivals.cumsum(0).clip(max=length),
        machine=array((steps, envs, agents), 0, machines - 1),
        send=draw(hnp.arrays(np.bool_, (steps, envs, agents), elements=st.booleans(), fill=st.nothing())),
        rank=np.argsort(array((steps, envs, agents), 0, 99), axis=-1, kind="stable"),
    )  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """The machines in step t, before and after placing, or after starting; who sent and who was taken."""

    phase: str
    t: int
    cluster: Cluster
    tape: Tape
    send: Tensor
    taken: Tensor


def moments(play: Play) -> Iterator[Moment]:
    """Play the steps on the tensors; the state goes on changing after each moment."""
    tape, hardware = play.tape(), play.hardware()
    _, envs, agents = play.send.shape
    cluster = dynamics.empty(tape, hardware, envs, agents)
    nobody = torch.zeros(envs, agents, dtype=torch.bool)
    for t in range(play.horizon):
        if t > 0:
            dynamics.release(cluster, t)
        send = torch.from_numpy(play.send[t]) & (cluster.placed < tape.arrived[t])
        yield Moment("released", t, cluster, tape, send, nobody)
        taken = dynamics.place(cluster, tape, hardware, torch.from_numpy(play.machine[t]), send, tape.rank[t])
        yield Moment("placed", t, cluster, tape, send, taken)
        dynamics.start(cluster, tape, hardware, t)
        yield Moment("started", t, cluster, tape, send, taken)
    dynamics.release(cluster, play.horizon)
    yield Moment("released", play.horizon, cluster, tape, nobody, nobody)


def final(play: Play) -> Cluster:
    return list(moments(play))[-1].cluster


def records(cluster: Cluster, shape: tuple[int, ...]) -> np.ndarray:
    """Machine, start and finish of each job, -1 for never, `[..., 3]`."""
    return torch.stack([cluster.machine, cluster.start, cluster.finish], -1).view(*shape, 3).numpy()


def judged_records(jobs: list[list[list[Job]]], shape: tuple[int, ...]) -> np.ndarray:
    result = np.full((*shape, 3), -1)
    for b, lists in enumerate(jobs):
        for n, own in enumerate(lists):
            for i, job in enumerate(own):
                result[b, n, i] = [-1 if x is None else x for x in (job.machine, job.start, job.finish)]
    return result


def owned(play: Play, chosen: Tensor, amount: Tensor, cluster: Cluster) -> Tensor:
    """Sum of `amount` `[J, ...]` of the `chosen` jobs on each machine of each environment, `[BM, ...]`."""
    envs, agents, length = play.base_steps.shape
    machines = len(play.capacity)
    env = torch.arange(envs).repeat_interleave(agents * length)
    row = (env * machines + cluster.machine)[chosen]
    return torch.zeros(envs * machines, *amount.shape[1:], dtype=amount.dtype).index_add(0, row, amount[chosen])


def running(moment: Moment) -> Tensor:
    begun = 0 if moment.phase == "started" else 1  # a job that starts in step t runs from the last phase on
    cluster = moment.cluster
    return (cluster.start >= 0) & (cluster.start <= moment.t - begun) & (cluster.finish > moment.t)


def queued(moment: Moment) -> Tensor:
    return (moment.cluster.machine >= 0) & (moment.cluster.start < 0)


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


# --- what always holds -------------------------------------------------------------------------


@some
@given(play=plays())
def test_capacity_is_never_exceeded_and_used_is_what_running_jobs_hold(play: Play) -> None:
    capacity = torch.from_numpy(play.capacity).repeat(play.arrived.shape[1], 1)
    for moment in moments(play):
        cluster = moment.cluster
        assert (cluster.used <= capacity).all()
        assert torch.equal(cluster.used, owned(play, running(moment), moment.tape.demand, cluster))


@some
@given(play=plays())
def test_waiting_and_queue_lengths_are_those_of_the_jobs_in_queues(play: Play) -> None:
    for moment in moments(play):
        cluster, chosen = moment.cluster, queued(moment)
        assert torch.equal(cluster.waiting, owned(play, chosen, moment.tape.demand, cluster))
        assert torch.equal(cluster.length, owned(play, chosen, torch.ones_like(cluster.machine), cluster))
        assert (cluster.length <= play.queue_places).all()
        assert torch.equal(cluster.own_waiting, chosen.view(play.base_steps.shape).sum(-1))


@some
@given(play=plays())
def test_no_job_is_lost(play: Play) -> None:
    for moment in moments(play):
        cluster = moment.cluster
        placed = (cluster.machine >= 0).view(play.base_steps.shape)
        assert torch.equal(cluster.placed, placed.sum(-1))
        assert (cluster.placed <= moment.tape.arrived[moment.t]).all()
        # A dispatcher places its jobs in the order of its list.
        assert torch.equal(placed, torch.arange(placed.shape[-1]) < cluster.placed.unsqueeze(-1))


@some
@given(play=plays())
def test_each_job_is_in_exactly_one_queue_place_or_none(play: Play) -> None:
    for moment in moments(play):
        cluster = moment.cluster
        behind = torch.arange(play.queue_places)
        place = (cluster.head.unsqueeze(-1) + behind) % play.queue_places
        held = cluster.queue.gather(-1, place)[behind < cluster.length.unsqueeze(-1)]
        assert torch.equal(held.sort().values, queued(moment).nonzero().squeeze(-1))


@some
@given(play=plays())
def test_full_queues_refuse_the_last_comers_by_rank(play: Play) -> None:
    room = torch.empty(0)
    for moment in moments(play):
        if moment.phase == "released":
            room = play.queue_places - moment.cluster.length.view(-1, len(play.capacity))
        elif moment.phase == "placed":
            for b, m in np.ndindex(*room.shape):
                comers = [n for n in play.rank[moment.t, b].argsort()
                          if moment.send[b, n] and play.machine[moment.t, b, n] == m]  # fmt: skip
                taken = [bool(moment.taken[b, n]) for n in comers]
                assert taken == [i < room[b, m] for i in range(len(comers))]
            assert not (moment.taken & ~moment.send).any()


@some
@given(play=plays())
def test_no_head_waits_that_fits(play: Play) -> None:
    capacity = torch.from_numpy(play.capacity).repeat(play.arrived.shape[1], 1)
    for moment in moments(play):
        if moment.phase == "started":
            cluster = moment.cluster
            head = cluster.queue.gather(-1, cluster.head.unsqueeze(-1)).squeeze(-1)
            fits = (moment.tape.demand[head] <= capacity - cluster.used).all(-1)
            assert not (fits & (cluster.length > 0)).any()


@some
@given(play=plays())
def test_work_is_what_is_left_of_every_job(play: Play) -> None:
    for moment in moments(play):
        cluster, tape = moment.cluster, moment.tape
        full = (tape.demand[:, :-1] * tape.base_steps.unsqueeze(-1)).double()
        left = (cluster.finish - moment.t) / (cluster.finish - cluster.start).clamp(min=1)
        expected = owned(play, queued(moment), full, cluster)
        expected += owned(play, running(moment), full * left.double().unsqueeze(-1), cluster)
        # float32 with a handful of additions a step: some 1e-6 of the largest sum that was ever held.
        torch.testing.assert_close(cluster.work.double(), expected, rtol=1e-5, atol=1e-5 * float(full.sum()))


@some
@given(play=plays())
def test_a_machine_without_jobs_has_exactly_no_work(play: Play) -> None:
    for moment in moments(play):
        cluster = moment.cluster
        assert (cluster.work >= 0).all()
        if moment.phase == "released":
            assert (cluster.work[(cluster.used[:, -1] == 0) & (cluster.length == 0)] == 0).all()
            assert (cluster.drain[cluster.used[:, -1] == 0] == 0).all()


@some
@given(play=plays(), data=st.data())
def test_environments_do_not_touch_each_other(play: Play, data: st.DataObject) -> None:
    b = data.draw(st.integers(0, play.arrived.shape[1] - 1))
    one = slice(b, b + 1)
    alone = replace(
        play, demand=play.demand[one], base_steps=play.base_steps[one], arrived=play.arrived[:, one],
        machine=play.machine[:, one], send=play.send[:, one], rank=play.rank[:, one],
    )  # fmt: skip
    machines = len(play.capacity)
    rows = slice(b * machines, (b + 1) * machines)
    for ours, theirs in zip(moments(alone), moments(play), strict=True):
        for name in ("used", "waiting", "work", "drain", "length", "head"):
            assert torch.equal(getattr(ours.cluster, name), getattr(theirs.cluster, name)[rows]), name


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
        workload={"longest": 12}, machines={"run_slots": run_slots, "queue_places": queue_places},
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
