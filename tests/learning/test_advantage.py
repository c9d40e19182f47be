"""From rewards and values to advantages."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg.learning import advantage as adv

seeds = st.integers(0, 2**32)
shares = st.sampled_from([0.0, 0.3, 0.95, 1.0])


def gae(reward, value, value_tp1, terminated, done, gamma, lambda_):
    tensors = [torch.tensor(x, dtype=torch.float64) for x in (reward, value, value_tp1)]
    ends = [torch.tensor(x, dtype=torch.bool) for x in (terminated, done)]
    return adv.gae(*tensors, *ends, gamma, lambda_)


def test_gae_by_hand() -> None:
    # deltas: 1 + .5*4 - 2 = 1, 2 + .5*6 - 4 = 1, 3 + .5*8 - 6 = 1; decay .5*.5
    got = gae([1, 2, 3], [2, 4, 6], [4, 6, 8], [0, 0, 0], [0, 0, 0], 0.5, 0.5)
    assert got.tolist() == [1 + 0.25 * 1.25, 1.25, 1.0]


def test_a_true_end_has_no_value_beyond_it() -> None:
    got = gae([1, 2], [2, 4], [99, 8], [1, 0], [1, 0], 0.5, 1.0)
    assert got.tolist() == [1 - 2, 2 + 0.5 * 8 - 4]


def test_a_cut_episode_keeps_its_value_but_not_what_follows() -> None:
    got = gae([1, 2], [2, 4], [6, 8], [0, 0], [1, 0], 0.5, 1.0)
    assert got.tolist() == [1 + 0.5 * 6 - 2, 2 + 0.5 * 8 - 4]


def brute_force(reward, value_t, value_tp1, terminated, done, gamma, lambda_):
    """(1 - lambda) sum_n lambda^(n-1) A^(n), the last term with the rest of the weight; no recursion."""
    result = np.zeros_like(reward)
    for b in range(reward.shape[1]):
        for t in range(len(reward)):
            end = t
            while not done[end, b] and end + 1 < len(reward):
                end += 1
            steps = end - t + 1
            for n in range(1, steps + 1):
                tail = 0.0 if terminated[t + n - 1, b] else value_tp1[t + n - 1, b]
                rewards = sum(gamma**j * reward[t + j, b] for j in range(n))
                weight = lambda_ ** (n - 1) * (1 - lambda_ if n < steps else 1)
                result[t, b] += weight * (rewards + gamma**n * tail - value_t[t, b])
    return result


@given(seeds, st.integers(1, 8), st.integers(1, 3), shares, shares)
def test_gae_is_the_weighted_sum_of_n_step_advantages(
    seed: int, steps: int, batch: int, gamma: float, lambda_: float
) -> None:
    rng = np.random.default_rng(seed)
    reward, value_t, final = rng.normal(size=(3, steps, batch))
    done = rng.random((steps, batch)) < 0.4
    terminated = done & (rng.random((steps, batch)) < 0.5)
    following = np.concatenate([value_t[1:], rng.normal(size=(1, batch))])
    value_tp1 = np.where(done, final, following)
    got = gae(reward, value_t, value_tp1, terminated, done, gamma, lambda_)
    expected = brute_force(reward, value_t, value_tp1, terminated, done, gamma, lambda_)
    # `gamma * lambda_ * (~done)` is float32 whatever the rewards are, hence no closer than this.
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-6)


@given(seeds, st.integers(1, 6))
def test_gae_with_a_value_for_each_agent(seed: int, agents: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    reward, value_t, value_tp1 = torch.randn(3, 4, 2, agents, generator=draw)
    done = torch.rand(4, 2, 1, generator=draw) < 0.4
    end = done & (torch.rand(4, 2, 1, generator=draw) < 0.5)
    together = adv.gae(reward, value_t, value_tp1, end, done, 0.9, 0.8)
    for i in range(agents):
        columns = (x[..., i] for x in (reward, value_t, value_tp1))
        alone = adv.gae(*columns, end[..., 0], done[..., 0], 0.9, 0.8)
        torch.testing.assert_close(together[..., i], alone)


# [T, B, N] = [2, 1, 2]; the last entry is of an agent with nothing to decide.
ADVANTAGE = torch.tensor([[[1.0, 10.0]], [[5.0, 99.0]]])
ACTIVE = torch.tensor([[[True, True]], [[True, False]]])


def test_normalise_over_the_batch_by_hand() -> None:
    # 1, 10, 5: mean 16/3, variance (13/3^2 + 14/3^2 + 1/3^2) / 3
    deviation = np.sqrt((169 + 196 + 1) / 27)
    expected = torch.tensor([[[-13 / 3, 14 / 3]], [[-1 / 3, 0.0]]]) / deviation
    torch.testing.assert_close(adv.normalise(ADVANTAGE, ACTIVE, "batch"), expected.float())


def test_normalise_each_agent_by_hand() -> None:
    # agent 0: 1 and 5, mean 3, deviation 2; agent 1 acted once: nothing to compare with
    expected = torch.tensor([[[-1.0, 0.0]], [[1.0, 0.0]]])
    torch.testing.assert_close(adv.normalise(ADVANTAGE, ACTIVE, "agent"), expected)


def test_normalise_none_only_masks() -> None:
    assert adv.normalise(ADVANTAGE, ACTIVE, "none").flatten().tolist() == [1, 10, 5, 0]


@pytest.mark.parametrize("scope", ["batch", "agent", "none"])
@pytest.mark.parametrize("count", [0, 1])
def test_normalise_with_none_or_one_active(scope: adv.Scope, count: int) -> None:
    active = torch.zeros(3, 2, 2, dtype=torch.bool)
    active.view(-1)[:count] = True
    got = adv.normalise(torch.arange(12.0).view(3, 2, 2) + 1e6, active, scope)
    assert got.isfinite().all() and (got[~active] == 0).all()


@given(seeds, st.sampled_from(["batch", "agent"]), st.floats(-100, 100), st.floats(0.01, 100))
def test_normalised_advantages_have_mean_zero_deviation_one_and_no_unit(
    seed: int, scope: adv.Scope, shift: float, scale: float
) -> None:
    draw = torch.Generator().manual_seed(seed)
    raw = torch.randn(6, 4, 3, generator=draw, dtype=torch.float64)
    active = torch.rand(6, 4, 3, generator=draw) < 0.7
    got = adv.normalise(raw, active, scope)
    torch.testing.assert_close(adv.normalise(shift + scale * raw, active, scope), got, atol=1e-5, rtol=0)
    groups = [got[active]] if scope == "batch" else [got[..., i][active[..., i]] for i in range(3)]
    for group in groups:
        if len(group) > 1:
            assert abs(group.mean()) < 1e-6 and abs(group.std(correction=0) - 1) < 1e-5


def test_centre_by_hand() -> None:
    probability = torch.tensor([0.5, 0.25, 0.25, 0.0])
    got = adv.centre(torch.tensor([2.0, 4.0, 8.0, 1e6]), probability)  # mean potential 4
    assert got.tolist() == [2.0, 0.0, -4.0, 0.0]


@given(seeds, st.integers(1, 5))
def test_centred_guidance_has_mean_zero_under_the_policy(seed: int, choices: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    potential, logits = torch.randn(2, 3, choices, generator=draw, dtype=torch.float64)
    u = adv.centre(potential, logits.softmax(-1))
    assert ((u * logits.softmax(-1)).sum(-1).abs() < 1e-12).all()


def test_scale_guidance_by_hand() -> None:
    u = torch.tensor([[[[3.0, -3.0], [8.0, 0.0]]]])
    probability = torch.tensor([[[[0.5, 0.5], [0.25, 0.75]]]])
    active = torch.tensor([[[True, True]]])
    # mean square under the policy: (9 + 16) / 2
    torch.testing.assert_close(adv.scale_guidance(u, probability, active, None), u / np.sqrt(12.5))
    # own scales 3 and 4: (1 + 4 / 4) / 2 = 1
    own = torch.tensor([[[3.0, 4.0]]])
    expected = torch.tensor([[[[1.0, -1.0], [2.0, 0.0]]]])
    torch.testing.assert_close(adv.scale_guidance(u, probability, active, own), expected)


def test_scale_guidance_leaves_inactive_agents_out_of_the_scale() -> None:
    u = torch.tensor([[[[3.0, -3.0], [1e9, -1e9]]]])
    probability = torch.full((1, 1, 2, 2), 0.5)
    got = adv.scale_guidance(u, probability, torch.tensor([[[True, False]]]), None)
    torch.testing.assert_close(got[0, 0, 0], torch.tensor([1.0, -1.0]))
    nobody = adv.scale_guidance(0 * u, probability, torch.tensor([[[False, False]]]), torch.zeros(1, 1, 2))
    assert nobody.isfinite().all()


@given(seeds)
def test_scaled_guidance_has_mean_square_one_under_the_policy(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    u, logits = torch.randn(2, 3, 2, 4, 3, generator=draw, dtype=torch.float64)
    own = torch.rand(3, 2, 4, generator=draw, dtype=torch.float64) + 0.1
    probability = logits.softmax(-1)
    got = adv.scale_guidance(100 * u, probability, torch.ones(3, 2, 4, dtype=torch.bool), own)
    assert (got.square() * probability).sum(-1).mean().item() == pytest.approx(1, rel=1e-6)


def test_scale_direction_by_hand() -> None:
    u = torch.tensor([[[[3.0, -4.0], [1.0, 0.0], [0.0, 0.0]]]])
    active = torch.tensor([[[True, True, False]]])
    # (9 + 16 + 1) / 2 agents; with twice the worth, half the scale
    torch.testing.assert_close(adv.scale_direction(u, u, active), u / np.sqrt(13))
    torch.testing.assert_close(adv.scale_direction(u, 2 * u, active), u / np.sqrt(52))
    assert not adv.scale_direction(0 * u, 0 * u, active & False).any()


def test_mix_by_hand() -> None:
    got = adv.mix(torch.tensor([1.0, 2.0]), torch.tensor([5.0, -2.0]), 0.25)
    assert got.tolist() == [2.0, 1.0]


def test_the_coefficient_of_a_control_variate_by_hand() -> None:
    advantage, baseline = torch.tensor([2.0, 4.0, 100.0]), torch.tensor([1.0, 1.0, 1.0])
    active = torch.tensor([True, True, False])
    assert adv.regress(advantage, baseline, active) == pytest.approx(3.0)
    assert adv.regress(advantage, baseline, ~active & active) == 0.0
