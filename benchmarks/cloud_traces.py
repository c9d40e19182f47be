"""How good is a policy on a part of a real trace that it was not trained on, against every rule?

    python benchmarks/cloud_traces.py

Trained with dg-pg on the first 70 % of the jobs, measured on the last 30 % in the steps, at the pace and on the
machines of the training, in as many episodes as that part has without overlap. Costs an agent and step with 95 %
interval, the difference to the first row on the same episodes, and what is measured beside the cost.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from cloud_events import DATA, TRACES
from common import ARRIVALS, emit
from publishing import published

from dgpg.learning import ALGORITHMS, Trainer
from dgpg.measuring import Played, play
from dgpg.measuring.evaluate import Contestant, networks, rules
from dgpg.measuring.statistics import Costs, difference, interval
from dgpg.runs import launch
from dgpg.runs.trained import evaluated_in
from dgpg_cloud.domain import domain

CPU = torch.device("cpu")
MODELS = ("cloud.headroom", "cloud.capacity")
TOLD = ("wait_mean_s", "wait_p95_s", "use_vcpu", "use_gpu", "usd_per_hour")


def contestants(data: Path, name: str, model: str, iterations: int) -> list[Contestant]:
    """The trained policy in both modes, its untrained self, and every rule, in the part that is measured."""
    trace, machines = (str(data / path) for path in TRACES[name])
    settings = {"workload": {"trace": trace, "load": 0.6, "end": 0.7}, "machines": {"file": machines}}
    values = {"settings": settings, "model": model, "iterations": iterations, "device": "cpu"}
    plan = launch.resolve("cloud", values)
    trainer, fresh = (Trainer(plan.run, ALGORITHMS["dg-pg"], plan.task) for _ in range(2))
    for _ in range(iterations):
        trainer.iterate()
    config = evaluated_in(plan.domain, plan.config, {"workload": {"start": 0.7, "end": 1.0}})
    found = networks(f"dg-pg, {model}", "policy", trainer.team, config)
    found += networks("untrained", "untrained", fresh.team, config)
    return found + rules(domain, config, launch.load_model("cloud", domain, config, model)[0], CPU, 0)


def row(name: str, one: Contestant, found: Played, first: Costs | None) -> dict[str, Any]:
    """What is published of one of them."""
    spread = interval(found.cost) or (float("nan"), float("nan"))
    record: dict[str, Any] = {
        "trace": name, "name": f"{one.name}{f' ({one.mode})' if one.mode else ''}", "sees": one.information,
        "episodes": len(found.cost),
        "cost": {"mean": float(found.cost.mean()), "low": spread[0], "high": spread[1]},
    }  # fmt: skip
    if first is not None:
        apart = difference(found.cost, first, "")
        low, high = apart.percent_ci95 or (float("nan"), float("nan"))
        record["% to the first"] = {"mean": apart.percent, "low": low, "high": high}
    return record | {key: float(found.measures[key].mean()) for key in TOLD if key in found.measures}


def main() -> None:
    """A row a contestant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with alibaba_gpu2023, kth_sp2_1996, ...")
    parser.add_argument("--traces", nargs="+", default=["alibaba"], choices=list(TRACES))
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--episodes", type=int, default=32, help="at most")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.traces:
        first: Costs | None = None
        for model in MODELS:
            for one in contestants(args.data, name, model, args.iterations):
                of_model = one.kind == "policy" or one.name == "greedy-potential"
                if model != MODELS[0] and not of_model:
                    continue  # the same whatever the model is
                episodes = min(args.episodes, domain.episodes(one.config) or args.episodes)
                found = play(domain, one.config, one.policy, episodes, ARRIVALS, CPU)
                named = Contestant(
                    f"{one.name}, {model}" if one.name == "greedy-potential" else one.name,
                    one.kind, one.information, one.mode, one.policy, one.config,
                )  # fmt: skip
                emit(row(name, named, found, first))
                first = found.cost if first is None else first


if __name__ == "__main__":
    published(main)
