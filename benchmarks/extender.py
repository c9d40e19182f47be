"""What kube-scheduler gets from the service: how fast, whether right, and the same as in-process on a real trace.

    OMP_NUM_THREADS=1 python benchmarks/extender.py fast
    OMP_NUM_THREADS=1 python benchmarks/extender.py right --seconds 600
    OMP_NUM_THREADS=1 python benchmarks/extender.py same

`fast`: `/prioritize` over loopback HTTP from a process of its own, one call after the other; whole nodes have 20
labels, 5 conditions and so many images. `right`: calls under load while exports are swapped and the API server breaks,
ends and compacts; an answer is wrong unless it is, to the last score, that of one of the exports or of the rule.
`same`: Alibaba's pods in their order, each placed by the service (HTTP, watching an API server that is told where pods
go and when they end) and by the policy in-process, on accounts of its own in whole numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import emit
from extending import NODES, Served, body, exported, pods_on, whole_node
from placing import same
from publishing import published
from standing import right

CLIENT = """
import http.client, json, sys, time
port, path, body = int(sys.argv[1]), sys.argv[2], open(sys.argv[3], "rb").read()
count = int(sys.argv[4])
line, spent = http.client.HTTPConnection("127.0.0.1", port), []
for _ in range(count + count // 10):
    began = time.perf_counter()
    line.request("POST", path, body, {"Content-Type": "application/json"})
    answer = line.getresponse()
    found = answer.read()
    spent.append(time.perf_counter() - began)
    assert answer.status == 200, found
scores = json.loads(found)
assert sum(one["Score"] == 10 for one in scores) == 1
print(json.dumps(spent[count // 10:]))
"""


def timed(served: Served, what: str, content: bytes, count: int) -> None:
    """Milliseconds of calls from another process, and of processor that this one spent on each: all else is waiting."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        arguments = [str(served.port), "/prioritize", file.name, str(count)]
        began = time.process_time()
        done = subprocess.run([sys.executable, "-c", CLIENT, *arguments], capture_output=True, text=True, check=True)
        processor = (time.process_time() - began) * 1000 / (count + count // 10)
    p50, p99 = np.quantile(np.array(json.loads(done.stdout)) * 1000, (0.5, 0.99))
    emit({"what": what, "MB": len(content) / 1e6, "p50 ms": float(p50), "p99 ms": float(p99),
          "processor ms": processor, "load average": os.getloadavg()[0]})  # fmt: skip


def fast(args: argparse.Namespace, folder: Path) -> None:
    """By name and whole."""
    names = [f"node-{k:05d}" for k in range(NODES)]
    with Served(exported(folder / "a")) as served:
        for name in names:
            served.api.put("nodes", whole_node(name, 0))
        for pod in pods_on(names, args.pods):
            served.api.put("pods", pod)
        served.settle()
        timed(served, "names only", body(names=names), args.calls)
        for images in (0, 10, 50):
            content = body(nodes=[whole_node(name, images) for name in names])
            timed(served, f"whole nodes, {images} images each", content, args.calls)


def main(arguments: Sequence[str] | None = None) -> None:
    """One part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("fast", "right", "same"))
    parser.add_argument("--calls", type=int, default=500, help="timed calls of each kind")
    parser.add_argument("--pods", type=int, default=12_000, help="pods in the cluster while calls are timed")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long load lasts")
    parser.add_argument("--most", type=int, default=10**9, help="pods of the trace that are placed")
    args = parser.parse_args(arguments)
    parts: dict[str, Any] = {"fast": fast, "right": right, "same": same}
    with tempfile.TemporaryDirectory() as place:
        parts[args.part](args, Path(place))


if __name__ == "__main__":
    published(main)
