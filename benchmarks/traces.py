"""Every algorithm and rule on real traces: trained on the first 70 % of the jobs, measured on the last 30 %, paired.

    python benchmarks/traces.py --traces alibaba azure kth

Costs are of the stochastic policy, the mean over seeds in each window; windows share no arrival. `over dg-pg` is the
difference to dg-pg on the same windows in percent of its cost, with a paired 95 % interval by block bootstrap.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ARRIVALS, emit
from publishing import published

from dgpg.learning import Trainer
from dgpg.learning.algorithms import find
from dgpg.measuring import NetworkPolicy, Played, play
from dgpg.measuring.evaluate import label, rules
from dgpg.measuring.statistics import block_of, difference, interval
from dgpg.runs import launch
from dgpg.runs.overrides import parse_overrides
from dgpg.runs.trained import evaluated_in

DATA = Path(os.environ.get("DGPG_DATA", Path(__file__).parents[2] / "shared" / "data")) / "cloud"
ALIBABA = {
    "workload": {"trace": str(DATA / "alibaba_gpu2023" / "openb_pod_list_default.csv")},
    "machines": {"file": str(DATA / "alibaba_gpu2023" / "openb_node_list_all_node.csv")},
}
CATALOGUE = {"file": str(DATA / "ec2" / "ec2_catalogue_us-east-1_2026-07-20.csv")}
TRACES: dict[str, dict[str, Any]] = {
    "alibaba": ALIBABA,
    "azure": {"workload": {"trace": str(DATA / "azure2017_vm" / "v1.dev.txt")}},
    "kth": {
        "workload": {"trace": str(DATA / "kth_sp2_1996" / "KTH-SP2-1996-2.1-cln.swf.gz"), "bad_rows": "skip"},
        "machines": CATALOGUE,
    },
}
"""Settings of the domain, but for load and part."""
ALGORITHMS = ("dg-pg", "ippo-local", "mappo", "ippo")
"""The first is what all others are held against."""
CPU = torch.device("cpu")


def settings(trace: str, load: float) -> dict[str, Any]:
    """Of the training."""
    told = TRACES[trace]
    return told | {"workload": told["workload"] | {"load": load, "end": 0.7}}


def trained(trace: str, algorithm: str, seed: int, args: argparse.Namespace) -> tuple[launch.Plan, Trainer]:
    """A trainer after its last iteration."""
    more = parse_overrides(args.set)
    values = {"algorithm": algorithm, "seed": seed, "iterations": args.iterations, "device": "cpu"}
    plan = launch.resolve(
        "cloud", values | {"settings": settings(trace, args.load), "train": {"threads": 1, **more.get("train", {})}}
    )
    torch.set_num_threads(1)
    launch.keep_memory()
    trainer = Trainer(plan.run, find(algorithm), plan.task)
    for _ in range(args.iterations):
        trainer.iterate()
    return plan, trainer


def mean_of(played: Sequence[Played]) -> Played:
    """Over seeds, window by window."""
    measures = {name: np.mean([p.measures[name] for p in played], 0) for name in played[0].measures}
    return Played(np.mean([p.cost for p in played], 0), measures)


def row(trace: str, name: str, information: str, found: Played, against: Played) -> Mapping[str, Any]:
    """Cost, its difference to the first algorithm, and what an operator asks for."""
    block = block_of(len(found.cost))  # windows of one recording, in its order
    spread = interval(found.cost, block) or (float(found.cost.mean()),) * 2
    told = {"trace": trace, "policy": name, "information": information, "windows": len(found.cost)}
    cost = {"cost": {"mean": float(found.cost.mean()), "low": spread[0], "high": spread[1]}}
    apart = difference(found.cost, against.cost, ALGORITHMS[0], block)
    over: dict[str, Any] = {}
    if apart.percent is not None and apart.percent_ci95 is not None:
        low, high = apart.percent_ci95
        over = {"over dg-pg %": {"mean": apart.percent, "low": low, "high": high}}
    return told | cost | over | {name: float(x.mean()) for name, x in found.measures.items()}


def measured(trace: str, args: argparse.Namespace) -> None:
    """A row for every algorithm, the policy untrained and every rule."""
    found: dict[str, tuple[str, Played]] = {}
    for algorithm in args.algorithms:
        runs = [trained(trace, algorithm, seed, args) for seed in range(args.seeds)]
        plan = runs[0][0]
        config = evaluated_in(plan.domain, plan.config, {"workload": {"start": 0.7, "end": 1.0}})
        windows = plan.domain.episodes(config)  # type: ignore[attr-defined]
        count = min(args.episodes, windows or args.episodes)
        policies = [NetworkPolicy(trainer.team, "stochastic") for _, trainer in runs]
        played = [play(plan.domain, config, policy, count, ARRIVALS, CPU) for policy in policies]
        found[algorithm] = ("same", mean_of(played))
        emit(row(trace, algorithm, "same", found[algorithm][1], found[args.algorithms[0]][1]))
    model, _ = launch.load_model("cloud", plan.domain, config, plan.run.model)
    for rule in rules(plan.domain, config, model, CPU, 0):
        one = play(plan.domain, rule.config, rule.policy, count, ARRIVALS, CPU)
        emit(row(trace, label(rule), rule.information, one, found[args.algorithms[0]][1]))


def main() -> None:
    """One JSON line a trace and policy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", nargs="+", default=list(TRACES), choices=list(TRACES))
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS))
    parser.add_argument("--load", type=float, default=0.6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--episodes", type=int, default=32, help="at most; a trace may have fewer windows")
    parser.add_argument("--set", nargs="*", default=[], help="more settings of the training: train.x=v")
    args = parser.parse_args()
    for trace in args.traces:
        measured(trace, args)


if __name__ == "__main__":
    published(main)
