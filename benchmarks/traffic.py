"""How near each algorithm comes to the system optimum on the traffic domain, and how fast.

    python benchmarks/traffic.py --static --networks braess SiouxFalls EMA --algorithms dg-pg mappo ippo ippo-local
    python benchmarks/traffic.py --networks SiouxFalls --set demand.scale=0.75 demand.noise=0.25 --algorithms dg-pg

Excess: cost of the greedy policy over that of the row `system-optimum`, which knows demand and incidents, on the same
days, less one. `--static` is the published problem: demand that never varies, no queues, policies that begin on the
shortest routes. A network is a prefix under DGPG_DATA (traffic/tntp), or any that the domain knows. `--measure` are
settings of the evaluation alone. At mark 0 a policy is untrained.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ARRIVALS, TUNING_ARRIVALS, emit, excess, follow
from publishing import published

from dgpg.domain import Policy, merge
from dgpg.measuring import Played, play
from dgpg.runs import launch
from dgpg.runs.overrides import parse_overrides
from dgpg.runs.trained import evaluated_in

STATIC = {"demand": {"profile": "flat", "noise": 0.0}, "queues": False, "horizon": 1, "start": "shortest"}
CPU = torch.device("cpu")
DATA = Path(os.environ.get("DGPG_DATA", Path(__file__).parents[2] / "shared" / "data")) / "traffic" / "tntp"
OPTIMUM = "system-optimum"


def network(name: str) -> str:
    """The prefix of TNTP files where there are some of that name."""
    return str(DATA / name) if (DATA / f"{name}_net.tntp").is_file() else name


def learn(
    plan: launch.Plan, configs: Sequence[Any], marks: Sequence[int], optima: Sequence[Played], arrivals: int
) -> dict[str, Any]:
    """Train; excess at each mark under each configuration, and what it took."""

    def measure(policy: Policy) -> list[float]:
        return [
            excess(play(plan.domain, config, policy, len(optimum.cost), arrivals, CPU), optimum)
            for config, optimum in zip(configs, optima, strict=True)
        ]

    return follow(plan, marks, measure)


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["grid"])
    parser.add_argument("--algorithms", nargs="+", default=["dg-pg"])
    parser.add_argument("--marks", type=int, nargs="+", default=[30, 100, 300])
    parser.add_argument("--model", default=None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=48, help="days measured; static problems need one")
    parser.add_argument("--static", action="store_true")
    parser.add_argument("--tuning", action="store_true", help="measure days that no published figure uses")
    parser.add_argument("--set", nargs="*", default=[], help="more settings, as for dgpg train: a.b=v, train.x=v")
    parser.add_argument("--measure", nargs="*", default=[], help="more evaluations: demand.scale=0.6 ...")
    return parser.parse_args()


def measured_rules(domain: Any, configs: dict[str, Any], name: str, episodes: int, arrivals: int) -> list[Played]:
    """Emit every rule under each configuration; the optima."""
    optima = []
    for where, config in configs.items():
        rules = {rule.name: play(domain, config, rule, episodes, arrivals, CPU) for rule in domain.baselines(config)}
        optima.append(rules[OPTIMUM])
        for rule, found in rules.items():
            above, taken = excess(found, rules[OPTIMUM]), float(found.measures["travel_time"].mean())
            emit({"network": name, "measured": where, "rule": rule, "excess": above, "travel time": taken})
    return optima


def show(title: str, results: Sequence[dict[str, Any]], marks: Sequence[int], at: int) -> None:
    """A row of the table: mean over seeds at each mark under configuration `at`, and the seeds at the last."""
    curve = {m: round(float(np.mean([r["found"][m][at] for r in results])), 4) for m in marks}
    seeds = [round(r["found"][max(marks)][at], 4) for r in results]
    updates, wall = results[0]["updates"][max(marks)], np.mean([r["wall_s"] for r in results])
    print(f"{title} excess {curve} %, seeds {seeds}, {updates} updates, training {wall:.1f} s", flush=True)


def main() -> None:
    """One JSON line a cell and one row of the table."""
    args = arguments()
    more, arrivals = parse_overrides(args.set), TUNING_ARRIVALS if args.tuning else ARRIVALS
    train = more.pop("train", {})
    top = {name: more.pop(name) for name in ("num_envs", "coordination") if name in more}
    for name in args.networks:
        settings = merge(merge(STATIC if args.static else {}, more), {"network": network(name)})
        optima: list[Played] = []
        for algorithm in args.algorithms:
            values = {
                "settings": settings, "device": "cpu", "algorithm": algorithm, "model": args.model,
                "iterations": max(args.marks), "train": train, **top,
            }  # fmt: skip
            plans = [launch.resolve("traffic", {**values, "seed": seed}) for seed in range(args.seeds)]
            domain, trained = plans[0].domain, plans[0].config
            configs = {"trained": trained} | {
                pair: evaluated_in(domain, trained, parse_overrides([pair])) for pair in args.measure
            }
            optima = optima or measured_rules(domain, configs, name, args.episodes, arrivals)
            results = [learn(plan, list(configs.values()), args.marks, optima, arrivals) for plan in plans]
            emit({"network": name, "settings": more, "algorithm": algorithm, "model": args.model, "runs": results})
            for at, where in enumerate(configs):
                show(f"{name} ({where}): {algorithm}", results, args.marks, at)


if __name__ == "__main__":
    published(main)
