"""Microseconds of one agent's decision by an exported policy, and what loading it takes.

    OMP_NUM_THREADS=1 python benchmarks/decide.py --decisions 20000

A policy of the cloud domain, trained briefly (time does not depend on its weights). Features are at hand as arrays;
`by name` are values by the names of features, `plain values` a job and its nodes, made
into features first. Loading is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import emit
from publishing import published

from dgpg.deploy import Policy
from dgpg.export import export
from dgpg.runs import resolve, start
from dgpg.runs.training import train
from dgpg_cloud.deploy import Job, Nodes, Scales, features

LOAD = """
import json, sys, time
began = time.perf_counter()
from dgpg.deploy import Policy
policy = Policy.load(sys.argv[1])
seconds = time.perf_counter() - began
(resident,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")]
print(json.dumps({"seconds": seconds, "MB resident": int(resident) / 1024}))
"""


def timed(call: Callable[[], Any], count: int) -> dict[str, float]:
    """Microseconds of a call: median and 99 %, after a tenth of the calls untimed."""
    spent = np.empty(count)
    for _ in range(count // 10):
        call()
    for k in range(count):
        began = time.perf_counter_ns()
        call()
        spent[k] = time.perf_counter_ns() - began
    return {"p50 us": float(np.quantile(spent, 0.5)) / 1e3, "p99 us": float(np.quantile(spent, 0.99)) / 1e3}


def plain(rng: np.random.Generator, choices: int) -> tuple[Job, Nodes]:
    """A job and nodes that are half full, as an operator has them."""
    capacity = np.array([[16, 64], [8, 32], [4, 32]], np.float32)[rng.integers(3, size=choices)]
    used = (capacity * rng.random((choices, 1))).astype(np.float32)
    queued, price = rng.integers(3, size=choices).astype(np.float32), rng.random(choices, np.float32)
    return Job(np.array([2, 4], np.float32), 6), Nodes(capacity, used, used, 5 * used, queued, price)


def decided(policy: Policy, scales: Scales, job: Job, nodes: Nodes) -> Any:
    """From plain values to a choice."""
    return policy.act(**features(scales, job, nodes, 0.3))


def main() -> None:
    """One JSON line a way to decide."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=20_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        trainer, run = start(resolve("cloud", {"iterations": 1, "device": "cpu"}), folder / "run")
        train(trainer, run, None, lambda metrics: None)
        export(run.path, folder / "out", decisions=500)
        loaded = subprocess.run(
            [sys.executable, "-c", LOAD, str(folder / "out")], capture_output=True, text=True, check=True
        )
        emit({"what": "import and load", **json.loads(loaded.stdout)})
        policy, rng = Policy.load(folder / "out"), np.random.default_rng(0)
        width = {name: len(features) for name, features in policy.features.items()}
        agent = rng.random(width["agent"], np.float32)
        for choices in (8, 100, 1000):
            seen = rng.random((choices, width["choices"]), np.float32)
            mask = np.ones(choices, bool)
            told = {"choices": choices}
            emit({"what": "arrays", **told, **timed(lambda s=seen, m=mask: policy.act(agent, s, m), args.decisions)})
            own = dict(zip(policy.features["agent"], agent.tolist(), strict=True))
            named = {name: seen[:, n] for n, name in enumerate(policy.features["choices"])}
            emit({"what": "by name", **told, **timed(lambda o=own, s=named: policy.act(o, s), args.decisions)})
            job, nodes = plain(rng, choices)
            one = partial(decided, policy, Scales.read(policy.description["plain"]), job, nodes)
            emit({"what": "plain values", **told, **timed(one, args.decisions)})


if __name__ == "__main__":
    published(main)
