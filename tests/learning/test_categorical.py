"""Categorical actions: masks, draws, entropy, losses and the guidance of a whole trajectory."""

import math
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg.domain import Observation
from dgpg.errors import PluginError
from dgpg.learning import Trajectory, actions, losses
from dgpg.learning.actions import CATEGORICAL as categorical
from dgpg.learning.estimators import choices, offered
from dgpg.learning.rollout import collect

from ..guided import guide, policy_loss

BELOW_ONE = 1 - 2**-24  # the largest float32 below 1, and what Streams.uniform draws at most
extreme = st.one_of(st.floats(-5, 5, width=32), st.sampled_from([-1e30, -200.0, -90.0, 0.0, 90.0, 200.0, 1e30]))


def test_kind_of_space() -> None:
    assert actions.kind_of(spaces.MultiDiscrete([3, 3])) is categorical
    with pytest.raises(PluginError, match="MultiDiscrete"):
        actions.kind_of(spaces.Box(0, 1, (2,)))


def test_log_probs_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3), 7.0], [1.0, 1.0, 1.0]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    got = categorical.parameters(logits, mask).exp()
    torch.testing.assert_close(got, torch.tensor([[0.25, 0.75, 0.0], [1 / 3, 1 / 3, 1 / 3]]))


@pytest.mark.parametrize("probability", [[0.1, 0.2, 0.7], [0.0, 0.5, 0.5], [0.25, 0.0, 0.75], [0.3, 0.7, 0.0], [1.0]])
def test_frequencies_on_a_grid_of_noise(probability: list[float]) -> None:
    count = 1000
    noise = (torch.arange(count) + 0.5) / count
    logs = torch.tensor(probability).log().expand(count, -1)
    drawn = categorical.sample(logs, noise)
    assert (drawn.diff() >= 0).all()
    frequency = drawn.bincount(minlength=len(probability)) / count
    # The inverse of the distribution function on an even grid is off by less than one grid cell.
    assert (frequency - torch.tensor(probability)).abs().max() <= 1 / count


def test_frequencies_of_random_noise() -> None:
    probability, count = torch.tensor([0.05, 0.15, 0.3, 0.5]), 20_000
    noise = torch.rand(count, generator=torch.Generator().manual_seed(0))
    observed = categorical.sample(probability.log().expand(count, -1), noise).bincount(minlength=4)
    chi_square = ((observed - count * probability).square() / (count * probability)).sum().item()
    assert chi_square < 16.3  # 99.9 % quantile with 3 degrees of freedom


@given(st.lists(st.tuples(extreme, st.booleans()), min_size=1, max_size=6), st.floats(0, BELOW_ONE, width=32))
def test_a_choice_that_is_not_allowed_is_never_drawn(choices: list[tuple[float, bool]], noise: float) -> None:
    logits, mask = torch.tensor([x for x, _ in choices]), torch.tensor([m for _, m in choices])
    logs = categorical.parameters(logits, mask)
    assert not logs.isnan().any()
    for number in (0.0, noise, BELOW_ONE):
        choice = int(categorical.sample(logs, torch.tensor(number)))
        assert 0 <= choice < len(choices)
        assert mask[choice] or not mask.any()
        assert logs[choice] > -torch.inf


