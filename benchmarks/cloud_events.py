"""Does the cloud domain make jobs of a real trace wait as long as they would without steps?

    python benchmarks/cloud_events.py

The judge reads the trace itself and plays it event by event in continuous time: each job goes, when it comes, to the
machine whose largest requested share would be least, and each machine starts its jobs in order. The domain plays the
same in one long episode, in steps, dispatchers in turn. Machines and pace are the domain's; nothing else is shared.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import heapq
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import torch
from common import emit
from publishing import published

from dgpg.domain import validate
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.measures import waits
from dgpg_cloud.sequential import Sequential
from dgpg_cloud.view import least_requested

DATA = Path(os.environ.get("DGPG_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "cloud"
CATALOGUE = "ec2/ec2_catalogue_us-east-1_2026-07-20.csv"
NODES = "alibaba_gpu2023/openb_node_list_all_node.csv"
ALIBABA = ("alibaba", "alibaba-cpu250", "alibaba-gpuspec33")
"""Lists of one cluster: as recorded, with more jobs without GPU, with more that ask for a model of GPU."""
TRACES = {
    "alibaba": ("alibaba_gpu2023/openb_pod_list_default.csv", NODES),
    "alibaba-cpu250": ("alibaba_gpu2023/openb_pod_list_cpu250.csv", NODES),
    "alibaba-gpuspec33": ("alibaba_gpu2023/openb_pod_list_gpuspec33.csv", NODES),
    "kth": ("kth_sp2_1996/KTH-SP2-1996-2.1-cln.swf.gz", CATALOGUE),
    "azure": ("azure2017_vm/v1.dev.txt", CATALOGUE),
}
"""Trace and machines, below the folder of the data."""
PART = {**dict.fromkeys(ALIBABA, (0.0, 0.4)), "kth": (0.0, 0.25), "azure": (0.0, 0.02)}
"""What is played of each: some thousand jobs."""
QUIET_S = 9_800_000


@dataclass
class Job:
    """One job of a trace, and where it waits."""

    submit: float
    duration: float
    demand: tuple[float, ...]
    """vCPU, GiB, GPU."""
    models: frozenset[str] = frozenset()
    wait: float | None = None


@dataclass
class Machine:
    """Runs its jobs strictly in order."""

    capacity: tuple[float, ...]
    speed: float
    slots: int
    model: str = ""
    used: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    asked: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    running: int = 0
    line: deque[Job] = field(default_factory=deque)

    def able(self, job: Job) -> bool:
        """Could it run the job if it were empty?"""
        return (not job.models or self.model in job.models) and fits(job.demand, [0.0] * 3, self.capacity)

    def share(self, job: Job) -> float:
        """Largest requested share with the job."""
        return max((a + d) / c for a, d, c in zip(self.asked, job.demand, self.capacity, strict=True) if c > 0)


def fits(demand: Sequence[float], used: Sequence[float], capacity: Sequence[float]) -> bool:
    """Is there room, but for rounding of sums?"""
    return all(d == 0 or u + d <= c + 1e-6 for d, u, c in zip(demand, used, capacity, strict=True))


def simulate(jobs: Sequence[Job], machines: Sequence[Machine], until: float) -> None:
    """First come, first served at each machine, in continuous time; jobs that start by `until` get their wait."""
    ends: list[tuple[float, int, Machine, Job]] = []

    def serve(machine: Machine, now: float) -> None:
        line = machine.line
        while line and machine.running < machine.slots and fits(line[0].demand, machine.used, machine.capacity):
            job = line.popleft()
            job.wait = now - job.submit
            machine.running += 1
            machine.used = [u + d for u, d in zip(machine.used, job.demand, strict=True)]
            heapq.heappush(ends, (now + job.duration / machine.speed, id(job), machine, job))

    def finish_before(time: float) -> None:
        while ends and ends[0][0] <= time:
            now, _, machine, job = heapq.heappop(ends)
            machine.running -= 1
            machine.used = [u - d for u, d in zip(machine.used, job.demand, strict=True)]
            machine.asked = [a - d for a, d in zip(machine.asked, job.demand, strict=True)]
            serve(machine, now)

    for job in jobs:
        finish_before(job.submit)
        machine = min((m for m in machines if m.able(job)), key=lambda m: m.share(job))
        machine.asked = [a + d for a, d in zip(machine.asked, job.demand, strict=True)]
        machine.line.append(job)
        serve(machine, job.submit)
    finish_before(until)


def alibaba(path: Path) -> list[Job]:
    """Pods that ran."""
    jobs = []
    with path.open() as file:
        for row in csv.DictReader(file):
            run = float(row["deletion_time"]) - float(row["scheduled_time"]) if row["scheduled_time"] else 0.0
            if run > 0:
                gpu = int(row["num_gpu"]) * int(row["gpu_milli"] or 0) / 1000
                demand = (int(row["cpu_milli"]) / 1000, int(row["memory_mib"]) / 1024, gpu)
                models = frozenset(filter(None, row["gpu_spec"].split("|")))
                jobs.append(Job(float(row["creation_time"]), run, demand, models))
    return jobs


def kth(path: Path) -> list[Job]:
    """Jobs that ran, 4 GiB a processor."""
    jobs = []
    with gzip.open(path, "rt") as file:
        for line in file:
            if line.strip() and not line.startswith(";"):
                cells = line.split()
                submit, run, processors = float(cells[1]), float(cells[3]), int(cells[4])
                processors = processors if processors > 0 else int(cells[7])
                if run > 0 and processors > 0:
                    jobs.append(Job(submit, run, (processors, 4.0 * processors, 0.0)))
    return jobs


def azure(path: Path) -> list[Job]:
    """VMs of a slice, evenly over the 300 s of their line, for the middle of their duration bin."""
    sizes = {}
    for line in path.with_name("flav_map.txt").read_text().split("\n"):
        if line.strip():
            size, letter = line.split()
            cpu, memory = size.split(",")
            sizes[letter] = (float(cpu), float(memory), 0.0)
    bins: dict[str, list[float]] = {}
    for line in path.with_name("v1.interval_map.txt").read_text().split("\n"):
        if line.strip():
            seconds, number = line.split()
            bins.setdefault(number, []).append(float(seconds))
    jobs = []
    (partner,) = path.parent.glob("v1.dev.c*.txt")
    for came, ran in zip(path.read_text().split("\n"), partner.read_text().split("\n"), strict=True):
        time, _, letters = came.partition(" ")
        names = [x for x in letters.split(",") if x.strip("| ")]
        codes = [x for x in ran.partition(" ")[2].split(",") if x.strip("| ")]
        for i, (name, code) in enumerate(zip(names, codes, strict=True)):
            inside = bins[code[1:]]
            run = (min(inside) + max(inside)) / 2 if code[0] == "U" else min(inside)
            jobs.append(Job(float(time) + 300 * i / len(names), max(run, 150.0), sizes[name]))
    return jobs


READ = {**dict.fromkeys(ALIBABA, alibaba), "kth": kth, "azure": azure}


def path_of(data: Path, name: str) -> Path:
    """The trace; of Alibaba's, which have hardly a pod in their first hundred days, a copy of what came then."""
    path = data / TRACES[name][0]
    if name not in ALIBABA:
        return path
    copy = Path(gettempdir()) / f"dgpg-late-{path.name}"
    header, *rows = path.read_text().splitlines()
    column = header.split(",").index("creation_time")
    copy.write_text("\n".join([header, *(row for row in rows if float(row.split(",")[column]) > QUIET_S), ""]))
    return copy


