"""Dispatch is learnable: marked, because it trains."""

import pytest

from dgpg.domain import Policy, SupportsBaselines
from dgpg.learning import Trainer
from dgpg.learning.algorithms import find
from dgpg.measuring import NetworkPolicy, play
from dgpg.runs import launch

from .made import CPU


@pytest.mark.learning
def test_guidance_comes_near_the_optimum_and_below_merit_order() -> None:
    values = {"algorithm": "dg-pg", "iterations": 200, "seed": 0, "device": "cpu", "train": {"threads": 1}}
    plan = launch.resolve("power", values | {"settings": {"network": "case24-tight"}})
    assert isinstance(plan.domain, SupportsBaselines)
    trainer = Trainer(plan.run, find("dg-pg"), plan.task)

    def cost(policy: Policy) -> float:
        return float(play(plan.domain, plan.config, policy, 16, 9, CPU).cost.mean())

    rules = {rule.name: cost(rule) for rule in plan.domain.baselines(plan.config)}
    untrained = cost(NetworkPolicy(trainer.team, "greedy"))
    for _ in range(200):
        trainer.iterate()
    learned = cost(NetworkPolicy(trainer.team, "greedy"))
    # Measured 1.008 of the optimum, 1.26 untrained; the margins leave room for platforms.
    assert untrained > 1.1 * rules["dc-opf"]
    assert learned < rules["merit-order"] and learned < 1.03 * rules["dc-opf"]
