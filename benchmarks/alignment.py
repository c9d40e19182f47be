"""Alignment of the cloud domain's models with the true cost, and of models made wrong on purpose.

    python benchmarks/alignment.py

Wrong versions of `cloud.capacity`: its machines permuted, all taken for their mean, capacities turned upside down,
speeds turned upside down, memory or everything in units 1000 times off.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from common import emit
from publishing import published
from torch import Tensor

from dgpg.domain import AnalyticalModel, registry
from dgpg.learning import Task
from dgpg.measuring import alignment
from dgpg.runs import launch


def _permuted(table: Tensor, resources: int) -> Tensor:
    return table[torch.randperm(len(table), generator=torch.Generator().manual_seed(0))]


def _homogeneous(table: Tensor, resources: int) -> Tensor:
    return table.mean(0, keepdim=True).expand_as(table)


def _upside_down(table: Tensor, resources: int) -> Tensor:
    table[:, : 2 * resources] = 1 / table[:, : 2 * resources].clamp(min=1e-6)
    return table


def _wrong_speeds(table: Tensor, resources: int) -> Tensor:
    inverse, rate = table[:, :resources], table[:, resources : 2 * resources]
    table[:, resources : 2 * resources] = inverse.square() / rate.clamp(min=1e-9)
    return table


def _memory_1000(table: Tensor, resources: int) -> Tensor:
    table[:, [1, resources + 1]] *= 1000
    return table


def _all_1000(table: Tensor, resources: int) -> Tensor:
    table[:, : 2 * resources] *= 1000
    return table


WRONG: dict[str, Callable[[Tensor, int], Tensor]] = {
    "machines permuted": _permuted,
    "machines alike": _homogeneous,
    "capacities upside down": _upside_down,
    "speeds upside down": _wrong_speeds,
    "memory x 1000": _memory_1000,
    "all amounts x 1000": _all_1000,
}


def models(task: Task, config: object) -> Iterator[tuple[str, AnalyticalModel]]:
    """Right ones first; `cloud.capacity` is a table by machine."""
    for name in ("cloud.headroom", "cloud.capacity", "cloud.demand", "cloud.fluid"):
        yield name, registry.load_model(name, config)  # type: ignore[arg-type]
    for name, spoil in WRONG.items():
        model = copy.deepcopy(task.model)
        model.table.copy_(spoil(model.table.clone(), model.resources))  # type: ignore[attr-defined]
        yield name, model


def main() -> None:
    """One JSON line a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--presets", nargs="+", default=["default", "waiting"])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for preset in args.presets:
        settings = {"num_agents": args.agents, "preset": preset}
        values = {"settings": settings, "device": "cpu", "model": "cloud.capacity"}
        plan = launch.probe("cloud", values, alignment.ROWS, args.seed)
        task = plan.task
        for name, model in models(task, plan.config):
            tried = replace(plan, task=Task(task.env, model, task.mapping))
            found = alignment.checked(tried, alignment.Plan(), args.seed)
            low, high = found.gain_ci95
            gain = {"mean": found.gain, "low": low, "high": high}
            verdict = found.verdict.partition(":")[0]
            told = {"direction": found.direction, "worst quarter": found.worst}
            told |= {"worst along": min(one.direction for one in found.along), "gain": gain, "scale": found.scale}
            alone = found.alone
            assert alone is not None
            costs = {"followed alone": alone.cost, "best rule": alone.rule_cost, "even draws": alone.even}
            emit({"preset": preset, "model": name, **told, **costs, "verdict": verdict})


if __name__ == "__main__":
    published(main)
