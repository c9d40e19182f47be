"""`extender.py same`: a real trace placed by the service and by the policy in-process."""

from __future__ import annotations

import argparse
import heapq
import http.client
import json
import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import emit
from extending import Object, Served, asked, body, exported
from numpy.typing import NDArray

from dgpg.deploy import Policy
from dgpg_cloud.data import JobTable, MachineTable, load_jobs, load_machines
from dgpg_cloud.deploy import Job, Nodes, Scales, features, load
from dgpg_cloud.kubernetes.settings import PRICE, RUN_TIME, SPEED, Settings

DATA = Path(os.environ.get("DGPG_DATA", Path(__file__).parents[2] / "shared" / "data")) / "cloud" / "alibaba_gpu2023"
PODS, MACHINES = DATA / "openb_pod_list_default.csv", DATA / "openb_node_list_all_node.csv"
GPU = "example.com/milli-gpu"
UNITS = (1000, 1024, 1000)


class Accounts:
    """What jobs hold of machines, in whole numbers; it knows nothing of Kubernetes."""

    def __init__(self, machines: MachineTable) -> None:
        self.capacity = np.stack([machines.vcpu_milli, machines.memory_mib, machines.gpu_milli], 1).astype(np.int64)
        self.used, self.machines = np.zeros_like(self.capacity), machines
        self.running: dict[int, tuple[int, NDArray[np.int64], float, float]] = {}

    def room(self, demand: NDArray[np.int64], models: tuple[str, ...]) -> NDArray[np.int64]:
        """Machines that can take it now: what kube-scheduler's filter finds."""
        fits = (self.used + demand <= self.capacity).all(1)
        return np.flatnonzero(fits & np.isin(self.machines.gpu_model, models) if models else fits)

    def seen(self, scales: Scales, job: Job, at: NDArray[np.int64], now: float) -> dict[str, NDArray[Any]]:
        """What a dispatcher sees of these machines."""
        work = np.zeros(self.capacity.shape)
        for machine, demand, start, seconds in self.running.values():
            left = seconds - (now - start) * self.machines.speed[machine]
            work[machine] += demand / UNITS * max(left, scales.step_s)
        used, capacity = self.used / UNITS, self.capacity / UNITS
        nodes = Nodes(
            capacity[at], used[at], used[at], work[at] / scales.step_s, np.zeros(len(at)),
            self.machines.price[at], self.machines.speed[at],
        )  # fmt: skip
        return features(scales, job, nodes, load(used, capacity))

    def start(self, job: int, machine: int, demand: NDArray[np.int64], now: float, seconds: float) -> None:
        """It runs there."""
        self.used[machine] += demand
        self.running[job] = machine, demand, now, seconds

    def end(self, job: int) -> None:
        """It gives back what it held."""
        machine, demand, *_ = self.running.pop(job)
        self.used[machine] -= demand


@dataclass
class Clock:
    """Time of the trace."""

    now: float = 0.0

    def __call__(self) -> float:
        """Unix time of the service."""
        return self.now


def same(args: argparse.Namespace, folder: Path) -> None:
    """Share of the trace's pods that both place alike."""
    told = {"workload": {"trace": str(PODS), "end": 0.7}, "machines": {"file": str(MACHINES)}}
    export = exported(folder / "a", 0, told)
    jobs, machines = load_jobs(PODS, 4096.0), load_machines(MACHINES)
    clock, policy = Clock(), Policy.load(export)
    scales = Scales.read(policy.description["plain"])
    # The clock is the trace's, on which hours pass before the news of a pod does: advice counts until it is seen.
    settings = Settings(gpus={GPU: 1}, step_s=scales.step_s or 60.0, assumed_s=1e12)
    with Served(export, settings, clock) as served:
        for k, name in enumerate(machines.name):
            served.api.put("nodes", node(machines, k, name))
        served.caught_up()
        replay = Replay(served, policy, scales, jobs, machines, clock)
        replay.run(min(args.most, len(jobs.submit_s)))
    placed = replay.alike + replay.apart
    emit({"what": "Alibaba's pods, service and in-process", "pods": placed, "alike": replay.alike,
          "share": f"{100 * replay.alike / placed:.3f} %", "nodes": len(machines.name),
          "nodes used": len(replay.used), "waited for room": replay.waited})  # fmt: skip


