"""Trainings in several processes that lose one of them, go on in another number, and what became of the result.

    python benchmarks/machines_killed.py --kills 30

Each kill draws a case (domain, algorithm, how agents are parameterised, whether they speak), two different numbers of
processes and a moment, ends one process with SIGKILL there, sees that the others end by themselves, and resumes in the
other number. Then every checkpoint and the log are compared, times aside, with those of a run that nobody disturbed,
in a single process. `lost` counts runs that could not go on, `stuck` processes that had to be ended, `different` runs
of which a bit differs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from common import emit
from publishing import published

SIZES = (1, 2, 4, 8)
ITERATIONS = 12
QUIET = 90.0
"""Seconds in which processes must have ended whose training lost one: its own bound is a minute."""
START = 120.0
INSTANCES = {
    "cloud": ["num_agents=6", "candidates=4", "horizon=12"],
    "traffic": ["network=braess", "agents_per_pair=3", "horizon=6"],
    "power": ["network=case9", "horizon=6"],
}
"""As small as domains name them for `dgpg check`."""
FORMS = {
    "shared": [],
    "rounds": ["coordination.rounds=2"],
    "independent": ["train.parameters=independent"],
}
IMPORTED = [
    "torch._dynamo",
    "torch.distributed.rendezvous",
    "dgpg.cli.training",
    *(f"dgpg_{name}.domain" for name in INSTANCES),
]
"""Once, before processes are forked; the first optimiser imports a good part of torch."""
OF_ALL = [
    "train.shards=8", "train.minibatches=2", "train.epochs=1", "train.checkpoint_every=2",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What is trained."""

    domain: str
    algorithm: str
    form: str

    def arguments(self, out: Path) -> list[str]:
        """Of `dgpg`."""
        settings = [*INSTANCES[self.domain], *FORMS[self.form], *OF_ALL]
        told = [part for one in settings for part in ("--set", one)]
        more = ["--iterations", str(ITERATIONS), "--num-envs", "8", "--device", "cpu", "--log", "none"]
        return ["train", self.domain, "--algorithm", self.algorithm, *more, *told, "--out", str(out)]


CASES = [Case(*one) for one in product(INSTANCES, ("dg-pg", "mappo"), FORMS)]


def rank(number: int, size: int, port: int, arguments: Sequence[str], said: str) -> None:
    """One process of a training, what it says in a file."""
    from dgpg import cli

    if size > 1:
        place = {"WORLD_SIZE": size, "RANK": number, "LOCAL_RANK": number, "MASTER_ADDR": "127.0.0.1"}
        os.environ.update({name: str(value) for name, value in place.items()} | {"MASTER_PORT": str(port)})
    for stream in (1, 2):
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    torch.set_num_threads(1)
    sys.argv = ["dgpg", *arguments]
    cli.main()


