"""The search that chose how the sampled algorithms train on power and traffic: the same candidates for each, one seed.

    python benchmarks/tune_sampled.py --domain power --marks 30 100
    python benchmarks/tune_sampled.py --domain traffic --marks 100 300

Power: case118_ieee__api at level C, exact, 24 hours of 171 environments an iteration. Traffic:
the default network with twelve periods a day, one period of 64 environments an iteration. Percent above the optimum, on
arrivals that no published figure uses.
"""

from __future__ import annotations

import argparse
from typing import Any

import power
from common import TUNING_ARRIVALS, emit, excess, follow
from publishing import published

from dgpg.domain import Policy
from dgpg.errors import DgpgError
from dgpg.measuring import Played, play
from dgpg.runs import launch

SETTINGS: dict[str, dict[str, Any]] = {
    "power": power.EXACT | {"network": power.network("case118_ieee__api"), "observation": "C"},
    "traffic": {"network": "grid", "horizon": 12},
}
NOW = {"gamma": 0.0, "lambda_": 0.0}
DISCOUNTS = (NOW, {"gamma": 0.5, "lambda_": 0.9}, {"gamma": 0.95, "lambda_": 0.9})
ENVIRONMENTS, EPISODES = {"power": 171, "traffic": 64}, {"power": 48, "traffic": 24}
POWER = [
    *({"actor_lr": lr, **discount} for discount in DISCOUNTS for lr in (5e-4, 1e-3, 3e-3)),
    {"actor_lr": 1e-2, **NOW},
    *(
        {"actor_lr": 3e-3, **NOW, **change}
        for change in ({"clip": 0.1}, {"entropy": 0.0}, {"epochs": 4}, {"minibatches": 32}, {"distribution": "beta"})
    ),
]
"""Fifteen: the step and the discount, then one change at a time of what was best for mappo and ippo."""
TRAFFIC = [
    *({"actor_lr": lr, **NOW} for lr in (1e-3, 3e-3, 1e-2, 3e-2)),
    *({"actor_lr": 1e-2, **discount} for discount in DISCOUNTS[1:]),
    *(
        {"actor_lr": 1e-2, **NOW, **change}
        for change in ({"clip": 0.1}, {"entropy": 0.0}, {"epochs": 4}, {"minibatches": 8})
    ),
]
CANDIDATES = {"power": POWER, "traffic": TRAFFIC}


def measured(plan: launch.Plan, policy: Policy) -> Played:
    """Days or hours for tuning."""
    return play(
        plan.domain, plan.config, policy, EPISODES[plan.run.domain], TUNING_ARRIVALS, plan.task.env.device
    )  # fmt: skip


def best(plan: launch.Plan) -> Played:
    """The optimum with full information."""
    rules = plan.domain.baselines(plan.config)  # type: ignore[attr-defined]
    return measured(plan, next(rule for rule in rules if rule.name in ("dc-opf", "system-optimum")))


def main() -> None:
    """One JSON line a candidate and algorithm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domain", choices=tuple(SETTINGS), default="power")
    parser.add_argument("--algorithms", nargs="+", default=["mappo", "ippo", "ippo-local"])
    parser.add_argument("--marks", type=int, nargs="+", default=[30, 100])
    args = parser.parse_args()
    optimum = None
    for algorithm in args.algorithms:
        for candidate in CANDIDATES[args.domain]:
            values = {
                "settings": SETTINGS[args.domain], "device": "cpu", "algorithm": algorithm,
                "iterations": max(args.marks), "num_envs": ENVIRONMENTS[args.domain],
                "train": {"threads": 1, **candidate},
            }  # fmt: skip
            try:
                plan = launch.resolve(args.domain, values)
                optimum = optimum or best(plan)
                found = follow(plan, args.marks, lambda policy, p=plan, o=optimum: excess(measured(p, policy), o))
            except DgpgError as error:  # diverged, or a distribution that the actions do not have
                found = {"failed": str(error)}
            emit({"algorithm": algorithm, **candidate, **found})


if __name__ == "__main__":
    published(main)