def settings(data: Path, name: str, machines: int, load: float, seed: int, **workload: Any) -> Config:
    """One long episode, of the part of the trace that is played."""
    trace, table = path_of(data, name), data / TRACES[name][1]
    start, end = PART[name]
    values = {
        "num_agents": machines, "horizon": 2, "everywhere": True, "seed": seed,
        "machines": {"file": table, "queue_places": 4096},
        "workload": {"trace": trace, "load": load, "start": start, "end": end, "bad_rows": "skip", **workload},
    }  # fmt: skip
    return validate(Config, values, "")


def machines_of(data: Path, name: str, instance: Instance) -> list[Machine]:
    """The instance's machines, empty."""
    models = [""] * len(instance.capacity)
    if name in ALIBABA:
        with (data / TRACES[name][1]).open() as file:
            rows = list(csv.DictReader(file))
        models = [rows[i]["model"] for i in instance.rows]
    units, slots = (1000, 1024, 1000), instance.config.run_slots
    return [
        Machine((*(c / u for c, u in zip(row, units, strict=False)), 0.0)[:3], speed / 1000, slots, model)
        for row, speed, model in zip(instance.capacity.tolist(), instance.speed_permille.tolist(), models, strict=True)
    ]


def judged(data: Path, name: str, instance: Instance) -> tuple[list[Job], float]:
    """The part of the trace, played event by event on the instance's machines; and when it ends."""
    assert instance.replay is not None
    machines = machines_of(data, name, instance)
    jobs = [job for job in READ[name](path_of(data, name)) if any(machine.able(job) for machine in machines)]
    jobs.sort(key=lambda job: job.submit)
    first, last = (int(len(jobs) * share) for share in PART[name])
    jobs = jobs[first:last]
    start = jobs[0].submit
    for job in jobs:
        job.submit = (job.submit - start) / instance.replay.pace
    end = jobs[-1].submit
    simulate(jobs, machines, end)
    return jobs, end