class Training:
    """The processes of one training; a context manager that leaves none behind."""

    def __init__(self, size: int, arguments: Sequence[str], folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        start = multiprocessing.get_context("forkserver").Process
        self.said = [folder / f"said-{number}" for number in range(size)]
        self.ranks: list[BaseProcess] = [
            start(target=rank, args=(number, size, port, list(arguments), str(said)))
            for number, said in enumerate(self.said)
        ]

    def __enter__(self) -> Training:
        for process in self.ranks:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.ranks:
            process.kill()
            process.join()

    def wait(self, seconds: float) -> list[int | None]:
        """How each ended; None if it has not."""
        end = time.monotonic() + seconds
        for process in self.ranks:
            process.join(max(end - time.monotonic(), 0))
        return [process.exitcode for process in self.ranks]

    def text(self) -> str:
        """What all of them said."""
        return "\n".join(said.read_text() for said in self.said if said.exists())


def trained(size: int, arguments: Sequence[str], folder: Path) -> str | None:
    """Train to the end; what was said if that went wrong."""
    with Training(size, arguments, folder) as training:
        ends = training.wait(10 * START)
        return None if ends == [0] * size else f"{ends}: {training.text()[-2000:]}"


def lines(run: Path) -> list[dict[str, Any]]:
    """Of the log, without times."""
    log = run / "metrics.jsonl"
    found = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [{k: v for k, v in one.items() if k != "wall_s" and not k.startswith("share_")} for one in found]


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers of a checkpoint by their place, tensors as their bytes, without times."""
    if isinstance(value, torch.Tensor):
        yield name, (str(value.dtype), list(value.shape), value.contiguous().numpy().tobytes())
    elif isinstance(value, Mapping):
        for key in value:
            if key != "wall_s":
                yield from leaves(value[key], f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            yield from leaves(inner, f"{name}.{at}")
    else:
        yield name, value


def difference(run: Path, whole: Path) -> str | None:
    """The first place in which checkpoints or logs differ."""
    names = [sorted(file.name for file in (one / "checkpoints").iterdir()) for one in (run, whole)]
    if names[0] != names[1]:
        return f"checkpoints {names}"
    for name in names[0]:
        one, other = (dict(leaves(torch.load(x / "checkpoints" / name, weights_only=True))) for x in (run, whole))
        differing = [key for key in (*one, *other) if one.get(key) != other.get(key)]
        if differing:
            return f"{name}: {differing[0]} and {len(differing) - 1} more"
    return None if lines(run) == lines(whole) else "metrics.jsonl"


def moment(training: Training, run: Path, draw: random.Random) -> int:
    """Wait until some iterations are logged (0: until there is a folder) and a while longer; how many are."""
    count, end = draw.randrange(ITERATIONS), time.monotonic() + START
    while not (run / "checkpoints").exists() if count == 0 else len(lines(run)) < count:
        if time.monotonic() > end or not all(process.is_alive() for process in training.ranks):
            break
        time.sleep(0.002)
    time.sleep(draw.uniform(0, 0.2))
    return len(lines(run))


def killed(case: Case, draw: random.Random, whole: Path, folder: Path) -> dict[str, Any]:
    """One kill, what followed, and how it ended."""
    run, (before, after) = folder / "run", draw.sample(SIZES, 2)
    with Training(before, case.arguments(run), folder) as training:
        reached = moment(training, run, draw)
        victim = draw.randrange(before)
        in_time = training.ranks[victim].is_alive()
        os.kill(training.ranks[victim].pid or 0, signal.SIGKILL)
        start = time.monotonic()
        ends = training.wait(QUIET)
        seconds = time.monotonic() - start
    told = {"killed": victim, "of": before, "iteration": reached, "on in": after, "in time": in_time}
    saved = [int(file.stem[-6:]) for file in (run / "checkpoints").glob("iteration-*.pt")]
    wrong = trained(after, [*case.arguments(run), "--resume"], folder)
    different = None if wrong else difference(run, whole)
    found = {"again": reached - max(saved, default=0), "ended_s": round(seconds, 1), "stuck": ends.count(None)}
    return vars(case) | told | found | {"lost": wrong, "different": different}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One row of all kills."""
    of = {name: sum(row[name] is not None for row in rows) for name in ("lost", "different")}
    return {
        "kills": sum(row["in time"] for row in rows),
        "cases": len({(row["domain"], row["algorithm"], row["form"]) for row in rows}),
        **of,
        "stuck": sum(row["stuck"] for row in rows),
        "slowest end s": max(row["ended_s"] for row in rows),
        "iterations done again": sum(row["again"] for row in rows),
    }


def main() -> None:
    """Print a line a kill; the record is the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--domains", nargs="+", default=list(INSTANCES), choices=list(INSTANCES))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    multiprocessing.get_context("forkserver").set_forkserver_preload(IMPORTED)
    draw, rows, wholes = random.Random(args.seed), [], {}
    cases = [case for case in CASES if case.domain in args.domains]
    order = [case for _ in range(-(-args.kills // len(cases))) for case in draw.sample(cases, len(cases))]
    with tempfile.TemporaryDirectory() as place:
        while sum(row["in time"] for row in rows) < args.kills:
            case = order[len(rows) % len(order)]
            folder = Path(place) / str(len(rows))
            folder.mkdir()
            if case not in wholes:
                wholes[case] = folder / "whole"
                wrong = trained(1, case.arguments(wholes[case]), folder)
                if wrong:
                    sys.exit(f"{case}: {wrong}")
            rows.append(killed(case, draw, wholes[case], folder))
            print(json.dumps(rows[-1]), flush=True)
    emit(summary(rows))


if __name__ == "__main__":
    published(main)
