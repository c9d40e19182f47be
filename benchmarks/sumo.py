"""How a fleet's routes compare with those that the same cars would take as people, on days that nobody trained on.

    python benchmarks/sumo.py runs/town runs/town-ippo-local --days 10

Runs are those of `dgpg train sumo`, of one town. Each row is measured on the same fresh SUMO seeds, and its difference
to the row `human`, the same cars on people's routes, is taken day by day, with a 95 % interval (Student's t over days).
Of a run also days to human level (the first of five training days in a row whose mean is not above the mean of people)
and, as URB has it, the cost of learning: mean minutes of training days above people's.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ARRIVALS, emit
from publishing import published
from scipy import stats

from dgpg.domain import Policy
from dgpg.measuring import NetworkPolicy, play
from dgpg.runs.trained import Trained, open_trained

CPU = torch.device("cpu")
ROW = 5
"""Days in a row that a fleet must keep to people's level."""


def interval(difference: Any) -> dict[str, float]:
    """Mean and 95 % interval of paired differences `[D]`."""
    mean = float(difference.mean())
    half = (
        float(stats.t.ppf(0.975, len(difference) - 1) * stats.sem(difference)) if len(difference) > 1 else float("nan")
    )
    return {"mean": mean, "low": mean - half, "high": mean + half}


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


def measure(trained: Trained, policies: Mapping[str, Policy], days: int) -> dict[str, Any]:
    """What each policy did on the same days, and seconds of processor that SUMO took for a day."""
    found = {}
    for name, policy in policies.items():
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        played = play(trained.domain, trained.config, policy, days, ARRIVALS, CPU)
        spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - used
        found[name] = (played, spent / days)
    return found


def main() -> None:
    """A record a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs of one town")
    parser.add_argument("--days", type=int, default=10, help="fresh SUMO seeds")
    parser.add_argument("--rules", nargs="*", default=["aon"], help="rows beside human: aon, random")
    args = parser.parse_args()
    # In this process, so that SUMO's seconds are its own children's.
    runs = {path: open_trained(path, {"workers": {"count": 0}}) for path in args.runs}
    first = next(iter(runs.values()))
    rules = {rule.name: rule for rule in first.domain.baselines(first.config)}  # type: ignore[attr-defined]
    wanted = {name: rules[name] for name in ("human", *args.rules)}
    found = measure(first, wanted, args.days)
    for path, run in runs.items():
        own = found | measure(run, {"greedy": NetworkPolicy(run.team, "greedy")}, args.days)
        if path == args.runs[0]:
            for name in wanted:
                emit(row(name, own, name))
        human = float(own["human"][0].measures["fleet, minutes"].mean())
        emit(row(f"{run.run.algorithm}, seed {run.run.seed}", own, "greedy") | training(path, human))


def row(title: str, found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What one policy took, and against people on the same days."""
    played, spent = found[name]
    fleet = {n: np.asarray(found[n][0].measures["fleet, minutes"], float).ravel() for n in (name, "human")}
    difference = fleet[name] - fleet["human"]
    measures = {m: float(played.measures[m].mean()) for m in ("everybody, minutes", "people, minutes", "not arrived")}
    return {
        "row": title,
        "days": len(difference),
        "fleet, minutes": float(fleet[name].mean()),
        "above human": interval(difference) if name != "human" else None,
        "above human, %": 100 * float(difference.mean() / fleet["human"].mean()),
        "days below human": int((difference < 0).sum()),
        **measures,
        "SUMO, CPU s a day": spent,
    }


if __name__ == "__main__":
    published(main)
