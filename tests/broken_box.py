"""Mistakes with continuous actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from dgpg.domain import Context, Decision, Step

from . import toy, toy_box
from .planted import broken

# --- continuous actions ------------------------------------------------------------------------


def box(check: str, label: str, *words: str, **members: Any) -> None:
    broken(check, label, *words, base=toy_box.Domain, **members)


class BoxDeclares(toy_box.Env):
    changes: ClassVar[Callable[[Any], None]]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        type(self).changes(self)


def bounded(low: Any, high: Any) -> type:
    def change(env: Any) -> None:
        env.action_space = spaces.Box(np.float32(low), np.float32(high))

    return type("Changed", (BoxDeclares,), {"changes": staticmethod(change)})


class TooEarly(toy_box.Env):
    def effect(self, actions: Tensor) -> Tensor:
        return super().effect(0 * actions)


class IdleActToo(toy_box.Env):
    def effect(self, actions: Tensor) -> Tensor:
        context = self.decision.context
        return toy_box.delivered(actions, {**context, "acting": torch.ones_like(context["acting"])})


class Rescales(toy_box.Env):
    """Stretches what is in its units already."""

    def effect(self, actions: Tensor) -> Tensor:
        low, high = torch.tensor(toy_box.LOW), torch.tensor(toy_box.HIGH)
        return super().effect(low + (high - low) * actions)


class Limits(toy_box.Env):
    """Takes no more than 0.6 from an agent on a resource: a limit that the mapping leaves out."""

    def effect(self, actions: Tensor) -> Tensor:
        return super().effect(actions.clamp(max=0.6))


class OneLate(toy_box.Env):
    def step(self, actions: Tensor) -> Step:
        step = super().step(actions)
        return replace(step, state=toy_box.delivered(actions, step.decision.context))


class Joint(toy_box.Loads):
    change: ClassVar[Callable[[Tensor, Context], Tensor]]

    def state(self, actions: Tensor, context: Context) -> Tensor:
        return type(self).change(actions, context)


def joint(change: Callable[[Tensor, Context], Tensor]) -> type:
    return type("Changed", (Joint,), {"change": staticmethod(change)})


def through_numpy(actions: Tensor, context: Context) -> Tensor:
    return toy_box.delivered(torch.from_numpy(actions.detach().numpy()), context)


def straight_through(actions: Tensor, context: Context) -> Tensor:
    """Right numbers, half of the slope: someone was too careful with detach."""
    return toy_box.delivered((actions + actions.detach()) / 2, context)


class CountsToo(toy_box.Loads):
    calls = 0

    def state(self, actions: Tensor, context: Context) -> Tensor:
        self.calls += 1
        return super().state(actions, context) + self.calls


class Beyond(toy_box.Middle):
    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        return super().act(decision, noise) + 1


def centred(actions: Tensor, context: Context) -> Tensor:
    """Takes numbers on [0, 1]."""
    low, high = torch.tensor(toy_box.LOW), torch.tensor(toy_box.HIGH)
    return toy_box.delivered(low + (high - low) * actions, context)


box("declared_spaces", "no upper bound", "finite bounds", "limits", env=bounded(toy_box.LOW, np.full((3, 2), np.inf)))
box("declared_spaces", "nothing to decide", "low < high", env=bounded(toy_box.LOW, toy_box.LOW))
box("declared_spaces", "one number for all", "[N, A]", env=bounded(np.zeros(2), np.ones(2)))
box("idle_agents", "everybody acts, continuous", "agents", "active", "reward", env=IdleActToo)
box("mapping_is_pure", "a counter, continuous", "counter", "context", mapping=CountsToo)
box(
    "baseline_actions",
    "beyond the bounds",
    "middle",
    "numbers from",
    "clamp",
    baselines=lambda self, config: [Beyond()],
)
box("joint_state", "x_0 for x_t", "block", "too early", "before the joint action", env=TooEarly)
box("joint_state", "an environment in shares", "as JointMapping.state says", "the environment takes", env=Rescales)
box("joint_state", "a mapping in shares", "the mapping takes actions as shares", mapping=joint(centred))
box("joint_state", "the future", "too late", "next context", env=OneLate)
box("joint_state", "a factor of 1000", "1000 times", "units",
    mapping=joint(lambda a, c: toy_box.delivered(a, c) / 1000))  # fmt: skip
box("joint_state", "everybody acts", "with nothing to decide", env=IdleActToo)
box("joint_state", "a limit", "a limit", env=Limits)
box("joint_state", "a double", "float32", "float64", mapping=joint(lambda a, c: toy_box.delivered(a, c).double()))
box("joint_state", "a mapping of choices", "state(actions, context)", "Box", mapping=toy.Routes)
box("slope_is_effect", "by numpy", "differentiable", "numpy", mapping=joint(through_numpy))
box("slope_is_effect", "half detached", "agent 0", "autograd", "between", mapping=joint(straight_through))
box("slope_is_effect", "wrong sign", "sign", mapping=joint(lambda a, c: -toy_box.delivered(a, c)))
box("slope_is_effect", "other units", "1000", mapping=joint(lambda a, c: toy_box.delivered(a, c) / 1000))
box("slope_is_effect", "a clamp in the environment", "ignores this number", env=Limits)
