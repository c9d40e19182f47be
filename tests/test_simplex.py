"""Splits: bounds, masks, the two parts of the loss and the guidance of a trajectory."""

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

from dgpg import actions, losses, random
from dgpg.actions.logits import LOGITS
from dgpg.actions.simplex import REACH, Simplex
from dgpg.algorithms import find, train_config
from dgpg.errors import ConfigError, PluginError
from dgpg.networks import MlpActor
from dgpg.rollout import collect
from dgpg.spaces import Simplex as Space
from dgpg.types import Observation, Trajectory, map_tensors

INF = torch.inf
ALONE = {"alpha": {"start": 1.0, "end": 1.0}}


def kind_of(distribution: str = "mean", start: tuple[float, ...] = (0.0, 0.0, 0.0), agents: int = 1) -> Simplex:
    return Simplex(torch.tensor(start).expand(agents, -1), LOGITS[distribution])


# --- kinds and settings ------------------------------------------------------------------------


def test_kind_of_space() -> None:
    kind = actions.kind_of(Space(2, 3, [[0.0, 1.0, 2.0]] * 2))
    assert isinstance(kind, Simplex) and kind.distribution is LOGITS["gaussian"]
    assert kind.start.tolist() == [[0.0, 1.0, 2.0]] * 2 and kind.DRAWS == (3,)
    assert kind.ESTIMATORS == ("pathwise", "pathwise_plain", "first_order")
    assert actions.kind_of(Space(2, 3), "mean").ESTIMATORS == ("pathwise", "pathwise_plain")


def test_a_distribution_of_numbers_is_not_one_of_splits() -> None:
    with pytest.raises(
        ConfigError, match=r"train\.distribution: unknown distribution of splits 'beta'.*gaussian, mean"
    ):
        actions.kind_of(Space(2, 3), "beta")
    with pytest.raises(PluginError, match=r"no known kind: expected .* dgpg\.spaces\.Simplex\(N, K\)"):
        actions.kind_of(Space(2, 3).stacked(4))


@pytest.mark.parametrize(
    ("name", "settings", "distribution", "estimator"),
    [
        ("dg-pg", ALONE, "mean", "pathwise"),
        ("dg-pg", ALONE | {"estimator": "pathwise_plain"}, "mean", "pathwise_plain"),
        ("dg-pg", ALONE | {"estimator": "first_order"}, "gaussian", "first_order"),
        ("dg-pg", ALONE | {"distribution": "gaussian"}, "gaussian", "pathwise"),
        ("dg-pg", {}, "gaussian", "pathwise"),
        ("mappo", ALONE, "gaussian", "pathwise"),
    ],
)
def test_there_is_no_chance_by_default_where_guidance_alone_trains(
    name: str, settings: dict[str, object], distribution: str, estimator: str
) -> None:
    config = train_config(find(name), {}, settings, Space(2, 3))
    assert (config.distribution, config.estimator) == (distribution, estimator)


def test_other_kinds_keep_their_default() -> None:
    for space in (spaces.Box(0, 1, (2, 1)), spaces.MultiDiscrete([3, 3])):
        assert train_config(find("dg-pg"), {}, ALONE, space).distribution is None


@pytest.mark.parametrize(("name", "settings"), [("mappo", {}), ("dg-pg", {}), ("ippo-local", ALONE)])
def test_a_split_without_chance_is_for_guidance_alone(name: str, settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"train\.distribution = mean: .* use algorithm dg-pg with"):
        train_config(find(name), {}, settings | {"distribution": "mean"}, Space(2, 3))


# --- splits and masks --------------------------------------------------------------------------


def test_a_split_by_hand() -> None:
    kind = kind_of(start=(0.0, float(np.log(2)), 0.0), agents=2)
    outputs = torch.tensor([[0.0, 0.0, float(np.log(3))], [0.0, 0.0, 9.0]]).view(1, 2, 3, 1)
    mask = torch.tensor([[[True, True, True], [True, True, False]]])
    split = kind.to_env(kind.greedy(kind.parameters(outputs, mask)))
    torch.testing.assert_close(split, torch.tensor([[[1 / 6, 2 / 6, 3 / 6], [1 / 3, 2 / 3, 0.0]]]))


masks = st.integers(1, 4).flatmap(
    lambda choices: st.lists(st.lists(st.booleans(), min_size=choices, max_size=choices), min_size=1, max_size=5)
)


