"""The search behind the settings of the domain `sumo`: as many candidates for `ippo-local` as for `dg-pg`.

    python benchmarks/sumo_tune.py FOLDER

On a draw of the fleet, training days and fresh days that no table is of. A record a candidate: mean minutes of the
training days ten by ten, and what the greedy policy then took above the same cars as people, on the same fresh seeds.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from common import TUNING_ARRIVALS, emit, interval
from publishing import published
from sumo import CPU

from dgpg.domain import Policy
from dgpg.learning import Trainer
from dgpg.learning.algorithms import find
from dgpg.measuring import NetworkPolicy, play
from dgpg.runs import launch

FLEET = 7
"""Seed of the fleet; tables are of others."""
SEED = 100
"""Of training; tables are of others."""
DAYS = 40
CANDIDATES: dict[str, tuple[dict[str, Any], ...]] = {
    "dg-pg": (
        {"estimator": "mirror", "actor_lr": 3e-3, "clip": 0.25},
        {"estimator": "mirror", "actor_lr": 3e-3, "clip": 0.5},
    ),
    "ippo-local": (
        {"actor_lr": 1e-2, "clip": 0.5},
        {"actor_lr": 3e-3, "clip": 0.2},
    ),
}


def plan_of(network: str, algorithm: str, train: dict[str, Any]) -> launch.Plan:
    """A candidate's run."""
    settings = {"network": network, "fleet": {"seed": FLEET}, "workers": {"count": 0}}
    values = {"algorithm": algorithm, "iterations": DAYS, "seed": SEED, "settings": settings, "train": train}
    return launch.resolve("sumo", {**values, "device": "cpu"})


def taken(plan: launch.Plan, policy: Policy, days: int) -> Any:
    """Mean minutes of the fleet on the same fresh days, `[D]`."""
    played = play(plan.domain, plan.config, policy, days, TUNING_ARRIVALS, CPU)
    return np.asarray(played.measures["fleet, minutes"], float).ravel()


def tried(plan: launch.Plan, human: Any) -> dict[str, Any]:
    """Train one candidate; `human` `[D]` is what people take on the fresh days."""
    torch.set_num_threads(plan.run.train.threads or 1)
    trainer = Trainer(plan.run, find(plan.run.algorithm), plan.task)
    cost = [trainer.iterate()["cost"] for _ in range(DAYS)]
    difference = taken(plan, NetworkPolicy(trainer.team, "greedy"), len(human)) - human
    return {
        **{f"days {n + 1} to {n + 10}": float(np.mean(cost[n : n + 10])) for n in range(0, DAYS, 10)},
        "greedy above human, %": 100 * float(difference.mean() / human.mean()),
        "greedy above human": interval(difference),
    }


def main() -> None:
    """A record a candidate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="folder of a town")
    parser.add_argument("--algorithms", nargs="+", default=list(CANDIDATES))
    parser.add_argument("--days", type=int, default=5, help="fresh SUMO seeds")
    args = parser.parse_args()
    human = None
    for algorithm in args.algorithms:
        for train in CANDIDATES[algorithm]:
            plan = plan_of(args.network, algorithm, train)
            if human is None:
                rules = {rule.name: rule for rule in plan.domain.baselines(plan.config)}  # type: ignore[attr-defined]
                human = taken(plan, rules["human"], args.days)
                emit({"algorithm": "human", "fresh days": float(human.mean())})
            told = {name: train.get(name) for name in ("estimator", "actor_lr", "clip")}
            emit({"algorithm": algorithm, **told, **tried(plan, human)})


if __name__ == "__main__":
    published(main)
