"""A model that is fitted takes in each iteration before guidance is asked of it, and is part of a checkpoint."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from dgpg.domain import Context, Experience, SupportsFit
from dgpg.learning import Trainer

from ..training import run, same, state


class Scaled(nn.Module):
    """The toy's cost, times the mean reward of all iterations so far; it notes what it was asked in which order."""

    scale: Tensor

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.register_buffer("scale", torch.ones(()))
        self.order: list[str] = []
        self.seen: list[Experience] = []

    def potential(self, state: Tensor, context: Context) -> Tensor:
        return self.scale * self.base.potential(state, context)  # type: ignore[operator]

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        self.order.append("asked")
        return self.scale * self.base.block_potential(block, index, context)  # type: ignore[operator]

    def fit(self, experience: Experience) -> Mapping[str, float]:
        self.order.append("fitted")
        self.seen.append(experience)
        assert not torch.is_grad_enabled()
        self.scale += experience.reward.abs().mean()
        return {"model_scale": float(self.scale)}


def fitted(toy: ModuleType, name: str = "dg-pg") -> Trainer:
    trainer: Trainer = toy.small_trainer(name, toy.Env(4, 0), Scaled(toy.RouteCost()), toy.Routes(), seed=0,
                                         iterations=6, wrap=lambda env: env)  # fmt: skip
    return trainer


def model_of(trainer: Trainer) -> Any:
    assert isinstance(trainer.task.model, SupportsFit)
    return trainer.task.model


def test_it_is_fitted_once_an_iteration_before_it_is_asked(toy: ModuleType) -> None:
    trainer = fitted(toy)
    trainer.looked = True  # the contract's look asks it too, as did who made its learner of block values
    model_of(trainer).order.clear()
    metrics = trainer.iterate()
    order = model_of(trainer).order
    assert order[0] == "fitted" and order.count("fitted") == 1 and "asked" in order
    assert metrics["model_scale"] == float(model_of(trainer).scale) > 1
    (seen,) = model_of(trainer).seen
    steps, envs, agents = seen.actions.shape
    assert seen.state.shape[:2] == seen.reward.shape == (steps, envs) and agents == trainer.task.env.num_agents


def test_what_is_not_guided_fits_nothing(toy: ModuleType) -> None:
    trainer = fitted(toy, "mappo")
    assert "model_scale" not in trainer.iterate() and not model_of(trainer).order


def test_a_run_goes_on_with_what_was_fitted(toy: ModuleType) -> None:
    whole, first, second = fitted(toy), fitted(toy), fitted(toy)
    run(whole, 4)
    run(first, 2)
    second.load_state_dict(state(first))
    assert model_of(second).scale == model_of(first).scale > 1
    run(second, 2)
    assert same(state(second), state(whole))
