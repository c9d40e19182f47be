"""Continuous actions: bounds, the two parts of the loss and the guidance of a trajectory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg.domain import random
from dgpg.errors import ConfigError, PluginError
from dgpg.learning import Trajectory, actions, losses
from dgpg.learning.actions.box import Box
from dgpg.learning.actions.distributions import DISTRIBUTIONS
from dgpg.learning.estimators import offered
from dgpg.learning.guidance import slope
from dgpg.learning.rollout import collect
from dgpg.learning.rounds import Team

from ..guided import guide, policy_loss

LOW = np.array([[0.0, -2.0], [10.0, 0.5]], np.float32)
HIGH = np.array([[4.0, 2.0], [11.0, 0.75]], np.float32)


def box(distribution: str = "gaussian") -> Box:
    return Box.of(LOW, HIGH, DISTRIBUTIONS[distribution])


# --- kinds and bounds --------------------------------------------------------------------------


def test_kind_of_space() -> None:
    kind = actions.kind_of(spaces.Box(LOW, HIGH))
    assert isinstance(kind, Box) and kind.distribution is DISTRIBUTIONS["gaussian"]
    assert tuple(offered(actions.kind_of(spaces.Box(LOW, HIGH), "beta"))) == ("first_order",)
    assert tuple(offered(kind)) == ("pathwise", "first_order") and kind.DRAWS == (2,)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(LOW, np.full_like(HIGH, np.inf)),
        spaces.Box(-np.inf, HIGH),
        spaces.Box(0, 1, (2,)),
        spaces.Box(0, 1, (2, 2, 2)),
        spaces.Discrete(3),
    ],
    ids=["no upper bound", "no lower bound", "no A", "too many", "discrete"],
)
def test_a_space_of_no_known_kind_is_refused(space: spaces.Space) -> None:
    with pytest.raises(PluginError, match=r"of no known kind: expected .* Box \[N, A\] with finite bounds"):
        actions.kind_of(space)


def test_a_distribution_is_of_continuous_actions_only() -> None:
    with pytest.raises(ConfigError, match=r"train\.distribution = beta"):
        actions.kind_of(spaces.MultiDiscrete([2, 2]), "beta")


def test_units_by_hand() -> None:
    half = box().to_env(torch.tensor([[[0.5, 0.25], [1.0, 0.0]]]))
    assert half.tolist() == [[[2.0, -1.0], [11.0, 0.5]]]


@given(data=st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4))
def test_units_respect_the_bounds(data: list[float]) -> None:
    given_ = box().to_env(torch.tensor(data).view(1, 2, 2))
    low, high = torch.tensor(LOW), torch.tensor(HIGH)
    slack = 1e-6 * high.abs()  # of float32
    assert ((given_ >= low - slack) & (given_ <= high + slack)).all()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_draws_and_centres_respect_the_bounds(distribution: str) -> None:
    kind = box(distribution)
    chance = torch.Generator().manual_seed(0)
    raw = 20 * torch.randn(500, 2, 2, kind.distribution.width, generator=chance)
    policy = kind.parameters(raw, torch.ones(500, 2, 1, dtype=torch.bool))
    low, high = torch.tensor(LOW), torch.tensor(HIGH)
    for drawn in (kind.sample(policy, torch.rand(500, 2, 2, generator=chance)), kind.greedy(policy)):
        taken = kind.to_env(drawn)
        assert ((taken >= low - 1e-5) & (taken <= high + 1e-5)).all()


def test_random_actions_spread_over_the_bounds(toy_box: ModuleType) -> None:
    env = toy_box.Env(4000)
    drawn = actions.kind_of(env.action_space).anything(env.reset().observation, random.generator(0))
    low, high = torch.tensor(toy_box.LOW), torch.tensor(toy_box.HIGH)
    assert drawn.shape == (4000, 3, 2) and ((drawn >= low) & (drawn <= high)).all()
    torch.testing.assert_close(drawn.mean(0), (low + high) / 2, rtol=0, atol=0.03)


def test_log_prob_and_entropy_are_sums_over_dimensions() -> None:
    policy = torch.tensor([[[0.1, -0.5], [0.7, 0.2]]])
    drawn = torch.tensor([[0.3, 0.8]])
    one = DISTRIBUTIONS["gaussian"]
    assert float(box().log_prob(policy, drawn)) == pytest.approx(float(one.log_prob(policy, drawn)[0].sum()))
    assert float(box().entropy(policy)) == pytest.approx(float(one.entropy(policy)[0].sum()))


# --- the loss ----------------------------------------------------------------------------------


def moved_loss(way: Tensor, u: Tensor, alpha: float = 1.0) -> Tensor:
    """The loss of a policy without chance whose action moved by `way` from 1/2."""
    kind, start = box("mean"), torch.full((1, 2), 0.5)
    policy = torch.logit(start + way).unsqueeze(-1)
    old = torch.logit(start).unsqueeze(-1)
    return policy_loss(kind, policy, old, start, torch.zeros(1), u, alpha, 0.2)


def test_the_gain_of_a_small_move_by_hand() -> None:
    found = moved_loss(torch.tensor([[0.01, -0.02]]), torch.tensor([[3.0, 1.0]]), alpha=0.5)
    assert float(found) == pytest.approx(-0.5 * (3 * 0.01 - 1 * 0.02), abs=1e-6)


def test_no_reward_beyond_reach_but_the_whole_loss() -> None:
    u = torch.tensor([[1.0, 0.0]])
    at, beyond, back = (
        float(moved_loss(torch.tensor([[way, 0.0]]), u)) for way in (Box.REACH, 3 * Box.REACH, -3 * Box.REACH)
    )
    assert at == pytest.approx(-Box.REACH, abs=1e-6)
    assert beyond == pytest.approx(-Box.REACH, abs=1e-6)
    assert back == pytest.approx(3 * Box.REACH, abs=1e-6)


def test_beyond_reach_the_gradient_is_zero_and_back_again_it_is_not() -> None:
    kind, start, old = box("mean"), torch.full((1, 1), 0.5), torch.zeros(1, 1, 1)
    for way, expected in ((2 * Box.REACH, 0.0), (-2 * Box.REACH, -0.24)):
        policy = torch.logit(start + way).unsqueeze(-1).requires_grad_()
        loss = policy_loss(kind, policy, old, start, torch.zeros(1), torch.ones(1, 1), 1.0, 0.2)
        (found,) = torch.autograd.grad(loss.sum(), policy)
        assert float(found) == pytest.approx(expected, abs=1e-6)  # d sigmoid = 0.4 * 0.6


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_at_the_old_policy_the_loss_descends_alpha_u_along_the_action(alpha: float) -> None:
    """d loss / d policy = -alpha <u, d a / d policy>, as the return advantage is zero."""
    kind, one = box(), DISTRIBUTIONS["gaussian"]
    old = torch.tensor([[[0.2, -0.5], [-0.8, 0.1]]], dtype=torch.float64)
    drawn = one.sample(old, torch.tensor([[0.3, 0.7]], dtype=torch.float64))
    u = torch.tensor([[2.0, -3.0]], dtype=torch.float64)
    policy = old.clone().requires_grad_()
    loss = policy_loss(kind, policy, old, drawn, torch.zeros(1, dtype=torch.float64), u, alpha, 0.2).sum()
    (found,) = torch.autograd.grad(loss, policy)
    width = 1e-6
    for d in range(2):
        for p in range(2):
            step = torch.zeros_like(old)
            step[0, d, p] = width
            moved = (one.again(old + step, old, drawn) - one.again(old - step, old, drawn)) / (2 * width)
            assert float(found[0, d, p]) == pytest.approx(-alpha * float((u * moved).sum()), rel=1e-6)


def test_in_terms_of_the_action_itself_the_gradient_is_minus_alpha_u() -> None:
    """A distribution whose parameter is the action: what is left is u alone."""
    identity = type("Identity", (type(DISTRIBUTIONS["mean"]),), {"again": lambda self, new, old, a: new[..., 0]})()
    kind = replace(box("mean"), distribution=identity)
    drawn = torch.tensor([[0.4, 0.7]])
    policy = drawn.unsqueeze(-1).clone().requires_grad_()
    u = torch.tensor([[2.0, -3.0]])
    loss = policy_loss(kind, policy, policy.detach(), drawn, torch.zeros(1), u, 0.25, 0.2)
    (found,) = torch.autograd.grad(loss.sum(), policy)
    torch.testing.assert_close(found[..., 0], -0.25 * u)


def test_without_u_the_loss_is_the_clipped_one() -> None:
    kind = box()
    old, new = torch.zeros(3, 2, 2), torch.full((3, 2, 2), 0.2)
    drawn, advantage = torch.rand(3, 2, generator=random.generator(0)), torch.tensor([1.0, -1.0, 2.0])
    found = policy_loss(kind, new, old, drawn, advantage, None, 0.9, 0.2)
    expected = losses.clipped_policy(kind.log_prob(new, drawn), kind.log_prob(old, drawn), advantage, 0.2)
    assert torch.equal(found, expected)


# --- guidance ----------------------------------------------------------------------------------


def test_the_slope_by_hand(toy_box: ModuleType) -> None:
    """d/da of 1/2 load_0^2 + load_1^2 + 2 missing^2 with d missing / da = -(1 - 0.1 load)."""
    given_ = torch.tensor([[[0.5, 0.5], [1.0, 0.5], [0.25, 0.5]]])
    context = {"prior": torch.tensor([[0.25, 0.5]]), "acting": torch.tensor([[True, True, False]])}
    mapping = toy_box.Loads()
    found = slope(toy_box.Cost(), mapping, mapping.state(given_, context), given_, context)
    load = (0.25 + 1.5, 0.5 + 1.0)
    missing = 4 - sum(x - 0.05 * x**2 for x in load)
    expected = [load[0] - 4 * missing * (1 - 0.1 * load[0]), 2 * load[1] - 4 * missing * (1 - 0.1 * load[1])]
    for agent in (0, 1):
        assert found[0, agent].tolist() == pytest.approx(expected, rel=1e-5)
    assert found[0, 2].tolist() == [0.0, 0.0]


def test_the_slope_is_the_finite_difference(toy_box: ModuleType) -> None:
    env = toy_box.Env(5, seed=1)
    context = {name: x.double() for name, x in env.reset().context.items()}
    chance = random.generator(2)
    given_ = actions.kind_of(env.action_space).anything(env.decision.observation, chance).double()
    mapping, prices, width = toy_box.Loads(), torch.tensor(toy_box.PRICES), 1e-5

    def phi(a: Tensor) -> Tensor:
        return 0.5 * (prices * mapping.state(a, context)[..., 0].square()).sum(-1)

    found = slope(toy_box.Cost(), mapping, mapping.state(given_, context), given_, context)
    for i in range(3):
        for d in range(2):
            step = torch.zeros_like(given_)
            step[:, i, d] = width
            difference = (phi(given_ + step) - phi(given_ - step)) / (2 * width)
            torch.testing.assert_close(found[:, i, d], difference, rtol=1e-6, atol=1e-7)


def test_the_slope_keeps_a_trained_model_free_of_gradients(toy_box: ModuleType) -> None:
    given_ = torch.rand(1, 3, 2, generator=random.generator(0)).requires_grad_()
    context = {"prior": torch.zeros(1, 2), "acting": torch.ones(1, 3, dtype=torch.bool)}
    mapping = toy_box.Loads()
    with torch.no_grad():
        found = slope(toy_box.Cost(), mapping, mapping.state(given_, context), given_, context)
    assert not found.requires_grad and given_.grad is None


@pytest.fixture
def rolled(toy_box: ModuleType) -> Callable[[str], tuple[Box, Trajectory]]:
    def roll(distribution: str) -> tuple[Box, Trajectory]:
        env = toy_box.Env(6, seed=4)
        kind = actions.kind_of(env.action_space, distribution)
        actor = actions.make_actor(env, kind, "shared", 8, 0)
        noise = random.Streams(5, 6).uniform(5, 3, *kind.DRAWS)
        trajectory, _ = collect(env, Team(kind, actor), env.reset(), noise)
        assert isinstance(kind, Box)
        return kind, trajectory

    return roll


def test_pathwise_guidance_is_minus_the_slope_on_the_unit_range(
    rolled: Callable[[str], tuple[Box, Trajectory]], toy_box: ModuleType
) -> None:
    kind, trajectory = rolled("gaussian")
    u = guide(kind, "pathwise", toy_box.Cost(), toy_box.Loads(), trajectory, 0.9, False)
    active = trajectory.decision.observation.active
    assert u is not None and u.shape == trajectory.actions.shape and not active.all()
    assert (u[~active] == 0).all()
    assert float(u[active].square().sum(-1).mean()) == pytest.approx(1.0, rel=1e-5)
    for t in (0, 3):
        context = {name: x[t] for name, x in trajectory.decision.context.items()}
        taken = kind.to_env(trajectory.actions[t])
        raw = -slope(toy_box.Cost(), toy_box.Loads(), trajectory.state[t], taken, context) * (kind.high - kind.low)
        share = (u[t] / raw)[active[t]]
        torch.testing.assert_close(share, share.flatten()[0].expand_as(share), rtol=1e-4, atol=0)
        assert (share > 0).all()


@pytest.mark.parametrize("distribution", ["gaussian", "beta"])
def test_first_order_guidance_is_a_normalised_advantage(
    rolled: Callable[[str], tuple[Box, Trajectory]], toy_box: ModuleType, distribution: str
) -> None:
    kind, trajectory = rolled(distribution)
    u = guide(kind, "first_order", toy_box.Cost(), toy_box.Loads(), trajectory, 0.9, False)
    active = trajectory.decision.observation.active
    assert u is not None and u.shape == active.shape
    assert float(u[active].mean()) == pytest.approx(0.0, abs=1e-5)
    assert float(u[active].std(correction=0)) == pytest.approx(1.0, abs=1e-3)
    slopes = guide(kind, "pathwise", toy_box.Cost(), toy_box.Loads(), trajectory, 0.9, False)
    assert slopes is not None
    raw = (slopes * (trajectory.actions - kind.greedy(trajectory.policy))).sum(-1)[active]
    torch.testing.assert_close(u[active], (raw - raw.mean()) / raw.std(correction=0), rtol=1e-3, atol=1e-4)


def test_a_mapping_of_choices_is_refused(
    rolled: Callable[[str], tuple[Box, Trajectory]], toy: ModuleType, toy_box: ModuleType
) -> None:
    kind, trajectory = rolled("gaussian")
    with pytest.raises(PluginError, match=r"state\(actions, context\)"):
        guide(kind, "pathwise", toy_box.Cost(), toy.Routes(), trajectory, 0.9, False)
