"""Every algorithm and rule on real traces: trained on the first 70 % of the jobs, measured on the last 30 %, paired.

    python benchmarks/traces.py --traces alibaba azure kth

Costs are of the stochastic policy, the mean over seeds in each window; windows share no arrival. `over dg-pg` is the
difference to dg-pg, with the first of `--models`, on the same windows in percent of its cost, with a paired 95 %
interval by block bootstrap. Of further models there is a row of dg-pg and one of following them without learning.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ARRIVALS, emit
from publishing import published

from dgpg.learning import Trainer
from dgpg.learning.algorithms import find
from dgpg.measuring import NetworkPolicy, Played, play
from dgpg.measuring.evaluate import Contestant, label, rules
from dgpg.measuring.statistics import block_of, difference, interval
from dgpg.runs import building, launch, machine
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
GUIDED = "dg-pg"
"""What all others are held against, and what a model is for."""
CPU = torch.device("cpu")
Found = tuple[str, str, Played]
"""Name, information, and what it did."""


def settings(trace: str, load: float) -> dict[str, Any]:
    """Of the training."""
    told = TRACES[trace]
    return told | {"workload": told["workload"] | {"load": load, "end": 0.7}}


def planned(trace: str, algorithm: str, model: str, seed: int, args: argparse.Namespace) -> launch.Plan:
    """A training on the first part of a trace."""
    values: dict[str, Any] = {"algorithm": algorithm, "seed": seed, "iterations": args.iterations, "device": "cpu"}
    values |= {"model": model} if algorithm == GUIDED else {}
    train = {"threads": 1, **parse_overrides(args.set).get("train", {})}
    return launch.resolve("cloud", values | {"settings": settings(trace, args.load), "train": train})


def trained(plan: launch.Plan) -> Trainer:
    """A trainer after its last iteration."""
    torch.set_num_threads(1)
    machine.keep_memory()
    trainer = Trainer(plan.run, find(plan.run.algorithm), plan.task)
    for _ in range(plan.run.iterations):
        trainer.iterate()
    return trainer


def mean_of(played: Sequence[Played]) -> Played:
    """Over seeds, window by window."""
    measures = {name: np.mean([p.measures[name] for p in played], 0) for name in played[0].measures}
    return Played(np.mean([p.cost for p in played], 0), measures)


class Part:
    """The part of a trace that policies are measured on, as a training meets it."""

    def __init__(self, plan: launch.Plan, args: argparse.Namespace) -> None:
        self.domain, self.models = plan.domain, args.models
        horizon = {} if args.horizon is None else {"horizon": args.horizon}
        self.config = evaluated_in(plan.domain, plan.config, {"workload": {"start": 0.7, "end": 1.0}, **horizon})
        windows = plan.domain.episodes(self.config)  # type: ignore[attr-defined]
        self.count = min(args.episodes, windows or args.episodes)

    def teams(self, trainers: Sequence[Trainer]) -> Played:
        """Policies of several seeds."""
        policies = [NetworkPolicy(trainer.team, "stochastic") for trainer in trainers]
        return mean_of([play(self.domain, self.config, policy, self.count, ARRIVALS, CPU) for policy in policies])

    def rules(self, model: str) -> Iterator[Found]:
        """Rules that learn nothing: of the first model all, of another the one that follows it."""
        loaded, _ = building.load_model("cloud", self.domain, self.config, model)
        for rule in rules(self.domain, self.config, loaded, CPU, 0):
            follows = rule.name == "greedy-potential"
            if follows or model == self.models[0]:
                played = play(self.domain, rule.config, rule.policy, self.count, ARRIVALS, CPU)
                yield self.named(rule, model) if follows else label(rule), rule.information, played

    def named(self, rule: Contestant, model: str) -> str:
        """With its model, where there are several."""
        return label(rule) if len(self.models) == 1 else f"{label(rule)}, {model}"


def measured(trace: str, args: argparse.Namespace) -> Iterator[Found]:
    """Each algorithm, dg-pg with each further model, the policy untrained, and every rule."""
    first, *others = args.models
    for algorithm in args.algorithms:
        plans = [planned(trace, algorithm, first, seed, args) for seed in range(args.seeds)]
        part, several = Part(plans[0], args), algorithm == GUIDED and others
        yield f"{algorithm}, {first}" if several else algorithm, "same", part.teams([trained(plan) for plan in plans])
    for model in others:
        plans = [planned(trace, GUIDED, model, seed, args) for seed in range(args.seeds)]
        yield f"{GUIDED}, {model}", "same", part.teams([trained(plan) for plan in plans])
    plans = [planned(trace, GUIDED, first, seed, args) for seed in range(args.seeds)]
    fresh = [Trainer(plan.run, find(GUIDED), plan.task) for plan in plans]
    yield "untrained", "same", part.teams(fresh)
    for model in args.models:
        yield from part.rules(model)


def row(trace: str, name: str, information: str, found: Played, against: Played) -> Mapping[str, Any]:
    """Cost, its difference to the first algorithm, and what an operator asks for."""
    block = block_of(len(found.cost))  # windows of one recording, in its order
    spread = interval(found.cost, block) or (float(found.cost.mean()),) * 2
    told = {"trace": trace, "policy": name, "information": information, "windows": len(found.cost)}
    cost = {"cost": {"mean": float(found.cost.mean()), "low": spread[0], "high": spread[1]}}
    apart = difference(found.cost, against.cost, GUIDED, block)
    over: dict[str, Any] = {}
    if apart.percent is not None and apart.percent_ci95 is not None:
        low, high = apart.percent_ci95
        over = {"over dg-pg %": {"mean": apart.percent, "low": low, "high": high}}
    return told | cost | over | {name: float(x.mean()) for name, x in found.measures.items()}


def main() -> None:
    """One JSON line a trace and policy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", nargs="+", default=list(TRACES), choices=list(TRACES))
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS))
    parser.add_argument("--models", nargs="+", default=["cloud.headroom"])
    parser.add_argument("--load", type=float, default=0.6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--episodes", type=int, default=32, help="at most; a trace may have fewer windows")
    parser.add_argument("--horizon", type=int, help="steps of a measured episode; by default those of the training")
    parser.add_argument("--set", nargs="*", default=[], help="more settings of the training: train.x=v")
    args = parser.parse_args()
    for trace in args.traces:
        against: Played | None = None
        for name, information, found in measured(trace, args):
            against = against or found
            emit(row(trace, name, information, found, against))


if __name__ == "__main__":
    published(main)