@given(rows=masks, seed=st.integers(0, 10_000), distribution=st.sampled_from(list(LOGITS)), size=st.floats(0, 40))
def test_splits_are_splits_of_what_is_allowed(
    rows: list[list[bool]], seed: int, distribution: str, size: float
) -> None:
    mask, chance = torch.tensor(rows).unsqueeze(0), random.generator(seed)
    agents, choices = mask.shape[1:]
    start = size * torch.randn(agents, choices, generator=chance)
    kind = Simplex(start, LOGITS[distribution])
    outputs = size * torch.randn(1, agents, choices + kind.distribution.rest, 1, generator=chance)
    policy = kind.parameters(outputs, mask)
    seen = Observation(torch.zeros(1, agents, 0), torch.zeros(1, agents, choices, 0), mask, torch.zeros(1, 0))
    active = mask.any(-1)
    drawn = kind.sample(policy, torch.rand(1, agents, choices, generator=chance))
    for split in (kind.to_env(drawn), kind.to_env(kind.greedy(policy)), kind.anything(seen, chance)):
        assert (split >= 0).all() and split.isfinite().all()
        torch.testing.assert_close(split.sum(-1), torch.ones(1, agents), atol=1e-5, rtol=0)
        assert (split[~mask & active.unsqueeze(-1)] == 0).all()
        alone = active & (mask.sum(-1) == 1)
        torch.testing.assert_close(split[alone], mask[alone].float())
    assert kind.log_prob(policy, drawn).isfinite().all() and kind.entropy(policy).isfinite().all()


def test_random_splits_are_uniform(toy_simplex: ModuleType) -> None:
    """A share of n is Beta(1, n - 1): mean 1 / n, variance (n - 1) / n^2 (n + 1)."""
    env = toy_simplex.Env(6000, still=True)
    drawn = actions.kind_of(env.action_space).anything(env.reset().observation, random.generator(0))
    assert drawn.shape == (6000, 4, 3)
    torch.testing.assert_close(drawn.mean((0, 1)), torch.full((3,), 1 / 3), atol=0.01, rtol=0)
    torch.testing.assert_close(drawn.flatten(0, 1).var(0), torch.full((3,), 2 / 36), atol=0.002, rtol=0)


def test_the_network_sees_which_choice_is_which(toy_simplex: ModuleType) -> None:
    """Two choices with the same features get different logits: they have weights of their own."""
    env = toy_simplex.Env(2, still=True)
    kind = actions.kind_of(env.action_space, "mean")
    actor = actions.make_actor(env, kind, "shared", 8, 0)
    assert isinstance(actor, MlpActor) and actor.layers[0].in_features == 5 + 3 * 1
    outputs = actor.outputs(env.reset().observation)
    assert outputs.shape == (2, 4, 3, 1) and outputs[0, 0].unique().numel() == 3


# --- the loss ----------------------------------------------------------------------------------


def moved_loss(way: Tensor, u: Tensor, alpha: float = 1.0) -> Tensor:
    """The loss of a policy without chance whose logits moved by `way` from zero."""
    start = torch.zeros_like(way)
    return kind_of().policy_loss(way, start, start, torch.zeros(1), u, alpha, 0.2)


def test_the_gain_of_a_small_move_by_hand() -> None:
    found = moved_loss(torch.tensor([[0.1, -0.05, 0.0]]), torch.tensor([[3.0, 1.0, 7.0]]), alpha=0.5)
    assert float(found) == pytest.approx(-0.5 * (3 * 0.1 - 1 * 0.05), abs=1e-6)


def test_no_reward_beyond_reach_but_the_whole_loss() -> None:
    u = torch.tensor([[1.0, 0.0, 0.0]])
    at, beyond, back = (
        float(moved_loss(torch.tensor([[way, 0.0, 0.0]]), u)) for way in (REACH, 3 * REACH, -3 * REACH)
    )  # fmt: skip
    assert at == beyond == pytest.approx(-REACH, abs=1e-6)
    assert back == pytest.approx(3 * REACH, abs=1e-6)


@pytest.mark.parametrize("distribution", list(LOGITS))
def test_the_loss_descends_minus_alpha_u_in_logits(distribution: str) -> None:
    kind = kind_of(distribution)
    mask, raw = torch.tensor([[True, False, True]]), torch.zeros(1, 3 + kind.distribution.rest, 1).requires_grad_()
    policy = kind.parameters(raw, mask)
    drawn = kind.sample(policy, torch.tensor([[0.3, 0.5, 0.9]])).detach()
    u = torch.tensor([[2.0, 0.0, -3.0]])
    loss = kind.policy_loss(policy, policy.detach(), drawn, torch.zeros(1), u, 0.25, 0.2)
    (found,) = torch.autograd.grad(loss.sum(), raw)
    torch.testing.assert_close(found[0, :3, 0], torch.tensor([-0.5, 0.0, 0.75]))
    assert found.isfinite().all()


def test_the_deviation_learns_through_the_draw() -> None:
    """d loss / d log s = -alpha <u, s e>: a draw in the direction of u asks for more of it."""
    kind = kind_of("gaussian")
    old = torch.tensor([[0.0, 0.0, 0.0, -2.0]], dtype=torch.float64)
    drawn, u = torch.tensor([[0.1, 0.0, -0.1]]).double(), torch.tensor([[2.0, 0.0, -1.0]]).double()
    policy = old.clone().requires_grad_()
    loss = kind.policy_loss(policy, old, drawn, torch.zeros(1).double(), u, 1.0, 0.2)
    (found,) = torch.autograd.grad(loss.sum(), policy)
    torch.testing.assert_close(found, torch.tensor([[-2.0, 0.0, 1.0, -0.3]]).double())


