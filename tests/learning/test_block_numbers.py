"""Values of blocks where agents set numbers or splits: learned when asked for, right where the model is wrong."""

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from dgpg.domain import Context, CostModel
from dgpg.learning import Trainer
from dgpg.learning.blocks.attributed import brought

from .. import toy_charging
from ..toy_env import small_trainer
from ..training import run, same, state

ALONE = {"start": 1.0, "end": 1.0}
LEARNED = {"numbers": True, "gamma": 0.0}


class Reversed(CostModel):
    """Links of the toy of splits with their slopes the other way round: the one that gets slow looks constant."""

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        free, slope = torch.tensor([0.0, 1.0, 0.5])[index], torch.tensor([1.0, 0.0, 0.5])[index]
        return block[..., 0] * (free + slope * block[..., 0])


def splitting(toy: ModuleType, model: CostModel, blocks: dict[str, Any], iterations: int = 60) -> Trainer:
    trainer: Trainer = toy.small_trainer(
        "dg-pg", toy.Env(16, 1), model, Links(toy), seed=1, iterations=iterations, wrap=lambda env: env, alpha=ALONE,
        epochs=1, minibatches=2, actor_hidden=32, actor_lr=1e-2, distribution="mean", blocks=blocks,
    )  # fmt: skip
    return trainer


class Links:
    """The mapping of the toy of splits, which says which link a block is: the three share a network."""

    def __init__(self, toy: ModuleType) -> None:
        self.state = toy.loads

    def block_features(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return torch.cat([block, torch.eye(3)[index] * block, torch.eye(3)[index]], -1)


def last(lines: list[dict[str, float]], count: int = 10) -> float:
    """Mean cost of the last iterations."""
    return sum(line["cost"] for line in lines[-count:]) / count


@pytest.mark.learning
def test_splits_leave_a_wrong_model_for_what_links_cost(toy_simplex: ModuleType) -> None:
    right, wrong, learned = (
        run(splitting(toy_simplex, model, blocks), 60)
        for model, blocks in ((toy_simplex.Cost(), {}), (Reversed(), {}), (Reversed(), LEARNED))
    )
    assert learned[-1]["block_share"] == 1 and learned[-1]["block_fit"] > learned[-1]["model_fit"]
    assert last(wrong) > 1.1 * last(right)
    assert last(learned) < last(right) + 0.2 * (last(wrong) - last(right))


@pytest.mark.learning
def test_a_right_model_of_splits_is_not_left(toy_simplex: ModuleType) -> None:
    followed, learned = (run(splitting(toy_simplex, toy_simplex.Cost(), blocks), 30) for blocks in ({}, LEARNED))
    assert max(line["block_share"] for line in learned) == 0
    assert last(learned) == pytest.approx(last(followed), rel=1e-3)


@pytest.mark.learning
def test_numbers_learn_what_follows_a_step_from_what_their_blocks_cost() -> None:
    """The model is right about the step and blind to a car's departure; what a charger costs later tells it."""

    class Seen(toy_charging.Chargers):
        def block_features(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
            left = context["left"].gather(1, index)
            hurry = block[..., 1] / (left + 1)
            leaving = (left == 0) * block[..., 1]
            return torch.cat([block, torch.stack([left / toy_charging.STAY, hurry, leaving], -1)], -1)

    def trained(blocks: dict[str, Any]) -> list[dict[str, float]]:
        trainer = small_trainer(
            "dg-pg", toy_charging.Env(16, 1), toy_charging.StepCost(), Seen(), seed=1, iterations=60,
            wrap=lambda env: env, alpha=ALONE, horizon=24, epochs=1, minibatches=4, actor_hidden=32, actor_lr=1e-2,
            distribution="mean", blocks=blocks,
        )  # fmt: skip
        return run(trainer, 60)

    followed, learned = trained({}), trained({"numbers": True, "gamma": 0.9})
    assert last(learned) < 0.5 * last(followed)


def test_nobody_learns_them_unasked(toy_simplex: ModuleType) -> None:
    trainer = toy_simplex.trainer("dg-pg")
    assert trainer.config.train.blocks.use and trainer.blocks is None
    assert toy_simplex.trainer("dg-pg", blocks={"use": False, "numbers": True}).blocks is None
    assert toy_simplex.trainer("mappo", blocks={"numbers": True}).blocks is None
    assert toy_simplex.trainer("dg-pg", blocks={"numbers": True}).blocks is not None


def test_splits_bring_no_work_and_pay_no_fee(toy_simplex: ModuleType) -> None:
    trainer = toy_simplex.trainer("dg-pg", blocks={"numbers": True})
    seen: list[Any] = []
    learn = trainer.blocks.learn
    trainer.blocks.learn = lambda trajectory, *rest: seen.append(trajectory) or learn(trajectory, *rest)
    assert trainer.iterate()["block_fee"] == 0
    assert brought(seen[0], trainer.task.mapping, 0.9).shape == seen[0].block_cost.shape
    assert not brought(seen[0], trainer.task.mapping, 0.9).any()


def test_a_resumed_run_with_values_of_splits_goes_on_bit_for_bit(toy_simplex: ModuleType) -> None:
    whole, half, other = (splitting(toy_simplex, Reversed(), LEARNED, 6) for _ in range(3))
    lines = run(whole, 6)
    run(half, 3)
    other.load_state_dict(state(half))
    again = run(other, 3)
    assert lines[-1]["block_share"] > 0
    assert [line["cost"] for line in again] == [line["cost"] for line in lines[3:]]
    assert same(other.state_dict()["actor"], whole.state_dict()["actor"])
    assert same(other.state_dict()["blocks"], whole.state_dict()["blocks"])
