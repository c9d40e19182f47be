r"""How fast and how far each algorithm learns on the cloud domain, against h, the best same-information rule.

    python benchmarks/learning.py --agents 20 50 200 --preset default --seeds 3
    python benchmarks/learning.py --agents 1500 --preset waiting --marks 4 8 20 --algorithms dg-pg mappo
    python benchmarks/learning.py --agents 100 --preset waiting --set train.parameters=independent \
        --algorithms dg-pg mappo --marks 1 2 3 4 5 6 8 10 12 15 20 25 30 40 50 60

One iteration is 8 parallel episodes of 64 steps (2 from 1000 agents) and 16 Adam steps. Figures are costs of the
stochastic policy over h on the same arrivals, mean over seeds.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import emit, heuristics, mean_over, train_and_measure
from publishing import published

from dgpg.learning.algorithms import find
from dgpg.runs.overrides import parse_overrides

ALGORITHMS = ("dg-pg", "mappo", "ippo", "ippo-local")


def main() -> None:
    """Print one JSON line a cell, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, nargs="+", default=[20, 50, 200])
    parser.add_argument("--preset", nargs="+", default=["default", "waiting"])
    parser.add_argument("--algorithms", nargs="+", default=ALGORITHMS)
    parser.add_argument("--marks", type=int, nargs="+", default=[4, 10, 20, 40])
    parser.add_argument("--seeds", type=int, default=3)
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
            rules = heuristics(settings)
            emit({"preset": preset, "agents": agents, **vars(rules)})
            others = f"greedy-potential {rules.greedy_potential / rules.h:.2f}, more {rules.more / rules.h:.2f}"
            lines.append(f"{preset}, N = {agents}: h = {rules.h:.4f} ({rules.best}); over h: {others}")
            for algorithm in args.algorithms:
                lines.append(_cell(settings, algorithm, args, train, rules.h))
    print("\n".join(lines))


def _cell(
    settings: dict[str, object], algorithm: str, args: argparse.Namespace, train: dict[str, object], h: float
) -> str:
    marks = args.marks
    if not find(algorithm).guided:
        train = {name: value for name, value in train.items() if name != "blocks"}
    results = [
        train_and_measure(settings, marks, algorithm=algorithm, seed=seed, train=train, model=args.model)
        for seed in range(args.seeds)
    ]
    curve = {mark: round(cost / h, 3) for mark, cost in mean_over(results).items()}
    final = [r["curve"][max(marks)] / h for r in results]
    greedy = float(np.mean([r["greedy"] for r in results])) / h
    wall = float(np.mean([r["wall_s"] for r in results]))
    emit({**settings, "algorithm": algorithm, "over_h": curve, "final_by_seed": final, "wall_s": wall})
    cells = "  ".join(f"{mark}: {value:.3f}" for mark, value in curve.items())
    spread = f"{min(final):.3f} to {max(final):.3f}"
    first = [next((mark for mark, cost in r["curve"].items() if cost <= 2 * h), "-") for r in results]
    return f"  {algorithm:<11} {cells}   seeds {spread}   greedy {greedy:.3f}   2 h at {first}   {wall:.0f} s"


if __name__ == "__main__":
    published(main)