class Replay:
    """Both sides, pod by pod; kube-scheduler's part is filtering and binding where the service says."""

    def __init__(
        self, served: Served, policy: Policy, scales: Scales, jobs: JobTable, machines: MachineTable, clock: Clock
    ) -> None:
        self.served, self.policy, self.scales, self.clock = served, policy, scales, clock
        self.jobs, self.accounts, self.names = jobs, Accounts(machines), np.array(machines.name)
        self.demand = np.stack([jobs.vcpu_milli, jobs.memory_mib, jobs.gpu_milli], 1).astype(np.int64)
        self.line = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        self.ends: list[tuple[float, int]] = []
        self.queue: deque[int] = deque()
        self.used: set[str] = set()
        self.alike = self.apart = self.waited = 0

    def run(self, most: int) -> None:
        """In the order of the trace; who finds no room waits for the next end."""
        for job in range(most):
            self.until(float(self.jobs.submit_s[job]))
            if self.queue or not self.place(job):
                self.waited += 1
                self.queue.append(job)

    def until(self, now: float) -> None:
        """Time goes on: jobs end, and those that wait try again."""
        while self.ends and self.ends[0][0] <= now:
            self.clock.now, job = heapq.heappop(self.ends)
            self.accounts.end(job)
            self.served.api.delete("pods", f"job-{job}")
            self.served.caught_up()
            while self.queue and self.place(self.queue[0]):
                self.queue.popleft()
        self.clock.now = now

    def place(self, job: int) -> bool:
        """Both place it; the service's choice is what happens."""
        demand, seconds = self.demand[job], float(self.jobs.duration_s[job])
        at = self.accounts.room(demand, self.jobs.gpu_models[job])
        if not len(at):
            return False
        known = Job(demand / UNITS, self.scales.steps(seconds), 1)
        own = int(at[self.policy.act(**self.accounts.seen(self.scales, known, at, self.clock.now))])
        chosen = self.ask(pod(job, demand, seconds), self.names[at].tolist())
        self.alike += chosen == self.names[own]
        self.apart += chosen != self.names[own]
        self.served.api.put("pods", pod(job, demand, seconds, chosen))  # bound; the next is asked for before it is seen
        self.used.add(chosen)
        machine = int(np.flatnonzero(self.names == chosen)[0])
        self.accounts.start(job, machine, demand, self.clock.now, seconds)
        heapq.heappush(self.ends, (self.clock.now + seconds / self.accounts.machines.speed[machine], job))
        return True

    def ask(self, given: Object, names: list[str]) -> str:
        """The node with 10."""
        try:
            told = self._asked(given, names)
        except (OSError, http.client.HTTPException):  # the service ends connections on which nothing comes for seconds
            self.line.close()
            told = self._asked(given, names)
        (best,) = [one["Host"] for one in told if one["Score"] == 10]
        return str(best)

    def _asked(self, given: Object, names: list[str]) -> list[dict[str, Any]]:
        self.line.request("POST", "/prioritize", body(given, names), {"Content-Type": "application/json"})
        found: list[dict[str, Any]] = json.loads(self.line.getresponse().read())
        return found


def node(machines: MachineTable, k: int, name: str) -> Object:
    """As the API has it."""
    room = {"cpu": f"{machines.vcpu_milli[k]}m", "memory": f"{machines.memory_mib[k]}Mi", "pods": "10000"}
    notes = {PRICE: repr(float(machines.price[k])), SPEED: repr(float(machines.speed[k]))}
    return {
        "metadata": {"name": name, "annotations": notes},
        "status": {"allocatable": {**room, GPU: str(machines.gpu_milli[k])}},
    }


def pod(job: int, demand: NDArray[np.int64], seconds: float, on: str | None = None) -> Object:
    """As the API has it."""
    requests = {"cpu": f"{demand[0]}m", "memory": f"{demand[1]}Mi", GPU: str(demand[2])}
    return asked(f"job-{job}", requests, on, annotations={RUN_TIME: repr(seconds)})
