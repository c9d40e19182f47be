r"""How fast and how far each algorithm learns on the cloud domain, against h, the best same-information rule.

    python benchmarks/learning.py --agents 5 20 50 --preset default waiting --instances 0 2 3 --seeds 3
    python benchmarks/learning.py --agents 1500 --preset waiting --marks 4 8 20 --algorithms dg-pg mappo
    python benchmarks/learning.py --agents 100 --preset waiting --set train.parameters=independent \
        --algorithms dg-pg mappo --marks 1 2 3 4 5 6 8 10 12 15 20 25 30 40 50 60

One iteration is 8 parallel episodes of 64 steps (2 from 1000 agents) and 16 Adam steps. Figures are costs of the
stochastic policy over h of the instance on the same arrivals, means over instances (machines and graph; 1 is for
tuning) and seeds of training. `above dg-pg %` is of costs of the same instance and seed at each mark, the mean of runs
with a 95 % interval (Student's t over runs, of logarithms). `followed` is dg-pg without values of blocks, `one-pass`
dg-pg with as many Adam steps over data that are seen once; rules learn nothing, and are rows of the same table.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from common import Heuristics, emit, heuristics, mean_over, percent_above, train_and_measure
from publishing import published

from dgpg.learning.algorithms import find
from dgpg.runs.overrides import parse_overrides

ALGORITHMS = ("dg-pg", "followed", "mappo", "mappo-blocks", "ippo", "ippo-local", "ippo-blocks")
FIRST = "dg-pg"
"""What the others are compared with, where it is among them."""
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "followed": {"blocks": {"use": False}},
    "one-pass": {"epochs": 1, "minibatches": 16},
}
"""Rows of dg-pg with other settings of training."""
RULES = {"greedy_potential": "greedy-potential", "more": "best rule that sees more", "random": "random"}
"""Of `Heuristics`, as rows are called."""
Run = Mapping[str, Any]


def main() -> None:
    """Print one JSON line a cell, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, nargs="+", default=[20, 50, 200])
    parser.add_argument("--preset", nargs="+", default=["default", "waiting"])
    parser.add_argument("--algorithms", nargs="+", default=ALGORITHMS)
    parser.add_argument("--marks", type=int, nargs="+", default=[4, 10, 20, 40])
    parser.add_argument("--instances", type=int, nargs="+", default=[0])
    parser.add_argument("--seeds", type=int, default=3, help="of training, in each instance")
    parser.add_argument("--threads", type=int, default=None, help="torch threads; chosen by size by default")
    parser.add_argument("--model", help="analytical model of dg-pg; the domain's own by default")
    parser.add_argument("--set", nargs="*", default=[], help="more settings, as for dgpg train: a.b=v, train.x=v")
    args = parser.parse_args()
    more = parse_overrides(args.set)
    train = {"threads": args.threads, **more.pop("train", {})}
    lines = []
    for preset in args.preset:
        for agents in args.agents:
            settings = {"num_agents": agents, "preset": preset, **more}
            lines += _table(settings, args, train)
    print("\n".join(lines))


def _table(settings: Mapping[str, Any], args: argparse.Namespace, train: Mapping[str, Any]) -> list[str]:
    """Of one preset and one N."""
    rules = {seed: heuristics({**settings, "seed": seed}) for seed in args.instances}
    h, named = float(np.mean([r.h for r in rules.values()])), ", ".join(sorted({r.best for r in rules.values()}))
    emit({**settings, "algorithm": "h", "cost": h, "rule": named})
    lines, first = [f"{settings['preset']}, N = {settings['num_agents']}: h = {h:.4f} ({named})"], None
    for algorithm in sorted(args.algorithms, key=lambda name: name != FIRST):
        results = _runs(settings, algorithm, args, train, rules)
        first = results if algorithm == FIRST else first
        lines.append(_row(settings, algorithm, results, first))
    for field, name in RULES.items():
        costs = [
            {mark: getattr(r, field) / r.h for mark in args.marks} for r in rules.values() for _ in range(args.seeds)
        ]
        if not np.isnan(costs[0][args.marks[0]]):
            lines.append(_row(settings, name, [{"curve": curve} for curve in costs], first))
    return lines


def _runs(
    settings: Mapping[str, Any], algorithm: str, args: argparse.Namespace, train: Mapping[str, Any],
    rules: Mapping[int, Heuristics],
) -> list[Run]:  # fmt: skip
    """A training for each instance and seed, its costs over h of the instance."""
    algorithm, train = (FIRST if algorithm in VARIANTS else algorithm), {**train, **VARIANTS.get(algorithm, {})}
    if not find(algorithm).guided:
        train = {name: value for name, value in train.items() if name != "blocks"}
    found: list[Run] = []
    for instance, rule in rules.items():
        for seed in range(args.seeds):
            where = {**settings, "seed": instance}
            run = train_and_measure(where, args.marks, algorithm=algorithm, seed=seed, train=train, model=args.model)
            curve = {mark: cost / rule.h for mark, cost in run["curve"].items()}
            found.append({**run, "curve": curve, "greedy": run["greedy"] / rule.h})
    return found


def _row(settings: Mapping[str, Any], name: str, results: Sequence[Run], first: Sequence[Run] | None) -> str:
    """One JSON line, and a line of the table."""
    curve, above = mean_over(results), {}
    if first is not None and first is not results and len(results) > 1:  # a single pair has no interval
        above = {mark: percent_above(*([r["curve"][mark] for r in of] for of in (results, first))) for mark in curve}
    over = {mark: round(value, 3) for mark, value in curve.items()}
    emit({**settings, "algorithm": name, "over_h": over, "above dg-pg %": above or None, **_trained(results)})
    cells = "  ".join(f"{mark}: {value:.3f}" for mark, value in curve.items())
    last = max(curve)
    gap = f"   above dg-pg {above[last]['low']:+.1f} to {above[last]['high']:+.1f} %" if above else ""
    return f"  {name:<12} {cells}{gap}"


def _trained(results: Sequence[Run]) -> dict[str, Any]:
    """Of those that learned: the spread of runs at the end, the greedy policy, and seconds a training."""
    if "greedy" not in results[0]:
        return {}
    final = [round(r["curve"][max(r["curve"])], 3) for r in results]
    greedy, wall = (float(np.mean([r[name] for r in results])) for name in ("greedy", "wall_s"))
    return {"final_by_run": final, "greedy": round(greedy, 3), "wall_s": round(wall, 1)}


if __name__ == "__main__":
    published(main)