def played(config: Config) -> float:
    """Steps that a job waits on average in the domain, of those that come in the first nine tenths."""
    rule = Sequential("in turn", build(config), least_requested, 0.0, config)
    env = domain.make_env(config, 1, torch.device("cpu"), config.seed)
    env.starts = [0]
    decision, noise = env.reset(), torch.zeros(1, config.num_agents)
    for _ in range(config.horizon - 1):  # the last step would start another episode
        decision = env.step(rule.act(decision, noise)).decision
    wait = waits(env.cluster, env.tape, config.horizon - 1).view(config.num_agents, -1)
    arrived = env.tape.arrived[int(0.9 * config.horizon), 0]
    return float(wait[torch.arange(wait.shape[1]) < arrived.unsqueeze(-1)].nanmean())


def mean_waits(
    data: Path, name: str, machines: int, load: float, step_s: float | None, seed: int
) -> tuple[float, float, float]:
    """Seconds that jobs wait on average who come in the first nine tenths, by events and in steps; and of a step.

    Without `step_s` it is the step that the domain chooses.
    """
    own = build(settings(data, name, machines, load, seed, step=step_s))
    assert own.replay is not None
    step_s = own.replay.step_s
    config = settings(data, name, machines, load, seed, step=step_s, pace=own.replay.pace)
    config = config.model_copy(update={"horizon": int(own.replay.arrival[-1]) - 1})
    jobs, end = judged(data, name, build(config))
    early = [job for job in jobs if job.submit < 0.9 * end]
    by_events = sum(end - job.submit if job.wait is None else job.wait for job in early) / len(early)
    return by_events, played(config) * step_s, step_s


def compare(data: Path, name: str, machines: int, load: float, step_s: float | None, seeds: int) -> dict[str, Any]:
    """Means over samples of machines: one wait behind a job of weeks changes all that follow, in either.

    The interval of their ratio is a bootstrap over samples.
    """
    found = np.array([mean_waits(data, name, machines, load, step_s, seed) for seed in range(seeds)])
    by_events, in_steps, steps_s = found.mean(0)
    drawn = found[np.random.default_rng(0).integers(seeds, size=(2000, seeds))].mean(1)
    low, high = np.percentile(drawn[:, 1] / drawn[:, 0], (2.5, 97.5))
    return {
        "trace": name, "machines": machines, "load": load, "samples": seeds, "step_s": float(steps_s),
        "by events, s": float(by_events), "in steps, s": float(in_steps),
        "steps / events": {"mean": float(in_steps / by_events), "low": float(low), "high": float(high)},
    }  # fmt: skip


def main() -> None:
    """One row a trace and length of step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with alibaba_gpu2023, kth_sp2_1996, ...")
    parser.add_argument("--traces", nargs="+", default=list(TRACES), choices=list(TRACES))
    parser.add_argument("--machines", type=int, default=40)
    parser.add_argument("--load", type=float, default=0.8)
    parser.add_argument("--seeds", type=int, default=8, help="samples of machines")
    parser.add_argument("--steps", nargs="+", type=float, default=[None], help="seconds; by default as chosen")
    args = parser.parse_args()
    for name in args.traces:
        for step_s in args.steps:
            emit(compare(args.data, name, args.machines, args.load, step_s, args.seeds))


if __name__ == "__main__":
    published(main)
