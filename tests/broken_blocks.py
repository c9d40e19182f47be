"""Mistakes in what a domain says of blocks beside their potential."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dgpg.domain import Context, Step

from . import toy
from .planted import broken, returning


class Undeclared(toy.Env):
    """Costs are there, and nothing says so."""

    @property
    def num_blocks(self) -> int:  # type: ignore[override]
        raise AttributeError


def summed(env: Any, step: Step) -> Step:
    assert step.block_cost is not None
    return replace(step, block_cost=step.block_cost.sum(-1))


def forgotten(env: Any, step: Step) -> Step:
    return replace(step, block_cost=None if bool((env.t > 1).any()) else step.block_cost)


def infinite(env: Any, step: Step) -> Step:
    assert step.block_cost is not None
    return replace(step, block_cost=step.block_cost / 0.0)


def as_reward(env: Any, step: Step) -> Step:
    assert step.block_cost is not None
    return replace(step, block_cost=-step.block_cost)


def in_cents(env: Any, step: Step) -> Step:
    assert step.block_cost is not None
    return replace(step, block_cost=100 * step.block_cost)


class Fewer(toy.Env):
    num_blocks = 2


class ByPlace(toy.Routes):
    """The place in the batch for the number of the block."""

    def block_features(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return block * torch.arange(block.shape[1]).unsqueeze(-1)


class OfContext(toy.Routes):
    def block_features(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return context["prior"].gather(-1, index).unsqueeze(-1)


class Root(toy.Routes):
    """A derivative without bound where a route is empty."""

    def block_features(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return (0.0 * block).sqrt()


class Whole(toy.Routes):
    def block_features(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return block.sum(1)


class LogOfNothing(toy.Routes):
    def block_features(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return (0.0 * block).log()


class Relieves(toy.Routes):
    def block_work(self, change: Tensor, gamma: float) -> Tensor:
        return -change[..., 0]


class Admission(toy.Routes):
    """A fee whatever comes."""

    def block_work(self, change: Tensor, gamma: float) -> Tensor:
        return change[..., 0] + 1.0


class AllTogether(toy.Routes):
    def block_work(self, change: Tensor, gamma: float) -> Tensor:
        return change.sum((1, 2))


broken("block_cost", "without num_blocks", "num_blocks", "no such attribute", env=Undeclared)
broken("block_cost", "summed over blocks", "[3, 3]", "[3]", env=returning(summed))
broken("block_cost", "not in every step", "None", env=returning(forgotten))
broken("block_cost", "infinite", "infinity", env=returning(infinite))
broken("block_cost", "as rewards", "change with the shared cost", "a reward for a cost", env=returning(as_reward))
broken("block_cost", "in other units", "change with the shared cost", "other units", env=returning(in_cents))
broken("block_cost", "of fewer blocks", "num_blocks", "G = 3", env=Fewer)
broken("block_features", "by the place in the batch", "another order", "index", mapping=ByPlace)
broken("block_features", "of the context alone", "differentiably", mapping=OfContext)
broken("block_features", "with an infinite derivative", "derivative", "infinity", mapping=Root)
broken("block_features", "of all blocks at once", "[3, 3, 'F']", mapping=Whole)
broken("block_features", "infinite", "infinity", mapping=LogOfNothing)
broken("block_work", "negative", "at least 0", mapping=Relieves)
broken("block_work", "with an offset", "twice the work", mapping=Admission)
broken("block_work", "of all blocks at once", "[3, 3]", mapping=AllTogether)
