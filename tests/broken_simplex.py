"""Mistakes with splits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from dgpg.domain import Context, Decision, Simplex

from . import toy, toy_simplex
from .planted import broken


def split(check: str, label: str, *words: str, **members: Any) -> None:
    broken(check, label, *words, base=toy_simplex.Domain, **members)


class OneLinkShort(toy_simplex.Env):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.action_space = Simplex(self.num_agents, 2)


class TooEarly(toy_simplex.Env):
    def effect(self, actions: Tensor) -> Tensor:
        return super().effect(0 * actions)


class IdleActToo(toy_simplex.Env):
    def effect(self, actions: Tensor) -> Tensor:
        context = self.decision.context
        return toy_simplex.loads(actions, {**context, "acting": torch.ones_like(context["acting"])})


class TakesLogits(toy_simplex.Env):
    def effect(self, actions: Tensor) -> Tensor:
        return super().effect(actions.softmax(-1))


class Limits(toy_simplex.Env):
    """A link takes a fifth of a unit of an agent at most: a limit that the mapping leaves out."""

    def effect(self, actions: Tensor) -> Tensor:
        return super().effect(actions.clamp(max=0.2))


class Joint(toy_simplex.Loads):
    change: ClassVar[Callable[[Tensor, Context], Tensor]]

    def state(self, actions: Tensor, context: Context) -> Tensor:
        return type(self).change(actions, context)


def joint(change: Callable[[Tensor, Context], Tensor]) -> type:
    return type("Changed", (Joint,), {"change": staticmethod(change)})


def straight_through(actions: Tensor, context: Context) -> Tensor:
    """Right numbers, half of the slope."""
    return toy_simplex.loads((actions + actions.detach()) / 2, context)


def first_link_detached(actions: Tensor, context: Context) -> Tensor:
    """Right numbers; one link of three is left out of the slope."""
    return toy_simplex.loads(torch.cat([actions[..., :1].detach(), actions[..., 1:]], -1), context)


class Rule(toy_simplex.Even):
    change: ClassVar[Callable[[Tensor, Tensor], Tensor]]

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        return type(self).change(super().act(decision, noise), decision.observation.mask)


def rule(change: Callable[[Tensor, Tensor], Tensor]) -> Any:
    made = type("Changed", (Rule,), {"change": staticmethod(change)})
    return lambda self, config: [made()]


def below_zero(actions: Tensor, mask: Tensor) -> Tensor:
    """A unit, with less than nothing on the first link."""
    return torch.cat([actions[..., :1] - 1, actions[..., 1:2] + 1, actions[..., 2:]], -1)


split("declared_spaces", "one choice short", "Simplex(4, 3), as the mask has it", "Simplex(4, 2)", env=OneLinkShort)
split("idle_agents", "everybody acts, splits", "agents", "active", env=IdleActToo)
split("action_matters", "x_0 for x_t, splits", "the same state whatever", env=TooEarly)
split("joint_state", "x_0 for x_t, splits", "too early", env=TooEarly)
split("joint_state", "an environment that takes logits", "the environment takes actions as logits", env=TakesLogits)
split("joint_state", "a mapping that takes logits", "the mapping takes actions as logits",
    mapping=joint(lambda a, c: toy_simplex.loads(a.softmax(-1), c)))  # fmt: skip
split("joint_state", "everybody acts, splits", "with nothing to decide", env=IdleActToo)
split("joint_state", "a limit on shares", "a limit", env=Limits)
split("joint_state", "a mapping of choices for splits", "state(actions, context)", "Simplex", mapping=toy.Routes)
split("slope_is_effect", "half detached, splits", "against its other shares", "autograd",
    mapping=joint(straight_through))  # fmt: skip
split("slope_is_effect", "one link detached", "against its other shares", mapping=joint(first_link_detached))
split("slope_is_effect", "by numpy, splits", "differentiable", "numpy",
    mapping=joint(lambda a, c: toy_simplex.loads(torch.from_numpy(a.detach().numpy()), c)))  # fmt: skip
split(
    "baseline_actions", "less than a unit", "sum to 1", "divide by their sum", baselines=rule(lambda a, mask: 0.9 * a)
)
split("baseline_actions", "below zero", "not negative", baselines=rule(below_zero))
split("baseline_actions", "what is not allowed", "0 for the others",
    baselines=rule(lambda a, mask: torch.full_like(a, 1 / 3)))  # fmt: skip