@pytest.mark.parametrize("choices", [2, 16, 1500])
def test_ends_of_the_noise_reach_the_first_and_the_last_allowed_choice(choices: int) -> None:
    logits = torch.randn(50, choices + 2, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(choices + 2, dtype=torch.bool)
    mask[0] = mask[-1] = False
    logs = categorical.parameters(logits, mask.expand_as(logits))
    assert (categorical.sample(logs, torch.zeros(50)) == 1).all()
    last = categorical.sample(logs, torch.full((50,), BELOW_ONE))
    assert (last <= choices).all() and (last > 1 - 1 / choices).all()


def test_a_draw_does_not_depend_on_the_batch() -> None:
    draw = torch.Generator().manual_seed(2)
    logs, noise = torch.randn(64, 7, generator=draw).log_softmax(-1), torch.rand(64, generator=draw)
    alone = torch.stack([categorical.sample(logs[i], noise[i]) for i in range(64)])
    assert torch.equal(categorical.sample(logs, noise), alone)


def test_greedy_and_log_prob() -> None:
    logs = torch.tensor([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]).log()
    assert categorical.greedy(logs).tolist() == [1, 0]
    torch.testing.assert_close(categorical.log_prob(logs, torch.tensor([2, 1])), torch.tensor([0.3, 0.2]).log())


def test_entropy_by_hand() -> None:
    logs = categorical.parameters(
        torch.zeros(3, 4),
        torch.tensor([[True] * 4, [True, False, True, False], [False, True, False, False]]),
    )
    torch.testing.assert_close(categorical.entropy(logs), torch.tensor([math.log(4), math.log(2), 0.0]))


def test_policy_loss_mixes_by_alpha() -> None:
    draw = torch.Generator().manual_seed(3)
    logs, old, u = torch.randn(3, 5, 4, generator=draw).log_softmax(-1)
    taken, advantage = torch.tensor([0, 1, 2, 3, 0]), torch.randn(5, generator=draw)
    sampled = losses.clipped_policy(categorical.log_prob(logs, taken), categorical.log_prob(old, taken), advantage, 0.2)
    every = losses.clipped_all_action(logs, old, u, 0.2)
    got = {a: policy_loss(categorical, logs, old, taken, advantage, u, a, 0.2) for a in (0.0, 0.25, 1.0)}
    torch.testing.assert_close(got[0.25], 0.75 * sampled + 0.25 * every)
    assert torch.equal(got[0.0], sampled) and torch.equal(got[1.0], every)
    assert torch.equal(policy_loss(categorical, logs, old, taken, advantage, None, 0.25, 0.2), sampled)


@given(st.integers(0, 2**32), st.lists(extreme, min_size=4, max_size=4))
def test_gradients_are_finite_and_zero_where_not_allowed(seed: int, row: list[float]) -> None:
    draw = torch.Generator().manual_seed(seed)
    mask = torch.rand(3, 4, generator=draw) < 0.6
    mask[0, 0] = mask[1, 1] = mask[2, 2] = True
    logits = torch.stack([torch.tensor(row), *torch.randn(2, 4, generator=draw)]).requires_grad_()
    logs = categorical.parameters(logits, mask)
    old = categorical.parameters(logits.detach() + 0.1 * torch.randn(3, 4, generator=draw), mask)
    taken = categorical.sample(old, torch.rand(3, generator=draw))
    u, advantage = torch.randn(3, 4, generator=draw), torch.randn(3, generator=draw)
    loss = (policy_loss(categorical, logs, old, taken, advantage, u, 0.5, 0.2) - categorical.entropy(logs)).mean()
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.isfinite() and gradient.isfinite().all()
    assert (gradient[~mask] == 0).all()


# --- guide: a whole trajectory of the toy --------------------------------------------------------


@pytest.fixture
def trajectory(toy: ModuleType) -> Trajectory:
    trainer = toy.trainer("dg-pg")
    noise = torch.rand(4, 6, 4, generator=torch.Generator().manual_seed(0))
    return collect(trainer.task.env, trainer.team, trainer.decision, noise)[0]


def rise(toy: ModuleType, trajectory: Trajectory) -> Tensor:
    """phi(x_-i + z_i(k)) - phi(x_-i) of the toy, written out: slope (load without i * w + w^2 / 2)."""
    weight, slope = torch.tensor([1.0, 2.0, 0.5, 1.0]).view(1, 1, 4, 1), torch.tensor(toy.SLOPES)
    active = trajectory.decision.observation.active.unsqueeze(-1)
    own = torch.nn.functional.one_hot(trajectory.actions, 3) * weight * active
    others = trajectory.state.squeeze(-1).unsqueeze(2) - own
    return slope * (others * weight + 0.5 * weight.square())


@pytest.mark.parametrize("scaled", [False, True])
def test_guide_all_action_and_exact(toy: ModuleType, trajectory: Trajectory, scaled: bool) -> None:
    phi, probability = rise(toy, trajectory), trajectory.policy.exp()
    observation = trajectory.decision.observation
    u = (phi * probability).sum(-1, keepdim=True) - phi
    if scaled:  # each agent's influence is its weight whatever it picks
        u = u / torch.tensor([1.0, 2.0, 0.5, 1.0]).view(1, 1, 4, 1)
    seen = observation.mask & observation.active.unsqueeze(-1)
    power = (u.square() * probability)[seen].sum() / probability[seen].sum()
    expected = u / power.sqrt()

    args = (toy.RouteCost(), toy.Routes(), trajectory, 0.9, scaled)
    every = guide(categorical, "all_action", *args)
    torch.testing.assert_close(every[seen], expected[seen], rtol=1e-4, atol=1e-5)
    assert (every[observation.active.unsqueeze(-1) & ~observation.mask] == 0).all()
    sampled = guide(categorical, "exact", *args)
    taken = every.gather(-1, trajectory.actions.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(sampled[observation.active], taken[observation.active])
    assert every.shape == (6, 4, 4, 3) and sampled.shape == (6, 4, 4)


def test_guide_mirror_is_of_one_size_whatever_the_policy_is(toy: ModuleType, trajectory: Trajectory) -> None:
    phi, probability = rise(toy, trajectory), trajectory.policy.exp()
    observation = trajectory.decision.observation
    u = (phi * probability).sum(-1, keepdim=True) - phi
    seen = observation.mask & observation.active.unsqueeze(-1)
    alike = 1 / observation.mask.sum(-1, keepdim=True).clamp(min=1).expand_as(u)
    power = (u.square() * alike)[seen].sum() / alike[seen].sum()
    got = guide(categorical, "mirror", toy.RouteCost(), toy.Routes(), trajectory, 0.9, False)
    torch.testing.assert_close(got[seen], (u / power.sqrt())[seen], rtol=1e-4, atol=1e-5)
    # Nearly certain policies: guidance of what is not taken is as large as before, not a hundred times as large.
    certain = replace(trajectory, policy=(40 * trajectory.policy).log_softmax(-1))
    sharp = guide(categorical, "mirror", toy.RouteCost(), toy.Routes(), certain, 0.9, False)
    assert sharp[seen].abs().max() < 3 * got[seen].abs().max()


def test_guide_first_order(toy: ModuleType, trajectory: Trajectory) -> None:
    weight, slope = torch.tensor([1.0, 2.0, 0.5, 1.0]).view(1, 1, 4, 1), torch.tensor(toy.SLOPES)
    linear = slope * trajectory.state.squeeze(-1).unsqueeze(2) * weight
    raw = -linear.gather(-1, trajectory.actions.unsqueeze(-1)).squeeze(-1)
    active = trajectory.decision.observation.active
    expected = (raw - raw[active].mean()) / raw[active].std(correction=0)
    got = guide(categorical, "first_order", toy.RouteCost(), toy.Routes(), trajectory, 0.9, False)
    torch.testing.assert_close(got[active], expected[active], rtol=1e-4, atol=1e-5)
    assert (got[~active] == 0).all() and not active.all()


@pytest.mark.parametrize("estimator", list(offered(categorical)))
def test_guide_when_nobody_has_anything_to_decide(toy: ModuleType, trajectory: Trajectory, estimator: str) -> None:
    observation = trajectory.decision.observation
    idle: Observation = replace(observation, mask=torch.zeros_like(observation.mask))
    nobody = replace(trajectory, decision=replace(trajectory.decision, observation=idle))
    assert guide(categorical, estimator, toy.RouteCost(), toy.Routes(), nobody, 0.9, True).isfinite().all()


@pytest.mark.parametrize("estimator", list(offered(categorical)))
def test_guide_needs_no_gradients_and_gives_none(toy: ModuleType, trajectory: Trajectory, estimator: str) -> None:
    got = guide(categorical, estimator, toy.EvenSplit(), toy.Routes(), trajectory, 0.9, False)
    assert not got.requires_grad


@pytest.mark.parametrize("estimator", list(offered(categorical)))
@pytest.mark.parametrize("states", [1, 7, 24])
def test_guide_a_few_states_at_a_time(
    toy: ModuleType, trajectory: Trajectory, monkeypatch: pytest.MonkeyPatch, estimator: str, states: int
) -> None:
    args = (estimator, toy.RouteCost(), toy.Routes(), trajectory, 0.9, True)
    whole = guide(categorical, *args)
    monkeypatch.setattr(choices, "STATES", states)
    torch.testing.assert_close(guide(categorical, *args), whole)


def test_control_variate_is_what_the_others_did(toy: ModuleType, trajectory: Trajectory) -> None:
    """b_i = -(phi(x) with i's part averaged over its policy) + phi at the mean state: free of a_i."""
    got = guide(categorical, "control_variate", toy.RouteCost(), toy.Routes(), trajectory, 0.9, False)
    context, seen = trajectory.decision.context, trajectory.decision.observation
    slope, prior, weight = torch.tensor(toy.SLOPES), context["prior"], context["weight"]
    probability = trajectory.policy.exp() * seen.active.unsqueeze(-1)
    mean = prior + (probability * weight.unsqueeze(-1)).sum(2)
    own = torch.nn.functional.one_hot(trajectory.actions, 3) * (weight * seen.active).unsqueeze(-1)

    def phi(load: Tensor) -> Tensor:
        return 0.5 * (slope * load.square()).sum(-1)

    for i in range(4):
        others = trajectory.state.squeeze(-1) - own[:, :, i]
        each = [phi(others + weight[..., i, None] * torch.eye(3)[k]) for k in range(3)]
        averaged = (torch.stack(each, -1) * trajectory.policy[:, :, i].exp()).sum(-1)
        active = seen.active[..., i]
        torch.testing.assert_close(got[..., i][active], (phi(mean) - averaged)[active], rtol=1e-4, atol=1e-4)


def test_shaping_telescopes_over_an_episode(toy: ModuleType, trajectory: Trajectory) -> None:
    """Sum of gamma^t F_t from the start of an episode to a true end is phi of where it began."""
    gamma = 0.9
    got = guide(categorical, "potential_based", toy.RouteCost(), toy.Routes(), trajectory, gamma, False)

    def phi(prior: Tensor) -> float:
        return float(0.5 * (torch.tensor(toy.SLOPES) * prior.square()).sum())

    prior, ends = trajectory.decision.context["prior"], 0
    for b in range(4):
        for t in range(6):
            ahead = phi(prior[t + 1, b]) if t < 5 else phi(trajectory.last.context["prior"][b])
            if trajectory.done[t, b]:
                ahead = phi(trajectory.finals[t].context["prior"][b])
                ends += 1
            if trajectory.terminated[t, b]:
                ahead = 0.0
            assert got[t, b].item() == pytest.approx(phi(prior[t, b]) - gamma * ahead, rel=1e-4, abs=1e-5)
    assert ends > 0 and trajectory.terminated.any()
