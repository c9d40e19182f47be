"""What values of blocks are worth where agents set numbers or splits: `dg-pg` with them against the same without.

    python benchmarks/split_values.py --cases grid-incidents grid-queues --seeds 3
    python benchmarks/split_values.py --cases case24-truth --seeds 3

Pairs of the same seed, in turn: the same updates on as many moments; excess over the optimum with full information on
the same episodes, %. `truth` on power is no value of blocks, but more than any could know: guidance by the true cost of
the step, with the loads and outages that agents and model are not told.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from common import ARRIVALS, emit, excess, follow, interval
from power import network as grid
from publishing import published
from torch import Tensor
from traffic import network as roads

from dgpg.domain import Context, merge
from dgpg.measuring import Played, play
from dgpg.runs import launch
from dgpg_power.dynamics import after_outage
from dgpg_power.instance import build
from dgpg_power.models.potentials import CostPotential

CPU = torch.device("cpu")
EPISODES = {"traffic": 8, "power": 48}
OPTIMUM = {"traffic": "system-optimum", "power": "dc-opf"}
INCIDENTS = {"queues": False, "models": {"capacity": "nominal"}, "horizon": 12}


class Truth(CostPotential):
    """The true cost of a step, `power.cost` with all that it is not told."""

    def potential(self, state: Tensor, context: Context) -> Tensor:
        """phi, `[B]`, of outputs `[B, N, 1]`."""
        lines, output = self.grids.like(state), state[..., 0]
        intact = lines.flow(output, context["oracle_load"])
        flow = after_outage(intact, context["oracle_outage"], lines.outage_factors)
        return lines.cost(output, flow, context["demand"], context["available"]) - self.floor


@dataclass(frozen=True)
class Case:
    """An instance, and what both of a pair are trained with."""

    domain: str
    iterations: int
    settings: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `RunConfig` for both."""
    blocks: Mapping[str, Any] = field(default_factory=dict)
    """Settings of values beside those of the domain."""


SHARED = {"num_envs": 16, "train": {"horizon": 4}}
SIOUX = roads("SiouxFalls")
CASES = {
    "grid": Case("traffic", 300, {"queues": False, "horizon": 12}),
    "grid-incidents": Case("traffic", 300, {**INCIDENTS, "incidents": {"probability": 0.03}}),
    "grid-measured": Case(
        "traffic", 300, {"queues": False, "horizon": 12, "incidents": {"probability": 0.03}}
    ),
    "grid-queues": Case("traffic", 300, {"horizon": 12}),
    "grid-queues, what follows": Case("traffic", 300, {"horizon": 12}, SHARED, {"gamma": 0.95}),
    "SiouxFalls-incidents": Case(
        "traffic", 300,
        {**INCIDENTS, "network": SIOUX, "demand": {"scale": 0.75}, "incidents": {"probability": 0.01}},
    ),
    "SiouxFalls-queues": Case(
        "traffic", 100, {"network": SIOUX, "horizon": 12, "time_unit": 36, "demand": {"scale": 0.5}}
    ),
    "case24-truth": Case("power", 1000, {"network": "case24-tight"}),
    "case57-truth": Case("power", 1000, {"network": grid("case57_ieee__api")}),
}  # fmt: skip


def plan(case: Case, seed: int, better: bool) -> launch.Plan:
    """One of a pair."""
    learned = {"train": {"blocks": {"numbers": True, **case.blocks}}} if better and case.domain == "traffic" else {}
    values = merge(merge({"train": {"threads": 1}}, case.values), learned)
    told = {"settings": case.settings, "device": "cpu", "seed": seed, "iterations": case.iterations}
    found = launch.resolve(case.domain, {**values, **told})
    if better and case.domain == "power":
        return replace(found, task=replace(found.task, model=Truth(build(found.config))))
    return found


def optimum(case: Case) -> Played:
    """With full information."""
    found = plan(case, 0, False)
    (rule,) = [r for r in found.domain.baselines(found.config) if r.name == OPTIMUM[case.domain]]  # type: ignore[attr-defined]
    return play(found.domain, found.config, rule, EPISODES[case.domain], ARRIVALS, CPU)


def one(case: Case, seed: int, better: bool, best: Played) -> tuple[float, float]:
    """Excess, %, and seconds of a processor."""
    asked, start = plan(case, seed, better), time.process_time()
    spent: list[float] = []

    def measure(policy: Any) -> float:
        spent.append(time.process_time() - start)
        return excess(play(asked.domain, asked.config, policy, EPISODES[case.domain], ARRIVALS, CPU), best)

    found = follow(asked, [case.iterations], measure)["found"]
    return float(found[case.iterations]), spent[0]


def main() -> None:
    """One row a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    for name in args.cases:
        case = CASES[name]
        best = optimum(case)
        pairs = np.array([[one(case, seed, way, best) for way in (False, True)] for seed in range(args.seeds)])
        (without, better), cpu = pairs[..., 0].T, pairs[..., 1].sum(0)
        emit(
            {
                "case": name, "updates": case.iterations, "seeds": args.seeds, "without %": float(without.mean()),
                "with %": float(better.mean()), "with less without": interval(better - without),
                "times the processor": float(cpu[1] / cpu[0]),
            }
        )  # fmt: skip


if __name__ == "__main__":
    published(main)
