"""How near each algorithm comes to the system optimum on the traffic domain, and how fast.

    python benchmarks/traffic.py --static --networks braess SiouxFalls EMA --algorithms dg-pg mappo ippo ippo-local
    python benchmarks/traffic.py --networks SiouxFalls --set demand.scale=0.75 demand.noise=0.25 --algorithms dg-pg

Excess: cost of the greedy policy over that of the row `system-optimum`, which knows demand and incidents, on the same
days, less one. `--static` is the published problem: demand that never varies, no queues, policies that begin on the
shortest routes. A network is a prefix under DGPG_DATA (traffic/tntp), or any that the domain knows. `--measure` are
settings of the evaluation alone.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ARRIVALS, TUNING_ARRIVALS, emit, excess, follow

from dgpg import launch
from dgpg.config import merge, parse_overrides
from dgpg.evaluate import Episodes, play
from dgpg.protocols import Policy

STATIC = {"demand": {"profile": "flat", "noise": 0.0}, "queues": False, "horizon": 1, "start": "shortest"}
CPU = torch.device("cpu")
DATA = Path(os.environ.get("DGPG_DATA", Path(__file__).parents[2] / "shared" / "data")) / "traffic" / "tntp"
OPTIMUM, EQUILIBRIUM = "system-optimum", "user-equilibrium"


def network(name: str) -> str:
    """The prefix of TNTP files where there are some of that name."""
    return str(DATA / name) if (DATA / f"{name}_net.tntp").is_file() else name


def learn(
    plan: launch.Plan, configs: Sequence[Any], marks: Sequence[int], optima: Sequence[Episodes], arrivals: int
) -> dict[str, Any]:
    """Train; excess at each mark under each configuration, and what it took."""

    def measure(policy: Policy) -> list[float]:
        return [
            excess(play(plan.domain, config, policy, len(optimum.cost), arrivals, CPU), optimum)
            for config, optimum in zip(configs, optima, strict=True)
        ]

    return follow(plan, marks, measure)


def main() -> None:
    """One JSON line a cell and one row of the table."""
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
    args = parser.parse_args()
    more = parse_overrides(args.set)
    arrivals = TUNING_ARRIVALS if args.tuning else ARRIVALS
    train = more.pop("train", {})
    top = {name: more.pop(name) for name in ("num_envs",) if name in more}
    for name in args.networks:
        settings = merge(merge(STATIC if args.static else {}, more), {"network": network(name)})
        found: list[dict[str, Episodes]] = []
        for algorithm in args.algorithms:
            values = {
                "settings": settings, "device": "cpu", "algorithm": algorithm, "model": args.model,
                "iterations": max(args.marks), "train": train, **top,
            }  # fmt: skip
            plans = [launch.resolve("traffic", {**values, "seed": seed}) for seed in range(args.seeds)]
            domain, trained = plans[0].domain, plans[0].config
            others = [launch.evaluated_in(domain, trained, parse_overrides([pair])) for pair in args.measure]
            configs = [trained, *others]
            if not found:
                for where, config in zip(["trained", *args.measure], configs, strict=True):
                    rules = {
                        rule.name: play(domain, config, rule, args.episodes, arrivals, CPU)
                        for rule in domain.baselines(config)
                    }
                    found.append(rules)
                    for rule, episodes in rules.items():
                        above, time_ = excess(episodes, rules[OPTIMUM]), episodes.measures["travel_time"].mean()
                        print(f"{name} ({where}): {rule} excess {above:.3f} %, time {time_:.4f}", flush=True)
            start = time.perf_counter()
            optima = [rules[OPTIMUM] for rules in found]
            results = [learn(plan, configs, args.marks, optima, arrivals) for plan in plans]
            emit({"network": name, "settings": more, "algorithm": algorithm, "model": args.model, "runs": results})
            for j, where in enumerate(["trained", *args.measure]):
                curve = {m: round(float(np.mean([r["found"][m][j] for r in results])), 4) for m in args.marks}
                last = max(args.marks)
                seeds = [round(r["found"][last][j], 4) for r in results]
                print(
                    f"{name} ({where}): {algorithm} excess {curve} %, seeds {seeds}, {results[0]['updates'][last]} "
                    f"updates, training {np.mean([r['wall_s'] for r in results]):.1f} s, with measuring "
                    f"{(time.perf_counter() - start) / args.seeds:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
