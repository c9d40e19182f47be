"""Splits: bounds, masks and the two parts of the loss."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg.domain import Observation, random
from dgpg.domain import Simplex as Space
from dgpg.errors import ConfigError, PluginError
from dgpg.learning import actions, losses
from dgpg.learning.actions.logits import LOGITS
from dgpg.learning.actions.simplex import Simplex
from dgpg.learning.algorithms import find, train_config
from dgpg.learning.estimators import offered
from dgpg.learning.networks import MlpActor
from dgpg.learning.networks.sharing import Independent

from ..guided import policy_loss

REACH = Simplex.REACH

INF = torch.inf
ALONE = {"alpha": {"start": 1.0, "end": 1.0}}


def kind_of(distribution: str = "mean", start: tuple[float, ...] = (0.0, 0.0, 0.0), agents: int = 1) -> Simplex:
    return Simplex(torch.tensor(start).expand(agents, -1), LOGITS[distribution])


# --- kinds and settings ------------------------------------------------------------------------


def test_kind_of_space() -> None:
    kind = actions.kind_of(Space(2, 3, [[0.0, 1.0, 2.0]] * 2))
    assert isinstance(kind, Simplex) and kind.distribution is LOGITS["gaussian"]
    assert kind.start.tolist() == [[0.0, 1.0, 2.0]] * 2 and kind.DRAWS == (3,)
    assert tuple(offered(kind)) == ("pathwise", "pathwise_plain", "first_order")
    assert tuple(offered(actions.kind_of(Space(2, 3), "mean"))) == ("pathwise", "pathwise_plain")


def test_a_distribution_of_numbers_is_not_one_of_splits() -> None:
    with pytest.raises(
        ConfigError, match=r"train\.distribution: unknown distribution of splits 'beta'.*gaussian, mean"
    ):
        actions.kind_of(Space(2, 3), "beta")
    with pytest.raises(PluginError, match=r"no known kind: expected .* dgpg\.domain\.Simplex\(N, K\)"):
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
    return policy_loss(kind_of(), way, start, start, torch.zeros(1), u, alpha, 0.2)


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
    loss = policy_loss(kind, policy, policy.detach(), drawn, torch.zeros(1), u, 0.25, 0.2)
    (found,) = torch.autograd.grad(loss.sum(), raw)
    torch.testing.assert_close(found[0, :3, 0], torch.tensor([-0.5, 0.0, 0.75]))
    assert found.isfinite().all()


def test_the_deviation_learns_through_the_draw() -> None:
    """d loss / d log s = -alpha <u, s e>: a draw in the direction of u asks for more of it."""
    kind = kind_of("gaussian")
    old = torch.tensor([[0.0, 0.0, 0.0, -2.0]], dtype=torch.float64)
    drawn, u = torch.tensor([[0.1, 0.0, -0.1]]).double(), torch.tensor([[2.0, 0.0, -1.0]]).double()
    policy = old.clone().requires_grad_()
    loss = policy_loss(kind, policy, old, drawn, torch.zeros(1).double(), u, 1.0, 0.2)
    (found,) = torch.autograd.grad(loss.sum(), policy)
    torch.testing.assert_close(found, torch.tensor([[-2.0, 0.0, 1.0, -0.3]]).double())


def test_without_u_the_loss_is_the_clipped_one() -> None:
    kind, chance = kind_of("gaussian"), random.generator(0)
    mask = torch.tensor([[True, True, True], [True, False, True]])
    old, new = (kind.parameters(0.1 * torch.randn(2, 4, 1, generator=chance), mask) for _ in range(2))
    drawn, advantage = kind.sample(old, torch.rand(2, 3, generator=chance)), torch.tensor([1.0, -2.0])
    found = policy_loss(kind, new, old, drawn, advantage, None, 0.9, 0.2)
    expected = losses.clipped_policy(kind.log_prob(new, drawn), kind.log_prob(old, drawn), advantage, 0.2)
    assert torch.equal(found, expected) and found.isfinite().all()


def test_another_number_of_agents_is_refused_and_not_broadcast() -> None:
    box = actions.kind_of(spaces.Box(np.zeros((3, 2), np.float32), np.ones((3, 2), np.float32)))
    for agents in (1, 2, 4):
        with pytest.raises(ConfigError, match=f"policy of 3 agents was given an observation of {agents} agent"):
            box.to_env(torch.zeros(5, agents, 2))
        with pytest.raises(ConfigError, match="policy of 3 agents"):
            Independent(3).rows(torch.zeros(5, agents, 2), torch.ones(5, agents, dtype=torch.bool))
    assert box.to_env(torch.zeros(5, 3, 2)).shape == (5, 3, 2)
