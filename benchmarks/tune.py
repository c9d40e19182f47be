"""The search behind the settings in dgpg/learning/algorithms.py: the same candidates for every algorithm.

    python benchmarks/tune.py --threads 1 --publish tuning
    python benchmarks/tune.py --threads 1 --again tuning --seed 1 --publish tuning-again
    python benchmarks/tune.py --parameters independent --presets waiting --algorithms dg-pg mappo > independent.jsonl

Cloud domain, one seed, cost of the stochastic policy on an instance and on arrivals that no published figure uses.
Candidates of shared networks are drawn once, the same for every algorithm, from all that a trust region, a step, an
entropy bonus, a discount and a width may be; those that each algorithm has now are among them. `--again` takes the best
of each algorithm in a table once more, with another seed: of so many, the first is the luckiest as well.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from typing import Any

from common import TUNING_ARRIVALS, emit, train_and_measure
from publishing import FOLDER, published

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
FINALISTS = 3
"""Of each algorithm, that are trained again."""
STEPS = ((3e-3, 0.95, 0.9), (6e-3, 0.95, 0.5), (6e-3, 0.9, 0.9), (1e-2, 0.95, 0.9), (1e-2, 0.9, 0.5), (3e-2, 0.9, 0.0))
INDEPENDENT = [
    {"actor_lr": lr, "gamma": gamma, "lambda_": lambda_, "entropy": entropy}
    for (lr, gamma, lambda_), entropy in itertools.product(STEPS, (1e-3, 0.0))
]
"""Of networks of each agent's own, which see the data of one agent only: steeper steps."""


def drawn(count: int) -> list[dict[str, Any]]:
    """Those of shared networks: what each sampled algorithm has now, then draws that differ from one another."""
    chance = random.Random(0)
    now = [dict(find(name).tuned) for name in ("mappo", "ippo", "ippo-local")]
    found = [{}, *now, {**now[-1], "clip": 0.5, "entropy": 0.0}]
    while len(found) < count:
        candidate = {name: chance.choice(values) for name, values in SPACE.items()}
        if candidate not in found:
            found.append(candidate)
    return found[:count]


def finalists(table: str) -> dict[str, list[dict[str, Any]]]:
    """The best of each algorithm in a table of this script, by the product over presets of the last cost."""
    found = json.loads((FOLDER / f"{table}.json").read_text())
    rows = [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]
    last = max((name for name in found["columns"] if name.startswith("cost ")), key=lambda name: int(name.split()[1]))
    costs: dict[str, dict[str, float]] = {}
    for row in rows:
        said = json.dumps({name: row[name] for name in SPACE if row[name] != ""})
        of = costs.setdefault(row["algorithm"], {})
        of[said] = of.get(said, 1.0) * row[last]
    # Equal costs are of settings that come to the same, said or not.
    best = {name: {cost: said for said, cost in of.items()} for name, of in costs.items()}
    return {name: [json.loads(of[cost]) for cost in sorted(of)[:FINALISTS]] for name, of in best.items()}


def main() -> None:
    """One JSON line a candidate, algorithm and preset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", choices=("shared", "independent"), default="shared")
    parser.add_argument("--presets", nargs="+", default=["default", "waiting"])
    parser.add_argument("--algorithms", nargs="+", default=ALGORITHMS)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--draws", type=int, default=16, help="candidates of shared networks")
    parser.add_argument("--marks", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--seed", type=int, default=0, help="of training")
    parser.add_argument("--again", metavar="TABLE", help="only the best of each algorithm in this table of results")
    parser.add_argument("--threads", type=int, default=None, help="torch threads; chosen by size by default")
    args = parser.parse_args()
    every = INDEPENDENT if args.parameters == "independent" else drawn(args.draws)
    candidates = finalists(args.again) if args.again else dict.fromkeys(args.algorithms, every)
    for algorithm, preset in itertools.product(args.algorithms, args.presets):
        for candidate in candidates[algorithm]:
            _try(algorithm, preset, candidate, args)


def _try(algorithm: str, preset: str, candidate: dict[str, Any], args: argparse.Namespace) -> None:
    settings = {"num_agents": args.agents, "preset": preset, "seed": INSTANCE}
    heard = {name: x for name, x in candidate.items() if name != "lambda_" or find(algorithm).reward != "blocks"}
    train = {**heard, "parameters": args.parameters, "threads": args.threads}
    found = train_and_measure(settings, args.marks, TUNING_ARRIVALS, algorithm=algorithm, seed=args.seed, train=train)
    emit({"algorithm": algorithm, "preset": preset, **candidate, "cost": found["curve"]})


if __name__ == "__main__":
    published(main)
