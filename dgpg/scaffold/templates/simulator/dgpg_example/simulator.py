"""The simulator, a SimPy model, and how it is read. Nothing here needs torch, so worker processes start fast."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from dgpg.bridges.simulators import View


@dataclass(eq=False)
class Job:
    """At a server since `came`, with so much work as was expected of it."""

    server: int
    size: float
    came: float


class Servers:
    """N clients send a job each to one of K servers, every step; it takes 50 to 150 % of what was expected of it.

    Args:
        clients: N.
        speeds: work that each server does in a step.
        seed: of what is drawn once for all episodes; here there is nothing.
    """

    def __init__(self, clients: int, speeds: Sequence[float], seed: int) -> None:
        self.clients, self.speeds = clients, np.array(speeds)

    def reset(self, seed: int) -> None:
        """Empty servers; all chance of the episode comes from `seed`."""
        self.chance, self.env = np.random.default_rng(seed), simpy.Environment()
        self.servers = [simpy.Resource(self.env) for _ in self.speeds]
        self.jobs: list[Job] = []
        self.cost = self.reached = np.zeros(len(self.speeds))
        self.sizes = self.chance.exponential(size=self.clients)

    def step(self, action: NDArray[np.int64]) -> None:
        """Client i's job goes to server `action[i]`; then one step of time passes."""
        self.began, self.cost = self.env.now, np.zeros(len(self.speeds))
        took = self.sizes * self.chance.uniform(0.5, 1.5, self.clients)
        self.reached = self.work + np.bincount(action, took, len(self.speeds))
        for i, server in enumerate(action):
            job = Job(int(server), self.sizes[i], self.env.now)
            self.jobs.append(job)
            self.env.process(self.served(job, took[i]))
        self.env.run(until=self.began + 1)
        for job in self.jobs:
            self.charge(job)
        self.sizes = self.chance.exponential(size=self.clients)

    def served(self, job: Job, took: float) -> Generator[Any, Any, None]:
        """The life of a job: it waits for its server, is worked on, and leaves."""
        with self.servers[job.server].request() as turn:
            yield turn
            yield self.env.timeout(took / self.speeds[job.server])
        self.charge(job)
        self.jobs.remove(job)

    def charge(self, job: Job) -> None:
        """A job costs its work times the part of the step that it was there."""
        self.cost[job.server] += job.size * (self.env.now - max(self.began, job.came))

    @property
    def work(self) -> NDArray[np.float64]:
        """Expected of the jobs at each server, `[K]`."""
        return np.bincount([job.server for job in self.jobs], [job.size for job in self.jobs], len(self.speeds))


def read(model: Servers, _: None) -> View:
    """What clients see (their job, each server's backlog), what guides them, and what the step cost."""
    drain = np.tile(model.work / model.speeds, (model.clients, 1))
    return View(
        agent=model.sizes[:, None],
        choices=np.stack([drain, model.sizes[:, None] / model.speeds], -1),
        central=model.work / model.speeds,
        context={"size": model.sizes, "backlog": model.work},
        cost=model.cost.sum(),
        block_cost=model.cost,
        state=model.reached[:, None],
    )
