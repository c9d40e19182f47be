"""Splits: the guidance of a trajectory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from dgpg.domain import Context, CostModel, random
from dgpg.domain.types import map_tensors
from dgpg.errors import PluginError
from dgpg.learning import Trajectory, actions
from dgpg.learning.actions.logits import LOGITS
from dgpg.learning.actions.simplex import Simplex
from dgpg.learning.rollout import collect
from dgpg.learning.rounds import Team

from ..guided import guide


@pytest.fixture
def rolled(toy_simplex: ModuleType) -> Callable[[str], tuple[Simplex, Trajectory]]:
    def roll(distribution: str) -> tuple[Simplex, Trajectory]:
        env = toy_simplex.Env(6, seed=4, start=(0.5, -0.5, 0.0))
        kind = actions.kind_of(env.action_space, distribution)
        actor = actions.make_actor(env, kind, "shared", 8, 0)
        actor.last.weight.data *= 100  # a policy far from its start
        noise = random.Streams(5, 6).uniform(5, 4, *kind.DRAWS)
        trajectory, _ = collect(env, Team(kind, actor), env.reset(), noise)
        assert isinstance(kind, Simplex)
        return kind, trajectory

    return roll


def differences(kind: Simplex, trajectory: Trajectory, toy_simplex: ModuleType, t: int) -> Tensor:
    """d phi / d logits of the drawn joint action of step t by finite differences, `[B, N, K]`, zero where masked."""
    context = {name: x[t].double() for name, x in trajectory.decision.context.items()}
    drawn, width = trajectory.actions[t].double(), 1e-6
    kind = replace(kind, start=kind.start.double())

    def phi(logits: Tensor) -> Tensor:
        return toy_simplex.Cost().potential(toy_simplex.loads(kind.to_env(logits), context), context)

    found = torch.zeros_like(drawn)
    for i in range(drawn.shape[1]):
        for k in range(drawn.shape[2]):
            step = torch.zeros_like(drawn)
            step[:, i, k] = width
            found[:, i, k] = (phi(drawn + step) - phi(drawn - step)) / (2 * width)
    return found


@pytest.mark.parametrize("distribution", list(LOGITS))
def test_in_one_moment_pathwise_guidance_is_the_natural_gradient(
    rolled: Callable[[str], tuple[Simplex, Trajectory]], toy_simplex: ModuleType, distribution: str
) -> None:
    """Minus the finite difference divided by p, and a solution of F g = d phi / d logit, F = diag(p) - p p^T."""
    kind, trajectory = rolled(distribution)
    compared = 0
    for t, b in ((0, 0), (0, 4), (2, 1), (3, 5)):
        one = only(trajectory, t, b)
        u = guide(kind, "pathwise", toy_simplex.Cost(), toy_simplex.Loads(), one, 0.9, False)
        assert u is not None
        g, mask = u[0].double(), one.decision.observation.mask[0]
        gradient, split = differences(kind, one, toy_simplex, 0), kind.to_env(one.actions[0]).double()
        able = mask & (gradient.abs() > 1e-4)
        metric = split * g - split * (split * g).sum(-1, keepdim=True)
        assert (split * g).sum(-1).abs().max() < 1e-4 and (g[~mask] == 0).all()
        for found in ((-g * split / gradient)[able], (-metric / gradient)[able]):
            assert (found > 0).all()
            torch.testing.assert_close(found, found[:1].expand_as(found), rtol=2e-3, atol=0)
        compared += int(able.sum())
    assert compared > 15


def only(trajectory: Trajectory, t: int, b: int) -> Trajectory:
    """Step t of environment b alone."""
    one = {name: getattr(trajectory, name)[t : t + 1, b : b + 1] for name in ("actions", "policy", "reward", "state")}
    decision = map_tensors(lambda x: x[t : t + 1, b : b + 1], trajectory.decision)
    return replace(trajectory, decision=decision, **one)


@pytest.mark.parametrize("distribution", list(LOGITS))
def test_of_many_moments_guidance_is_the_gradient_in_one_metric(
    rolled: Callable[[str], tuple[Simplex, Trajectory]], toy_simplex: ModuleType, distribution: str
) -> None:
    """Plain guidance is minus the finite difference; times its mean share, natural guidance is plain guidance."""
    kind, trajectory = rolled(distribution)
    natural = guide(kind, "pathwise", toy_simplex.Cost(), toy_simplex.Loads(), trajectory, 0.9, False)
    plain = guide(kind, "pathwise_plain", toy_simplex.Cost(), toy_simplex.Loads(), trajectory, 0.9, False)
    assert natural is not None and plain is not None
    seen = trajectory.decision.observation
    assert not seen.active.all() and (natural[~seen.mask] == 0).all() and (plain[~seen.mask] == 0).all()
    gradient = torch.stack([differences(kind, trajectory, toy_simplex, t) for t in range(5)])
    shares = torch.stack([kind.to_env(one) for one in trajectory.actions]) * seen.mask
    mean = shares.sum((0, 1)) / seen.mask.sum((0, 1))
    able = seen.mask & (gradient.abs() > 1e-4)
    for found in ((-plain / gradient)[able], (-natural * mean / gradient)[able]):
        assert len(found) > 100 and (found > 0).all()
        torch.testing.assert_close(found, found[:1].expand_as(found), rtol=2e-3, atol=0)


def test_a_choice_that_never_has_a_share_can_come_back(toy_simplex: ModuleType) -> None:
    """At a share too small for float32 the slope is what it is."""
    env = toy_simplex.Env(1, still=True, agents=1, start=(-200.0, 0.0, -200.0))
    kind = actions.kind_of(env.action_space, "mean")
    actor = actions.make_actor(env, kind, "shared", 8, 0)
    trajectory, _ = collect(env, Team(kind, actor), env.reset(), torch.zeros(1, 1, 1, 3))
    assert kind.to_env(trajectory.actions[0]).tolist() == [[[0.0, 1.0, 0.0]]]
    u = guide(kind, "pathwise", toy_simplex.Cost(), toy_simplex.Loads(), trajectory, 0.9, False)
    assert u is not None
    way = torch.tensor([3.0, 0.0, 3.5])  # marginal costs 1, 4, 0.5
    torch.testing.assert_close(u[0, 0, 0], way / way.norm())


class Prices(CostModel):
    """The links cost 1, 2 and 3 a unit, whatever is on them."""

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return block[..., 0] * (1.0 + index)


@pytest.mark.parametrize(
    ("start", "signs"),
    [
        ((0.0, -12.0, -12.0), (0, 0)),  # all on the cheapest: the others, a share of 6e-6 each, are left alone
        ((0.0, -8.0, -8.0), (-1, -1)),  # a share of 3e-4 is in use
        ((-12.0, -12.0, 0.0), (1, 0)),  # all on the dearest: the second, too, comes back
    ],
)
def test_an_abandoned_choice_comes_back_but_goes_no_further_down(
    toy_simplex: ModuleType, start: tuple[float, ...], signs: tuple[int, ...]
) -> None:
    env = toy_simplex.Env(1, still=True, agents=1, start=start)
    kind = actions.kind_of(env.action_space, "mean")
    actor = actions.make_actor(env, kind, "shared", 8, 0)
    trajectory, _ = collect(env, Team(kind, actor), env.reset(), torch.zeros(1, 1, 1, 3))
    u = guide(kind, "pathwise", Prices(), toy_simplex.Loads(), trajectory, 0.9, False)
    assert u is not None
    assert tuple(u[0, 0, 0, 1:].where(u[0, 0, 0, 1:].abs() > 1e-3, 0.0).sign().tolist()) == signs


def test_guidance_by_hand(toy_simplex: ModuleType) -> None:
    """Marginal costs FREE + 2 SLOPE x at loads 1, 1/2, 1/2 are all 1; at 0.5, 1, 0.5 they are 1, 2, 1."""
    env = toy_simplex.Env(1, still=True, agents=1, start=tuple(np.log([0.25, 0.5, 0.25])))
    kind = actions.kind_of(env.action_space, "mean")
    actor = actions.make_actor(env, kind, "shared", 8, 0)
    actor.last.weight.data *= 0
    trajectory, _ = collect(env, Team(kind, actor), env.reset(), torch.zeros(1, 1, 1, 3))
    assert float(-trajectory.reward) == pytest.approx(0.5 * 1 + 1 * 1 + 0.5 * 0.75)
    u = guide(kind, "pathwise", toy_simplex.Cost(), toy_simplex.Loads(), trajectory, 0.9, False)
    assert u is not None
    way = torch.tensor([0.5, -0.5, 0.5])  # minus (1, 2, 1) less its mean 1.5 under the split
    torch.testing.assert_close(u[0, 0, 0], way / way.norm(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("distribution", list(LOGITS))
def test_what_guidance_stands_for_has_the_size_of_a_normalised_advantage(
    rolled: Callable[[str], tuple[Simplex, Trajectory]], toy_simplex: ModuleType, distribution: str
) -> None:
    kind, trajectory = rolled(distribution)
    u = guide(kind, "pathwise", toy_simplex.Cost(), toy_simplex.Loads(), trajectory, 0.9, False)
    active = trajectory.decision.observation.active
    assert u is not None and u.shape == trajectory.actions.shape
    worth = u * kind.distribution.deviation(trajectory.policy)
    assert float(worth[active].square().sum(-1).mean()) == pytest.approx(1.0, rel=1e-4)


def test_first_order_guidance_is_a_normalised_advantage(
    rolled: Callable[[str], tuple[Simplex, Trajectory]], toy_simplex: ModuleType
) -> None:
    kind, trajectory = rolled("gaussian")
    u = guide(kind, "first_order", toy_simplex.Cost(), toy_simplex.Loads(), trajectory, 0.9, False)
    active = trajectory.decision.observation.active
    assert u is not None and u.shape == active.shape
    assert float(u[active].mean()) == pytest.approx(0.0, abs=1e-5)
    split, centre = (
        torch.stack([kind.to_env(one) for one in logits])
        for logits in (trajectory.actions, kind.greedy(trajectory.policy))
    )
    load = trajectory.state.transpose(-1, -2)
    marginal = torch.tensor(toy_simplex.FREE) + 2 * torch.tensor(toy_simplex.SLOPE) * load
    slopes = marginal * trajectory.decision.context["demand"].unsqueeze(-1)
    raw = -(slopes * (split - centre)).sum(-1)[active]
    torch.testing.assert_close(u[active], (raw - raw.mean()) / raw.std(correction=0), rtol=1e-3, atol=1e-4)


def test_a_mapping_of_choices_is_refused(
    rolled: Callable[[str], tuple[Simplex, Trajectory]], toy: ModuleType, toy_simplex: ModuleType
) -> None:
    kind, trajectory = rolled("gaussian")
    with pytest.raises(PluginError, match=r"splits need a mapping with state\(actions, context\)"):
        guide(kind, "pathwise", toy_simplex.Cost(), toy.Routes(), trajectory, 0.9, False)
