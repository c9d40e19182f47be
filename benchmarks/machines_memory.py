"""Memory of the largest process of a training in several, by their number.

    python benchmarks/machines_memory.py --agents 5000 --processes 1 2 4

As many shards as the most processes, of one environment each; an iteration of `dg-pg` on cloud, preset `waiting`, with
networks that are shared and with one for each agent. `base` is a process with ten agents: torch and the program.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import emit
from publishing import published

MIB = 1024
"""KiB."""


def largest(agents: int, processes: int, shards: int, parameters: str) -> float:
    """Most memory that one of the processes ever held, MiB."""
    start = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"] if processes > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, *start, "-m", "dgpg", "train", "cloud", "--set", f"num_agents={agents}", "--set",
            "preset=waiting", "--num-envs", str(shards), "--set", f"train.shards={shards}", "--set", "train.threads=1",
            "--set", f"train.parameters={parameters}", "--iterations", "1", "--device", "cpu", "--out",
            str(Path(folder) / "run"),
        ]  # fmt: skip
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: ended with status {status}")
    return used.ru_maxrss / MIB


def main() -> None:
    """A record for each kind of networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=5000)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    args = parser.parse_args()
    shards = max(args.processes)
    for parameters in ("shared", "independent"):
        base = largest(10, 1, shards, parameters)
        found = {f"{w}, MiB": largest(args.agents, w, shards, parameters) - base for w in args.processes}
        emit({"agents": args.agents, "networks": parameters, "environments": shards, "base, MiB": base} | found)


if __name__ == "__main__":
    published(main)
