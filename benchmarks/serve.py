"""Milliseconds of HTTP `/decide` at a steady rate, and whether swaps under that load lose or falsify an answer.

    python benchmarks/serve.py --rate 500 --seconds 30 --swapped 600

The service and its client are a process each, on this machine. Requests are sent when they are due, whatever became of
those before; a latency is counted from then. One decision a request, of 8 candidates: by features and by plain
values. Then, for as long as `--swapped` says, two exports of different policies are put in place of each other once a
second, and every answer is held against what the policy does that it names. Ends with status 1 where one is lost or
wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from common import emit
from publishing import published

from dgpg.deploy import Policy, adapter
from dgpg.export import export
from dgpg.runs import resolve, start
from dgpg.runs.training import train

CONNECTIONS = 16
CANDIDATES = 8


@dataclass
class Load:
    """Requests at a steady rate over a few connections."""

    port: int
    bodies: list[bytes]
    latency: list[float] = field(default_factory=list)
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    lost: int = 0

    async def run(self, rate: float, seconds: float) -> None:
        """Send them all, and wait for the answers."""
        queue: asyncio.Queue[tuple[int, float] | None] = asyncio.Queue()
        workers = [asyncio.create_task(self._worker(queue)) for _ in range(CONNECTIONS)]
        began = time.perf_counter()
        for n in range(int(rate * seconds)):
            due = began + n / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            queue.put_nowait((n, due))
        for _ in workers:
            queue.put_nowait(None)
        await asyncio.gather(*workers)

    async def _worker(self, queue: asyncio.Queue[tuple[int, float] | None]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while (found := await queue.get()) is not None:
            n, due = found
            body = self.bodies[n % len(self.bodies)]
            writer.write(b"POST /decide HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                size = next(int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:"))
                told = json.loads(await reader.readexactly(size))
            except (asyncio.IncompleteReadError, ConnectionError, StopIteration, ValueError):
                self.lost += 1
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                continue
            self.latency.append(time.perf_counter() - due)
            self.answers.append((n % len(self.bodies), told))
        writer.close()

    def told(self) -> dict[str, float]:
        """Quantiles, ms."""
        quantiles = np.quantile(self.latency, (0.5, 0.99, 0.999)) * 1e3
        return {name: round(float(x), 3) for name, x in zip(("p50 ms", "p99 ms", "p99.9 ms"), quantiles, strict=True)}


def cpu(pid: int) -> float:
    """Seconds that a process has had of a core."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, int]]:
    """A service's port and process."""
    command = [sys.executable, "-m", "dgpg", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            told = json.loads(line)
            if told["event"] == "listening":
                break
        yield told["port"], process.pid
        process.send_signal(signal.SIGTERM)
        swaps = sum(json.loads(line)["event"] == "swapped" for line in process.stderr)
        emit({"what": "service", "swaps taken": swaps, "exit status": process.wait(30)})


def policies(place: Path) -> dict[str, Path]:
    """Two exports of the cloud domain that see the same, by their digest."""
    found = {}
    for seed in (0, 1):
        plan = resolve("cloud", {"iterations": 1, "device": "cpu", "seed": seed})
        trainer, run = start(plan, place / f"run{seed}")
        train(trainer, run, None, lambda metrics: None)
        export(run.path, place / f"out{seed}", decisions=500)
        found[Policy.load(place / f"out{seed}").digest[:12]] = place / f"out{seed}"
    return found


def bodies(policy: Policy) -> dict[str, list[bytes]]:
    """Requests by features (within what the training saw) and by plain values."""
    rng, inputs = np.random.default_rng(0), policy.description["inputs"]
    features = []
    for _ in range(64):
        one = {}
        for name, shape in (("agent", ()), ("choices", (CANDIDATES,))):
            low, high = (np.array([f[end] for f in inputs[name]]) for end in ("low", "high"))
            one[name] = (low + (high - low) * rng.random((*shape, len(low)))).round(4).tolist()
        features.append(json.dumps(one).encode())
    known = adapter(policy.description)
    assert known is not None
    nodes = [
        {**known.example["nodes"][0], "price": round(0.1 + 0.1 * n, 2), "queued": n % 3} for n in range(CANDIDATES)
    ]
    return {"features": features, "plain values": [json.dumps({"plain": {**known.example, "nodes": nodes}}).encode()]}


async def swapping(exports: Mapping[str, Path], served: Path, seconds: float) -> None:
    """Put the exports in place of each other once a second, as `dgpg export` does."""
    end, places = time.monotonic() + seconds, list(exports.values())
    for n in range(int(seconds)):
        await asyncio.sleep(max(min(1.0, end - time.monotonic()), 0))
        for name in ("policy.json", "policy.onnx"):
            partial = served / f".{name}.partial"
            shutil.copy(places[(n + 1) % 2] / name, partial)
            partial.replace(served / name)


async def under_load(load: Load, exports: Mapping[str, Path], served: Path, rate: float, seconds: float) -> None:
    """Both at once."""
    await asyncio.gather(load.run(rate, seconds), swapping(exports, served, seconds))


def main() -> None:
    """A JSON line a way to ask, one of the swaps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=30, help="of each way to ask")
    parser.add_argument("--swapped", type=float, default=600, help="seconds under swaps")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        exports = policies(place)
        served = Path(shutil.copytree(next(iter(exports.values())), place / "served"))
        loaded = {digest: Policy.load(folder) for digest, folder in exports.items()}
        ways = bodies(next(iter(loaded.values())))
        with serving(served) as (port, pid):
            for what, asked in ways.items():
                load, before = Load(port, asked), cpu(pid)
                asyncio.run(load.run(args.rate, args.seconds))
                each = (cpu(pid) - before) / len(load.answers) * 1e3
                emit({"what": what, "requests a second": args.rate, "answers": len(load.answers), "lost": load.lost,
                      **load.told(), "CPU ms a request": round(each, 3)})  # fmt: skip
            load = Load(port, ways["features"])
            asyncio.run(under_load(load, exports, served, args.rate, args.swapped))
        right = {digest: [int(one.act(**json.loads(body))) for body in load.bodies] for digest, one in loaded.items()}
        wrong = sum(told.get("action") != right.get(told.get("export", ""), [None] * 64)[n] for n, told in load.answers)
        emit({"what": "features, swapped once a second", "answers": len(load.answers), "lost": load.lost,
              "wrong": wrong, **load.told()})  # fmt: skip
    print(f"{wrong} wrong, {load.lost} lost of {len(load.answers) + load.lost} answers", file=sys.stderr)
    if wrong or load.lost:
        sys.exit(1)


if __name__ == "__main__":
    published(main)
