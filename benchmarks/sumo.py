"""How a fleet's routes compare with those that the same cars would take as people, on days that nobody trained on.

    python benchmarks/sumo.py runs/town runs/town-ippo-local --days 10

Runs are those of `dgpg train sumo`, of one town and of any draws and shares of the fleet. Each row is measured on the
same fresh SUMO seeds, and its difference to the row `human` of its fleet, the same cars on people's routes, is taken
day by day, with a 95 % interval (Student's t over days); rows of several runs are of the mean difference on each day.
Of a run also days to human level (the first of five training days in a row whose mean is not above the mean of people)
and, as URB has it, the cost of learning: mean minutes of training days above people's.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ARRIVALS, emit, interval
from publishing import published

from dgpg.domain import Policy
from dgpg.measuring import NetworkPolicy, play
from dgpg.runs.trained import Trained, open_trained

CPU = torch.device("cpu")
ROW = 5
"""Days in a row that a fleet must keep to people's level."""


@dataclass(frozen=True)
class Found:
    """What a policy did on the fresh days."""

    fleet: Any
    """Mean minutes of the fleet, of each day, `[D]`."""
    means: Mapping[str, float]
    """Of other measures."""
    spent: float
    """Seconds of processor that SUMO took for a day."""


def training(path: Path, human: float) -> dict[str, Any]:
    """What the days of training were, against people's minutes."""
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    cost = np.array([line["cost"] for line in lines])
    means = np.convolve(cost, np.full(ROW, 1 / ROW), "valid")
    level = np.flatnonzero(means <= human)
    fits = [line["model_r2"] for line in lines[-10:] if "model_r2" in line]
    return {
        "days trained": len(cost),
        "days to human level": int(level[0]) + 1 if len(level) else "not reached",
        "cost of learning": float((cost - human).mean()),
        "R2": float(np.mean(fits)) if fits else None,
    }


def measure(trained: Trained, policy: Policy, days: int) -> Found:
    """What a policy did on the fresh days."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    played = play(trained.domain, trained.config, policy, days, ARRIVALS, CPU)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - used
    fleet = np.asarray(played.measures["fleet, minutes"], float).ravel()
    shown = ("everybody, minutes", "people, minutes", "not arrived")  # a fleet of all leaves no people
    means = {m: float(played.measures[m].mean()) for m in shown if m in played.measures}
    return Found(fleet, means, spent / days)


def row(title: str, found: Found, human: Found) -> dict[str, Any]:
    """What one policy took, and against people on the same days."""
    difference = found.fleet - human.fleet
    return {
        "row": title,
        "days": len(difference),
        "fleet, minutes": float(found.fleet.mean()),
        "above human": interval(difference) if found is not human else None,
        "above human, %": 100 * float(difference.mean() / human.fleet.mean()),
        "days below human": int((difference < 0).sum()),
        **found.means,
        "SUMO, CPU s a day": found.spent,
    }


def together(title: str, difference: Sequence[Any], human: float) -> dict[str, Any]:
    """Differences `[D]` of several runs on the same days: their mean, and its interval over days."""
    mean = np.mean(difference, 0)
    return {
        "row": f"{title}, {len(difference)} runs",
        "days": len(mean),
        "above human": interval(mean),
        "above human, %": 100 * float(mean.mean()) / human,
        "days below human": int((mean < 0).sum()),
    }


def main() -> None:
    """A record a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs of one town")
    parser.add_argument("--days", type=int, default=10, help="fresh SUMO seeds")
    parser.add_argument("--rules", nargs="*", default=["aon"], help="rows beside human of the first fleet: aon, random")
    args = parser.parse_args()
    # In this process, so that SUMO's seconds are its own children's.
    runs = {path: open_trained(path, {"workers": {"count": 0}}) for path in args.runs}
    human: dict[tuple[int, float], Found] = {}
    differences: dict[tuple[str, float], list[Any]] = {}
    for path, run in runs.items():
        fleet = run.config.fleet  # type: ignore[attr-defined]
        cars = fleet.seed, fleet.share
        told = {"fleet": fleet.seed, "share": fleet.share}
        if cars not in human:
            rules = {rule.name: rule for rule in run.domain.baselines(run.config)}  # type: ignore[attr-defined]
            human[cars] = measure(run, rules["human"], args.days)
            emit(told | row("human", human[cars], human[cars]))
            for name in args.rules if len(human) == 1 else ():
                emit(told | row(name, measure(run, rules[name], args.days), human[cars]))
        found, algorithm = measure(run, NetworkPolicy(run.team, "greedy"), args.days), run.run.algorithm
        differences.setdefault((algorithm, fleet.share), []).append(found.fleet - human[cars].fleet)
        learned = training(path, float(human[cars].fleet.mean()))
        emit(told | row(f"{algorithm}, seed {run.run.seed}", found, human[cars]) | learned)
    for (algorithm, share), several in differences.items():
        if len(several) > 1:
            mean = float(np.mean([one.fleet.mean() for (_, of), one in human.items() if of == share]))
            emit({"fleet": "all", "share": share} | together(algorithm, several, mean))


if __name__ == "__main__":
    published(main)
