"""The search that chose how the sampled algorithms train on power: the same candidates for each, one seed, level C.

    python benchmarks/tune_power.py --algorithms mappo ippo ippo-local --marks 60

An iteration is 16 Adam steps on 24 hours of 171 environments of case118_ieee__api, exact. Gaps are measured on
arrivals that no published figure uses.
"""

from __future__ import annotations

import argparse

from common import TUNING_ARRIVALS, emit
from power import EXACT, learn, network, rules

from dgpg import launch
from dgpg.errors import DivergenceError

ROUNDS = {
    "first": [
        {"actor_lr": lr, "gamma": gamma, "lambda_": lambda_}
        for gamma, lambda_ in ((0.0, 0.0), (0.5, 0.9), (0.95, 0.9))
        for lr in (5e-4, 1e-3, 3e-3)
    ],
    "second": [
        {"actor_lr": 3e-3} | change
        for change in (
            {"actor_lr": 1e-2}, {"clip": 0.1}, {"distribution": "beta"}, {"entropy": 0.0}, {"epochs": 4},
            {"minibatches": 32},
        )
    ],
}  # fmt: skip
"""Candidates: first the step and the discount, then one change at a time of what was best, 15 in all."""


def main() -> None:
    """One JSON line a candidate and algorithm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--round", choices=tuple(ROUNDS), default="first")
    parser.add_argument("--algorithms", nargs="+", default=["mappo", "ippo", "ippo-local"])
    parser.add_argument("--marks", type=int, nargs="+", default=[20, 60])
    args = parser.parse_args()
    settings = EXACT | {"network": network("case118_ieee__api"), "observation": "C"}
    optimum = None
    for algorithm in args.algorithms:
        for candidate in ROUNDS[args.round]:
            values = {
                "settings": settings, "device": "cpu", "algorithm": algorithm, "iterations": max(args.marks),
                "num_envs": 171, "train": {"threads": 1, **candidate},
            }  # fmt: skip
            plan = launch.resolve("power", values)
            optimum = optimum or rules(plan, plan.config, TUNING_ARRIVALS)["optimum"]
            try:
                found = learn(plan, plan.config, args.marks, optimum, TUNING_ARRIVALS)
            except DivergenceError as error:
                found = {"diverged": str(error)}
            emit({"algorithm": algorithm, **candidate, **found})


if __name__ == "__main__":
    main()
