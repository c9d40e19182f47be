"""What bounds an iteration: products, bytes and calls of its operators, against what this machine does of each.

    OMP_NUM_THREADS=1 python benchmarks/roofline.py --agents 50 200 1500 --publish speed-roofline

Cloud domain, one thread, medians of iterations after the tenth, when guidance follows what was learned of blocks. Bytes
are inputs and outputs of every operator that is no view, as if none of them stayed in a cache. The machine is measured
in the same run: products as of the policy's hidden layer, copies of 256 MiB, additions of two numbers.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from common import emit
from publishing import published
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from dgpg.learning import Trainer
from dgpg.learning.algorithms import find
from dgpg.runs import launch, machine

WARM = 10
"""Iterations before the first that is looked at."""
ROWS, WIDTH = 16_384, 48
"""Of the product that stands for all: a slice of the update."""
MIB = 2**20


class Traffic(TorchDispatchMode):
    """Counts operators and the bytes that they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.calls += 1
            tensors = [x for x in tree_leaves((args, kwargs, found)) if isinstance(x, Tensor)]
            self.bytes += sum(x.numel() * x.element_size() for x in tensors)
        return found


def fastest(call: Callable[[], object], repeats: int = 50) -> float:
    """Seconds of the fastest call, the first of which are not timed."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times[repeats // 10 :])


def rates() -> dict[str, float]:
    """What a thread of it does: products, bytes, and the time of an operator that has nothing to do."""
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(n, WIDTH, generator=generator) for n in (ROWS, WIDTH))
    there = torch.empty(64 * MIB)
    here, one = torch.ones_like(there), torch.ones(2)
    return {
        "GFLOP/s": 2 * ROWS * WIDTH**2 / fastest(lambda: x @ w) / 1e9,
        "GB/s": 2 * there.numel() * 4 / fastest(lambda: there.copy_(here), 10) / 1e9,
        "us a call": 1e6 * fastest(lambda: one + one, 5000),
    }


def looked_at(agents: int, algorithm: str, repeats: int, of: dict[str, float]) -> dict[str, Any]:
    """An iteration beside what its operators would take at the machine's rates."""
    plan = launch.resolve("cloud", {"algorithm": algorithm, "device": "cpu", "settings": {"num_agents": agents}})
    trainer = Trainer(plan.run, find(algorithm), plan.task)
    for _ in range(WARM):
        trainer.iterate()
    times, shares = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        metrics = trainer.iterate()
        times.append(time.perf_counter() - start)
        shares.append(metrics)
    with Traffic() as traffic:
        trainer.iterate()
    with FlopCounterMode(display=False) as flops:
        trainer.iterate()
    seconds = statistics.median(times)
    return {
        "algorithm": algorithm,
        "N": agents,
        "agent-steps/s": plan.run.num_envs * trainer.horizon * agents / seconds,
        "ms": 1e3 * seconds,
        "products, ms": flops.get_total_flops() / of["GFLOP/s"] / 1e6,
        "bytes, ms": traffic.bytes / of["GB/s"] / 1e6,
        "calls, ms": traffic.calls * of["us a call"] / 1e3,
        "GFLOP": flops.get_total_flops() / 1e9,
        "GB": traffic.bytes / 1e9,
        "calls": traffic.calls,
    } | {name: statistics.median(m[f"share_{name}"] for m in shares) for name in ("rollout", "guidance", "update")}


def main() -> None:
    """One JSON line for the machine, then one for each algorithm and number of agents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, nargs="+", default=[50, 200, 1500])
    parser.add_argument("--algorithms", nargs="+", default=["dg-pg", "mappo"])
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    machine.keep_memory()
    of = rates()
    for agents in args.agents:
        for algorithm in args.algorithms:
            emit({**looked_at(agents, algorithm, args.repeats, of), "machine": of})


if __name__ == "__main__":
    published(main)
