"""Messages an iteration of several processes, what one costs between two of this machine, and iterations of 1 and 2.

    python benchmarks/machines.py --agents 20 200
    python benchmarks/machines.py --agents 200 --cost 2 4 8
    python benchmarks/machines.py --agents 200 --cost 8 --num-envs 32

With `--cost`, what shards cost a single process: processor time of an iteration with so many over that without, in
pairs one after the other, the median of the ratios and their quartiles.

Else, for seconds an iteration takes in W processes: T / W + messages (latency + bytes / bandwidth), see
docs/machines.md.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import torch
import torch.distributed as distributed
from common import emit
from publishing import published
from torch import Tensor

from dgpg.learning import Trainer
from dgpg.learning.algorithms import find
from dgpg.learning.shards import Shards
from dgpg.runs import launch, machine

SHARDS = 2
SIZES = (1, 1_000, 10_000, 100_000, 1_000_000)
"""Numbers in a message, float32."""


def messages(agents: int, algorithm: str) -> dict[str, float]:
    """How many an iteration sends, and bytes of all shards in them."""
    said: list[int] = []

    def counted(own: list[Tensor]) -> list[Tensor]:
        said.append(sum(x.numel() * x.element_size() for x in own))
        return own

    settings = {"settings": {"num_agents": agents}, "algorithm": algorithm, "device": "cpu"}
    plan = launch.resolve("cloud", {**settings, "train": {"shards": SHARDS}})
    trainer = Trainer(plan.run, find(algorithm), plan.task, Shards(SHARDS, exchange=counted))
    trainer.iterate()
    said.clear()
    trainer.iterate()
    return {"messages": len(said), "bytes": sum(said), "largest": max(said)}


def spoken(rank: int, port: int) -> None:
    """One of two processes that say numbers to each other; the first prints seconds a message by its size."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    found = {}
    for size in SIZES:
        own, times = torch.zeros(size), []
        heard = [torch.empty(size) for _ in range(2)]
        for _ in range(50):
            start = time.perf_counter()
            distributed.all_gather(heard, own)
            times.append(time.perf_counter() - start)
        found[size] = statistics.median(times)
    if rank == 0:
        print(json.dumps(found))
    distributed.destroy_process_group()


def transport() -> dict[str, float]:
    """Latency in seconds and bandwidth in bytes a second."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = [sys.executable, __file__, "--speak", str(port)]
    first, second = (subprocess.Popen([*start, str(rank)], stdout=subprocess.PIPE, text=True) for rank in (0, 1))
    seconds = {int(size): x for size, x in json.loads(first.communicate()[0]).items()}
    second.communicate()
    small, large = min(seconds), max(seconds)
    return {"latency": seconds[small], "bandwidth": 4 * (large - small) / (seconds[large] - seconds[small])}


def seconds(agents: int, processes: int, shards: int) -> float:
    """An iteration, the median of those after the first."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        start = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"] if processes > 1 else []
        command = [
            sys.executable, *start, "-m", "dgpg", "train", "cloud", "--set", f"num_agents={agents}", "--iterations",
            "6", "--device", "cpu", "--set", f"train.shards={shards}", "--set", "train.threads=1", "--out", str(out),
        ]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        walls = [json.loads(line)["wall_s"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(after - before for before, after in pairwise(walls))


def made(agents: int, algorithm: str, envs: int | None, shards: int) -> Trainer:
    """One that has been through an iteration."""
    train = {"shards": shards, "threads": 1}
    values = {"settings": {"num_agents": agents}, "algorithm": algorithm, "device": "cpu", "num_envs": envs}
    plan = launch.resolve("cloud", {**values, "train": train})
    trainer = Trainer(plan.run, find(algorithm), plan.task)
    trainer.iterate()
    return trainer


def cost(agents: int, algorithm: str, envs: int | None, shards: list[int], pairs: int) -> dict[str, str]:
    """Percent of processor time that shards add to an iteration of a single process, by their number."""
    torch.set_num_threads(1)
    machine.keep_memory()
    trainers = {count: made(agents, algorithm, envs, count) for count in (1, *shards)}
    took: dict[int, list[float]] = {count: [] for count in trainers}
    for _ in range(pairs):
        for count, trainer in trainers.items():
            start = time.process_time()
            trainer.iterate()
            took[count].append(time.process_time() - start)
    found = {"1 s": f"{statistics.median(took[1]):.2f}"}
    for count in shards:
        more = [100 * (x / one - 1) for x, one in zip(took[count], took[1], strict=True)]
        low, middle, high = statistics.quantiles(more, n=4)
        found[f"{count} %"] = f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"
    return found


def main() -> None:
    """One JSON line a number of agents, then one of the transport."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, nargs="+", default=[20, 200])
    parser.add_argument("--no-times", action="store_true", help="count alone: the machine is not quiet")
    parser.add_argument("--cost", type=int, nargs="+", metavar="S", help="of shards in one process, and nothing else")
    parser.add_argument("--num-envs", type=int, help="with --cost; 8 by default")
    parser.add_argument("--pairs", type=int, default=15, help="with --cost")
    parser.add_argument("--speak", type=int, nargs=2, metavar=("PORT", "RANK"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.speak:
        spoken(args.speak[1], args.speak[0])
        return
    if args.cost:
        for agents in args.agents:
            for algorithm in ("dg-pg", "mappo"):
                found = cost(agents, algorithm, args.num_envs, args.cost, args.pairs)
                emit({"agents": agents, "algorithm": algorithm, "environments": args.num_envs or 8} | found)
        return
    for agents in args.agents:
        for algorithm in ("dg-pg", "mappo"):
            emit({"agents": agents, "algorithm": algorithm, "shards": SHARDS} | messages(agents, algorithm))
        if not args.no_times:
            took = {f"{w} of {s}": seconds(agents, w, s) for w, s in ((1, 1), (1, 2), (2, 2), (1, 8), (2, 8))}
            emit({"agents": agents, "seconds": took})
    if not args.no_times:
        emit(transport())


if __name__ == "__main__":
    published(main)
