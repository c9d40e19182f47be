"""Machines, jobs and what dispatchers try, played on tensors and by the event simulation (`oracle.py`)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from dgpg_cloud import dynamics
from dgpg_cloud.arrivals import Tape
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
            seat=torch.full((self.base_steps.size,), -1),
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
