"""Distributions of the logits of a split: densities, draws, entropies and the draw of the same chance again."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from dgpg.domain import random
from dgpg.learning.actions.logits import DEVIATION, LOGITS, Gaussian, Mean, difference

BELOW_ONE = 1 - 2**-24  # the largest that Streams.uniform draws
INF = torch.inf


def of(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def policy(*logits: float, deviation: float) -> Tensor:
    return of(*logits, math.log(deviation))


def test_the_names() -> None:
    assert list(LOGITS) == ["gaussian", "mean"]
    assert [d.rest for d in LOGITS.values()] == [1, 0]
    assert LOGITS["mean"].offers == {"path"} and LOGITS["gaussian"].offers == {"path", "score"}


def test_two_choices_by_hand() -> None:
    # d = (0.1, -0.1), |d|^2 = 0.02, s = 0.1, one dimension: exp(-1) / (0.1 sqrt(2 pi)).
    found = Gaussian().log_prob(policy(0.0, 0.0, deviation=0.1), of(0.3, 0.1))
    assert float(found) == pytest.approx(-1 - math.log(0.1 * math.sqrt(2 * math.pi)), rel=1e-9)
    assert float(Gaussian().entropy(policy(1.0, 0.0, deviation=0.1))) == pytest.approx(
        0.5 * math.log(2 * math.pi * math.e) + math.log(0.1), rel=1e-9
    )


def test_the_density_is_that_of_scipy_in_the_dimensions_a_split_shows() -> None:
    """An orthonormal basis of the plane of mean zero: a normal density in n - 1 dimensions."""
    basis = torch.linalg.qr(torch.cat([torch.ones(4, 1), torch.eye(4)[:, :3]], 1).double())[0][:, 1:]
    mean, drawn = of(0.3, -0.2, 0.9, 0.0), of(0.1, 0.2, 0.7, -0.3)
    found = Gaussian().log_prob(policy(*mean.tolist(), deviation=0.15), drawn)
    expected = stats.norm(0, 0.15).logpdf(((drawn - mean) @ basis).numpy()).sum()
    assert float(found) == pytest.approx(expected, rel=1e-9)


@given(shift=st.floats(-50, 50), other=st.floats(-50, 50))
def test_a_number_added_to_all_logits_changes_no_density(shift: float, other: float) -> None:
    mean, drawn = of(0.3, -0.2, 0.9), of(0.2, 0.0, 0.8)
    moved = Gaussian().log_prob(policy(*(mean + shift).tolist(), deviation=0.1), drawn + other)
    still = Gaussian().log_prob(policy(*mean.tolist(), deviation=0.1), drawn)
    assert float(moved) == pytest.approx(float(still), abs=1e-8)


def test_choices_that_are_not_allowed_do_not_count() -> None:
    with_, without = policy(0.3, -INF, -0.2, deviation=0.1), policy(0.3, -0.2, deviation=0.1)
    assert float(Gaussian().log_prob(with_, of(0.2, -INF, 0.0))) == pytest.approx(
        float(Gaussian().log_prob(without, of(0.2, 0.0))), rel=1e-9
    )
    assert float(Gaussian().entropy(with_)) == pytest.approx(float(Gaussian().entropy(without)), rel=1e-9)


def test_a_single_allowed_choice_has_no_chance() -> None:
    one = policy(-INF, 0.4, -INF, deviation=0.1)
    drawn = Gaussian().sample(one, torch.rand(3, generator=random.generator(0)).double())
    assert drawn.tolist() == [-INF, 0.4, -INF]
    assert float(Gaussian().log_prob(one, drawn)) == 0.0 == float(Gaussian().entropy(one))


def test_draws_have_the_deviation_that_the_policy_says_less_their_mean() -> None:
    """Of n numbers of deviation s less their mean each has variance s^2 (n - 1) / n."""
    row = policy(1.0, -INF, 0.0, -1.0, deviation=0.1).expand(40000, -1)
    drawn = Gaussian().sample(row, torch.rand(40000, 4, generator=random.generator(1)).double())
    way = difference(drawn, row[:, :-1])
    assert (drawn[:, 1] == -INF).all() and way.sum(-1).abs().max() < 1e-9
    torch.testing.assert_close(way.mean(0), torch.zeros(4).double(), atol=2e-3, rtol=0)
    expected = of(1, 0, 1, 1) * 0.01 * 2 / 3
    torch.testing.assert_close(way.var(0), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("noise", [0.0, BELOW_ONE])
def test_draws_are_finite_at_the_ends_of_the_noise(noise: float) -> None:
    ends = torch.tensor([noise, 1 - noise, 0.5])
    drawn = Gaussian().sample(policy(0.0, 0.0, 0.0, deviation=0.2).float(), ends)
    assert drawn.isfinite().all() and drawn.abs().max() < 2


def test_the_deviation_starts_half_way_and_stays_in_its_range() -> None:
    low, high = DEVIATION
    raw = torch.tensor([[-100.0], [0.0], [100.0]])
    found = Gaussian().deviation(Gaussian().parameters(torch.zeros(3, 2), raw))
    torch.testing.assert_close(found.flatten(), torch.tensor([low, (low + high) / 2, high]))
    assert float(Mean().deviation(torch.zeros(2))) == 1.0


def test_the_same_chance_draws_the_same_again() -> None:
    old = policy(1.0, -INF, 0.0, deviation=0.1)
    drawn = Gaussian().sample(old, of(0.2, 0.5, 0.9))
    again = Gaussian().again(old, old, drawn)
    torch.testing.assert_close(again[[0, 2]], drawn[[0, 2]])
    wider = Gaussian().again(policy(1.5, -INF, 0.0, deviation=0.2), old, drawn)
    torch.testing.assert_close(wider[[0, 2]], of(1.5, 0.0) + 2 * (drawn - old[:-1])[[0, 2]])
    assert again[1] == wider[1] == -INF
    assert torch.equal(Mean().again(of(1.0, 2.0), of(0.0, 0.0), of(0.0, 0.0)), of(1.0, 2.0))


def test_the_score_is_unbiased_for_what_a_split_is_worth() -> None:
    """grad E[r(split)] by the score function, against the derivative of the expectation under common noise."""
    worth, mean = of(1.0, -2.0, 0.5), of(0.2, 0.0, -0.4)
    noise = torch.rand(400000, 3, generator=random.generator(3)).double()
    old = policy(*mean.tolist(), deviation=0.2)

    def reward(center: Tensor) -> Tensor:
        drawn = Gaussian().sample(torch.cat([center, old[-1:]]), noise)
        return (drawn.softmax(-1) * worth).sum(-1)

    drawn = Gaussian().sample(old, noise)
    center = mean.clone().requires_grad_()
    log_prob = Gaussian().log_prob(torch.cat([center, old[-1:]]).expand(len(noise), -1), drawn)
    gain = reward(mean)
    (found,) = torch.autograd.grad((log_prob * (gain - gain.mean())).mean(), center)
    moved = mean.clone().requires_grad_()
    (expected,) = torch.autograd.grad(reward(moved).mean(), moved)
    torch.testing.assert_close(found, expected, atol=6e-3, rtol=0)
    assert expected.abs().max() > 0.3


def test_without_chance_there_is_no_score() -> None:
    rows = torch.randn(4, 3, generator=random.generator(0))
    assert Mean().log_prob(rows, rows).tolist() == [0.0] * 4 == Mean().entropy(rows).tolist()
    assert torch.equal(Mean().sample(rows, torch.zeros(4, 3)), rows)
