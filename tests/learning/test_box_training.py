"""Continuous actions: training on the toy."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from dgpg.learning.guidance import slope


@pytest.mark.parametrize("parameters", ["shared", "independent"])
@pytest.mark.parametrize("distribution", ["gaussian", "beta"])
@pytest.mark.parametrize("name", ["mappo", "dg-pg"])
def test_two_iterations_run(toy_box: ModuleType, name: str, distribution: str, parameters: str) -> None:
    trainer = toy_box.trainer(name, distribution=distribution, parameters=parameters)
    before = [x.detach().clone() for x in trainer.actor.parameters()]
    for _ in range(2):
        metrics = trainer.iterate()
    assert np.isfinite(list(metrics.values())).all() and metrics["iteration"] == 2
    assert any(not torch.equal(old, new) for old, new in zip(before, trainer.actor.parameters(), strict=True))


def least_cost(toy_box: ModuleType) -> float:
    """Of a step of the still toy, an agent's share, by projected gradient descent."""
    low, high = torch.tensor(toy_box.LOW), torch.tensor(toy_box.HIGH)
    context = {"prior": torch.zeros(1, 2), "acting": torch.ones(1, 3, dtype=torch.bool)}
    mapping, model, found = toy_box.Loads(), toy_box.Cost(), ((low + high) / 2).unsqueeze(0)
    for _ in range(500):
        step = slope(model, mapping, mapping.state(found, context), found, context)
        found = (found - 0.02 * step).clamp(low, high)
    return float(model.potential(mapping.state(found, context), context)) / 3


@pytest.mark.parametrize("distribution", ["mean", "gaussian"])
def test_guidance_alone_lowers_the_cost_to_nearly_the_optimum(toy_box: ModuleType, distribution: str) -> None:
    trainer = toy_box.trainer(
        "dg-pg", distribution=distribution, alpha={"start": 1, "end": 1}, still=True, num_envs=8, iterations=20,
        actor_lr=1e-2,
    )  # fmt: skip
    costs = [trainer.iterate()["cost"] for _ in range(20)]
    best = least_cost(toy_box)
    assert best < costs[-1] < best + 0.1 * (costs[0] - best)


def test_what_is_trained_takes_actions_within_the_bounds(toy_box: ModuleType) -> None:
    taken: list[Tensor] = []

    class Spy(toy_box.Env):  # type: ignore[misc, name-defined]
        def step(self, actions: Tensor) -> object:
            taken.append(actions.clone())
            return super().step(actions)

    trainer = toy_box.trainer("mappo", wrap=lambda env: Spy(env.num_envs, 0), actor_lr=0.1)
    for _ in range(3):
        trainer.iterate()
    every = torch.cat(taken)
    low, high = torch.tensor(toy_box.LOW), torch.tensor(toy_box.HIGH)
    assert len(every) == 60 and ((every >= low - 1e-6) & (every <= high + 1e-6)).all()
