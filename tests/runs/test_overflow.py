"""What is told where there is nothing to learn: rewards too large from the start, or no gradient at all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dgpg.errors import DivergenceError, OverflowingError
from dgpg.learning import Trainer
from dgpg.runs import launch, training

SMALL = {"num_agents": 4, "horizon": 8}


def started(path: Path, settings: dict[str, Any], reward: float | None = None) -> tuple[Trainer, Any]:
    values = {"device": "cpu", "num_envs": 2, "iterations": 2, "settings": SMALL | settings}
    plan = launch.resolve("cloud", values)
    trainer, folder = training.start(plan, path)
    if reward is not None:
        step = trainer.task.env.step
        trainer.task.env.step = lambda actions: replace(  # type: ignore[method-assign]
            step(actions), reward=torch.full((2,), reward)
        )
    return trainer, folder


@pytest.mark.parametrize("reward", [1e30, float("inf"), float("nan")])
def test_rewards_too_large_from_the_start_name_the_settings(tmp_path: Path, reward: float) -> None:
    trainer, folder = started(tmp_path / "r", {"weights": {"price": 1e6, "waiting": 1e-4, "stranded": 4.0}}, reward)
    with pytest.raises(OverflowingError) as caught:
        training.train(trainer, folder, None, lambda metrics: None)
    said = str(caught.value)
    assert "before the policy changed at all" in said and "actor_lr" not in said
    assert "weights.waiting = 0.0001 (0.2 by default), weights.price = 1e+06 (1 by default)" in said
    assert "stranded" not in said


def test_rewards_without_a_setting_to_blame(tmp_path: Path) -> None:
    trainer, folder = started(tmp_path / "r", {}, float("nan"))
    with pytest.raises(OverflowingError, match="none is far from its default"):
        training.train(trainer, folder, None, lambda metrics: None)


def test_a_step_that_is_too_long_is_still_the_learning_rate(tmp_path: Path) -> None:
    plan = launch.resolve("cloud", {"device": "cpu", "num_envs": 2, "settings": SMALL, "train": {"actor_lr": 1e30}})
    trainer, folder = training.start(plan, tmp_path / "r")
    with pytest.raises(DivergenceError, match=r"try a lower train\.actor_lr") as caught:
        training.train(trainer, folder, None, lambda metrics: None)
    assert not isinstance(caught.value, OverflowingError)


@pytest.mark.parametrize(("candidates", "told"), [(1, 1), (2, 0)])
def test_a_policy_without_a_gradient_is_told_once(tmp_path: Path, candidates: int, told: int) -> None:
    trainer, folder = started(tmp_path / "r", {"candidates": candidates})
    lines: list[str] = []
    training.train(trainer, folder, None, lambda metrics: None, lines.append)
    assert sum("gradient is zero" in line for line in lines) == told == len(lines)