def test_without_u_the_loss_is_the_clipped_one() -> None:
    kind, chance = kind_of("gaussian"), random.generator(0)
    mask = torch.tensor([[True, True, True], [True, False, True]])
    old, new = (kind.parameters(0.1 * torch.randn(2, 4, 1, generator=chance), mask) for _ in range(2))
    drawn, advantage = kind.sample(old, torch.rand(2, 3, generator=chance)), torch.tensor([1.0, -2.0])
    found = kind.policy_loss(new, old, drawn, advantage, None, 0.9, 0.2)
    expected = losses.clipped_policy(kind.log_prob(new, drawn), kind.log_prob(old, drawn), advantage, 0.2)
    assert torch.equal(found, expected) and found.isfinite().all()


# --- guidance ----------------------------------------------------------------------------------


@pytest.fixture
def rolled(toy_simplex: ModuleType) -> Callable[[str], tuple[Simplex, Trajectory]]:
    def roll(distribution: str) -> tuple[Simplex, Trajectory]:
        env = toy_simplex.Env(6, seed=4, start=(0.5, -0.5, 0.0))
        kind = actions.kind_of(env.action_space, distribution)
        actor = actions.make_actor(env, kind, "shared", 8, 0)
        actor.last.weight.data *= 100  # a policy far from its start
        noise = random.Streams(5, 6).uniform(5, 4, *kind.DRAWS)
        trajectory, _ = collect(env, kind, actor, env.reset(), noise)
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
        u = kind.guide("pathwise", toy_simplex.Cost(), toy_simplex.Loads(), one, 0.9, False).u
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
    natural = kind.guide("pathwise", toy_simplex.Cost(), toy_simplex.Loads(), trajectory, 0.9, False).u
    plain = kind.guide("pathwise_plain", toy_simplex.Cost(), toy_simplex.Loads(), trajectory, 0.9, False).u
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
    trajectory, _ = collect(env, kind, actor, env.reset(), torch.zeros(1, 1, 1, 3))
    assert kind.to_env(trajectory.actions[0]).tolist() == [[[0.0, 1.0, 0.0]]]
    u = kind.guide("pathwise", toy_simplex.Cost(), toy_simplex.Loads(), trajectory, 0.9, False).u
    assert u is not None
    way = torch.tensor([3.0, 0.0, 3.5])  # marginal costs 1, 4, 0.5
    torch.testing.assert_close(u[0, 0, 0], way / way.norm())


def test_guidance_by_hand(toy_simplex: ModuleType) -> None:
    """Marginal costs FREE + 2 SLOPE x at loads 1, 1/2, 1/2 are all 1; at 0.5, 1, 0.5 they are 1, 2, 1."""
    env = toy_simplex.Env(1, still=True, agents=1, start=tuple(np.log([0.25, 0.5, 0.25])))
    kind = actions.kind_of(env.action_space, "mean")
    actor = actions.make_actor(env, kind, "shared", 8, 0)
    actor.last.weight.data *= 0
    trajectory, _ = collect(env, kind, actor, env.reset(), torch.zeros(1, 1, 1, 3))
    assert float(-trajectory.reward) == pytest.approx(0.5 * 1 + 1 * 1 + 0.5 * 0.75)
    u = kind.guide("pathwise", toy_simplex.Cost(), toy_simplex.Loads(), trajectory, 0.9, False).u
    assert u is not None
    way = torch.tensor([0.5, -0.5, 0.5])  # minus (1, 2, 1) less its mean 1.5 under the split
    torch.testing.assert_close(u[0, 0, 0], way / way.norm(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("distribution", list(LOGITS))
def test_what_guidance_stands_for_has_the_size_of_a_normalised_advantage(
    rolled: Callable[[str], tuple[Simplex, Trajectory]], toy_simplex: ModuleType, distribution: str
) -> None:
    kind, trajectory = rolled(distribution)
    u = kind.guide("pathwise", toy_simplex.Cost(), toy_simplex.Loads(), trajectory, 0.9, False).u
    active = trajectory.decision.observation.active
    assert u is not None and u.shape == trajectory.actions.shape
    worth = u * kind.distribution.deviation(trajectory.policy)
    assert float(worth[active].square().sum(-1).mean()) == pytest.approx(1.0, rel=1e-4)


def test_first_order_guidance_is_a_normalised_advantage(
    rolled: Callable[[str], tuple[Simplex, Trajectory]], toy_simplex: ModuleType
) -> None:
    kind, trajectory = rolled("gaussian")
    u = kind.guide("first_order", toy_simplex.Cost(), toy_simplex.Loads(), trajectory, 0.9, False).u
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
        kind.guide("pathwise", toy_simplex.Cost(), toy.Routes(), trajectory, 0.9, False)
