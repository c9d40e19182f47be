"""Measure a run of a sweep, as a process of its own: python -m dgpg.sweeps.measure RUN EPISODES ARRIVALS."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from dgpg.errors import DgpgError
from dgpg.measuring.evaluate import network_rows, recorded_episodes
from dgpg.runs import RunFolder, open_trained
from dgpg.runs.atomic import write_json
from dgpg.runs.machine import keep_memory
from dgpg.sweeps.folder import MEASURED


def measured(path: Path, episodes: int, arrivals: int) -> dict[str, Any]:
    """Cost of the policy sampled and greedy, an agent and step, and what its training took."""
    trained = open_trained(path, {})
    count = recorded_episodes(trained, episodes).count
    sampled, greedy = network_rows(trained.run.algorithm, "policy", trained.team, trained, count, arrivals)
    log = RunFolder(path).read_log()
    return {
        "cost": sampled.cost,
        "greedy": greedy.cost,
        "costs": list(sampled.costs),
        "episodes": count,
        "arrivals": arrivals,
        "iteration": trained.iteration,
        "wall_s": log[-1]["wall_s"] if log else 0.0,
    }


def main(path: str, episodes: str, arrivals: str) -> None:
    """Write measured.json into the run."""
    torch.set_num_threads(1)
    keep_memory()
    try:
        write_json(Path(path) / MEASURED, measured(Path(path), int(episodes), int(arrivals)))
    except DgpgError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
