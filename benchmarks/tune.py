"""The search behind the settings in dgpg/learning/algorithms.py: the same candidates for every algorithm.

    python benchmarks/tune.py > tune.jsonl
    python benchmarks/tune.py --parameters independent --presets waiting --algorithms dg-pg mappo > independent.jsonl

Cloud domain, N = 50, one seed, cost of the stochastic policy on arrivals that no published figure uses.
"""

from __future__ import annotations

import argparse
import itertools

from common import TUNING_ARRIVALS, emit, train_and_measure
from publishing import published

CANDIDATES = [
    {"actor_lr": lr, "critic_lr": 3e-3, "gamma": gamma, "lambda_": lambda_, "entropy": entropy}
    for lr, gamma, lambda_, entropy in (
        (3e-3, 0.95, 0.9, 1e-3),
        (3e-3, 0.95, 0.0, 1e-3),
        (6e-3, 0.95, 0.9, 1e-3),
        (6e-3, 0.95, 0.5, 1e-3),
        (6e-3, 0.90, 0.9, 1e-3),
        (1e-2, 0.95, 0.9, 1e-3),
        (1e-2, 0.90, 0.5, 1e-3),
        (1e-2, 0.90, 0.0, 1e-3),
        (1e-2, 0.95, 0.9, 0.0),
        (1e-2, 0.90, 0.9, 0.0),
        (1e-3, 0.99, 0.9, 0.0),
        (6e-3, 0.99, 0.0, 1e-3),
    )
]
STEEPER = [{**CANDIDATES[i], "actor_lr": 3e-2} for i in (5, 6, 7)]
"""More for independent parameters: each network sees the data of one agent only."""


def main() -> None:
    """One JSON line a candidate, algorithm and preset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", choices=("shared", "independent"), default="shared")
    parser.add_argument("--presets", nargs="+", default=["default", "waiting"])
    parser.add_argument("--algorithms", nargs="+", default=["dg-pg", "mappo", "ippo", "ippo-local"])
    parser.add_argument("--marks", type=int, nargs="+", default=[10, 20, 40])
    parser.add_argument("--threads", type=int, default=None, help="torch threads; chosen by size by default")
    args = parser.parse_args()
    for candidate in CANDIDATES + (STEEPER if args.parameters == "independent" else []):
        train = {**candidate, "parameters": args.parameters, "threads": args.threads}
        for algorithm, preset in itertools.product(args.algorithms, args.presets):
            settings = {"num_agents": 50, "preset": preset}
            found = train_and_measure(settings, args.marks, TUNING_ARRIVALS, algorithm=algorithm, train=train)
            emit({"algorithm": algorithm, "preset": preset, **train, "cost": found["curve"]})


if __name__ == "__main__":
    published(main)
