"""The search behind the settings in dgpg/learning/algorithms.py: the same candidates for every algorithm.

    python benchmarks/tune.py --threads 1 --publish tuning
    python benchmarks/tune.py --parameters independent --presets waiting --algorithms dg-pg mappo > independent.jsonl

Cloud domain, one seed, cost of the stochastic policy on an instance and on arrivals that no published figure uses.
Candidates of shared networks are drawn once, the same for every algorithm, from all that a trust region, a step, an
entropy bonus, a discount and a width may be; those that each algorithm has now are among them.
"""

from __future__ import annotations

import argparse
import itertools
import random
from typing import Any

from common import TUNING_ARRIVALS, emit, train_and_measure
from publishing import published

from dgpg.learning.algorithms import find

ALGORITHMS = ("dg-pg", "mappo", "mappo-blocks", "ippo", "ippo-local", "ippo-blocks")
INSTANCE = 1
"""Seed of machines and graph; tables are of others."""

SPACE: dict[str, tuple[Any, ...]] = {
    "actor_lr": (3e-3, 6e-3, 1e-2),
    "clip": (0.2, 0.3, 0.5),
    "entropy": (0.0, 1e-3),
    "gamma": (0.9, 0.95, 0.99),
    "lambda_": (0.0, 0.5, 0.9),
    "actor_hidden": (32, 48),
}
"""What a candidate of shared networks is drawn from."""
DRAWS = 16
STEPS = ((3e-3, 0.95, 0.9), (6e-3, 0.95, 0.5), (6e-3, 0.9, 0.9), (1e-2, 0.95, 0.9), (1e-2, 0.9, 0.5), (3e-2, 0.9, 0.0))
INDEPENDENT = [
    {"actor_lr": lr, "gamma": gamma, "lambda_": lambda_, "entropy": entropy}
    for (lr, gamma, lambda_), entropy in itertools.product(STEPS, (1e-3, 0.0))
]
"""Of networks of each agent's own, which see the data of one agent only: steeper steps."""


def drawn() -> list[dict[str, Any]]:
    """Those of shared networks: what each sampled algorithm has now, then draws that differ from one another."""
    chance = random.Random(0)
    now = [dict(find(name).tuned) for name in ("mappo", "ippo", "ippo-local")]
    found = [{}, *now, {**now[-1], "clip": 0.5, "entropy": 0.0}]
    while len(found) < DRAWS:
        candidate = {name: chance.choice(values) for name, values in SPACE.items()}
        if candidate not in found:
            found.append(candidate)
    return found


def main() -> None:
    """One JSON line a candidate, algorithm and preset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", choices=("shared", "independent"), default="shared")
    parser.add_argument("--presets", nargs="+", default=["default", "waiting"])
    parser.add_argument("--algorithms", nargs="+", default=ALGORITHMS)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--marks", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--threads", type=int, default=None, help="torch threads; chosen by size by default")
    args = parser.parse_args()
    for candidate in INDEPENDENT if args.parameters == "independent" else drawn():
        train = {**candidate, "parameters": args.parameters, "threads": args.threads}
        for algorithm, preset in itertools.product(args.algorithms, args.presets):
            settings = {"num_agents": args.agents, "preset": preset, "seed": INSTANCE}
            heard = {name: x for name, x in train.items() if name != "lambda_" or find(algorithm).reward != "blocks"}
            found = train_and_measure(settings, args.marks, TUNING_ARRIVALS, algorithm=algorithm, train=heard)
            emit({"algorithm": algorithm, "preset": preset, **train, "cost": found["curve"]})


if __name__ == "__main__":
    published(main)
