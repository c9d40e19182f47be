"""Losses, by hand and by enumeration."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg.learning import losses


def logs_of(*probabilities: float) -> torch.Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log()


def test_ratio_one_gives_minus_the_mean_advantage() -> None:
    log_prob, advantage = logs_of(0.2, 0.5, 0.9), torch.tensor([1.0, -2.0, 4.0], dtype=torch.float64)
    assert losses.clipped_policy(log_prob, log_prob, advantage, 0.2).mean().item() == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("ratio", "advantage", "gain", "slope"),
    [
        (1.1, 2.0, 2.2, 2.2),  # inside: d(rho A)/d log pi = rho A
        (1.5, 2.0, 2.4, 0.0),  # better already: clipped at 1.2
        (0.5, 2.0, 1.0, 1.0),  # worse than before: pulled back
        (1.5, -2.0, -3.0, -3.0),
        (0.5, -2.0, -1.6, 0.0),  # clipped at 0.8
    ],
)
def test_clipped_policy_by_hand(ratio: float, advantage: float, gain: float, slope: float) -> None:
    old = logs_of(0.4)
    new = (old + math.log(ratio)).requires_grad_()
    loss = losses.clipped_policy(new, old, torch.tensor([advantage], dtype=torch.float64), 0.2)
    loss.backward()
    assert loss.item() == pytest.approx(-gain)
    assert new.grad is not None and new.grad.item() == pytest.approx(-slope)


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 4))
def test_all_action_is_the_expectation_of_the_sampled_loss(seed: int, rows: int, choices: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    logs_old, logs = (torch.randn(rows, choices, generator=draw, dtype=torch.float64).log_softmax(-1) for _ in range(2))
    u = torch.randn(rows, choices, generator=draw, dtype=torch.float64)
    expected = sum(
        logs_old[m, k].exp() * losses.clipped_policy(logs[m, k : k + 1], logs_old[m, k : k + 1], u[m, k], 0.2)
        for m in range(rows)
        for k in range(choices)
    )
    torch.testing.assert_close(losses.clipped_all_action(logs, logs_old, u, 0.2).mean(0, keepdim=True), expected / rows)


def test_clipped_move_by_hand() -> None:
    # Along u = 2: 0.5 counts up to 0.2; -0.5 counts in full; along u = -3: 0.5 in full, -0.5 up to 0.2.
    move = torch.tensor([[0.5, 0.5], [-0.5, -0.5], [0.1, -0.1]], requires_grad=True)
    loss = losses.clipped_move(torch.tensor([2.0, -3.0]), move, 0.2)
    torch.testing.assert_close(loss, torch.tensor([-(0.4 - 1.5), -(-1.0 + 0.6), -(0.2 + 0.3)]))
    loss.sum().backward()
    assert move.grad is not None and move.grad.tolist() == [[0.0, 3.0], [-2.0, 0.0], [-2.0, 3.0]]


def test_all_action_by_hand() -> None:
    # rho = (1.5, 0.5); the first gains and is clipped at 1.2, the second is not clipped.
    logs, old = logs_of(0.75, 0.25).view(1, 2), logs_of(0.5, 0.5).view(1, 2)
    u = torch.tensor([[2.0, 1.0]], dtype=torch.float64)
    assert losses.clipped_all_action(logs, old, u, 0.2).item() == pytest.approx(-(0.5 * 2.4 + 0.5 * 0.5))


def test_all_action_gradient_at_the_old_policy_is_that_of_expected_u() -> None:
    logits = torch.tensor([[0.3, -1.0, 0.2]], dtype=torch.float64, requires_grad=True)
    u = torch.tensor([[1.0, -0.5, 2.0]], dtype=torch.float64)
    loss = losses.clipped_all_action(logits.log_softmax(-1), logits.detach().log_softmax(-1), u, 0.2)
    (got,) = torch.autograd.grad(loss, logits)
    (expected,) = torch.autograd.grad(-(logits.softmax(-1) * u).sum(), logits)
    torch.testing.assert_close(got, expected)


def test_a_mirrored_policy_is_where_the_loss_ends() -> None:
    old = logs_of(0.5, 0.3, 0.2).view(1, 3)
    u = torch.tensor([[1.0, -1.0, 0.5]], dtype=torch.float64)
    weight = old.exp() * (0.4 * u).exp()
    target = (weight / weight.sum()).log()
    (there,) = torch.autograd.grad(losses.towards_mirrored((logits := target.clone().requires_grad_()).log_softmax(-1),
                                                           old, u, 0.4).sum(), logits)  # fmt: skip
    torch.testing.assert_close(there, torch.zeros_like(there))
    (away,) = torch.autograd.grad(losses.towards_mirrored((logits := old.clone().requires_grad_()).log_softmax(-1),
                                                          old, u, 0.4).sum(), logits)  # fmt: skip
    assert away[0, 0] < 0 < away[0, 1]


def test_a_short_mirrored_step_starts_along_expected_u() -> None:
    logits = torch.tensor([[0.3, -1.0, 0.2]], dtype=torch.float64, requires_grad=True)
    u = torch.tensor([[1.0, -0.5, 2.0]], dtype=torch.float64)
    old = logits.detach().log_softmax(-1)
    (got,) = torch.autograd.grad(losses.towards_mirrored(logits.log_softmax(-1), old, u, 1e-6).sum(), logits)
    (expected,) = torch.autograd.grad(-(logits.softmax(-1) * u).sum(), logits)
    torch.testing.assert_close(got / 1e-6, expected, atol=1e-5, rtol=1e-5)


def test_mirrored_steps_ignore_choices_that_are_not_allowed() -> None:
    logits = torch.tensor([[0.3, -1.0, 5.0]], dtype=torch.float64, requires_grad=True)
    logs = logits.masked_fill(torch.tensor([[False, False, True]]), -torch.inf).log_softmax(-1)
    u = torch.tensor([[1.0, -1.0, 1e6]], dtype=torch.float64)
    loss = losses.towards_mirrored(logs, logs.detach(), u, 0.3)
    two = losses.towards_mirrored(logs[:, :2], logs.detach()[:, :2], u[:, :2], 0.3)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(two.item())
    assert gradient.isfinite().all() and gradient[0, 2] == 0 and gradient[0, 0] != 0


def test_all_action_ignores_choices_that_are_not_allowed() -> None:
    logits = torch.tensor([[0.3, -1.0, 5.0]], dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True, False]])
    logs = logits.masked_fill(~mask, -torch.inf).log_softmax(-1)
    u = torch.tensor([[1.0, -1.0, 1e6]], dtype=torch.float64)
    loss = losses.clipped_all_action(logs, logs.detach(), u, 0.2)
    two = losses.clipped_all_action(logs[:, :2], logs.detach()[:, :2], u[:, :2], 0.2)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(two.item())
    assert gradient.isfinite().all() and gradient[0, 2] == 0 and gradient[0, 0] != 0


@pytest.mark.parametrize(
    ("value", "old", "target", "loss"),
    [
        (1.1, 1.0, 2.0, 0.405),  # moved less than the clip: 1/2 0.9^2
        (1.5, 1.0, 2.0, 0.32),  # the move counts as 0.2: 1/2 0.8^2, worse than 1/2 0.5^2
        (0.0, 1.0, 2.0, 2.0),  # moved away: unclipped 1/2 2^2 is worse than 1/2 1.2^2
        (1.0, 1.0, 21.0, 150.0),  # Huber: 10 (20 - 5)
    ],
)
def test_clipped_value_by_hand(value: float, old: float, target: float, loss: float) -> None:
    got = losses.clipped_value(*(torch.tensor([x]) for x in (value, old, target)), clip=0.2, delta=10.0)
    assert got.item() == pytest.approx(loss, rel=1e-5)


def test_clipped_value_has_no_gradient_beyond_the_clip() -> None:
    value = torch.tensor([1.5], requires_grad=True)
    losses.clipped_value(value, torch.tensor([1.0]), torch.tensor([2.0]), 0.2, 10.0).backward()
    assert value.grad is not None and value.grad.item() == 0


def test_losses_have_one_number_a_row() -> None:
    zero = torch.zeros(2)
    assert losses.clipped_value(zero, zero, torch.tensor([1.0, 3.0]), 0.2, 10.0).tolist() == pytest.approx([0.5, 4.5])


def test_each_network_has_its_own_mean_over_the_rows_that_take_part() -> None:
    rows = torch.tensor([[1.0, 2.0, 6.0], [4.0, 5.0, 6.0]])
    active = torch.tensor([[True, False, True], [False, False, False]])
    assert losses.mean_by_network(rows, active, active.sum(-1)).tolist() == [3.5, 0.0]
    assert losses.mean_by_network(rows[0], active[0], active[0].sum()).item() == 3.5


def test_approximate_kl() -> None:
    same = logs_of(0.3, 0.6)
    assert (losses.approximate_kl(same, same) == 0).all()
    # rho = 2: (2 - 1) - log 2
    assert losses.approximate_kl(logs_of(0.8), logs_of(0.4)).item() == pytest.approx(1 - math.log(2))


def test_approximate_kl_is_unbiased() -> None:
    old, new = logs_of(0.7, 0.2, 0.1), logs_of(0.3, 0.3, 0.4)
    mean = sum(old[k].exp() * losses.approximate_kl(new[k], old[k]) for k in range(3))
    torch.testing.assert_close(mean, (old.exp() * (old - new)).sum())


def test_explained_variance() -> None:
    target = torch.tensor([1.0, 3.0, 5.0, 7.0])
    assert losses.explained_variance(target, target).item() == pytest.approx(1)
    assert losses.explained_variance(target + 4, target).item() == pytest.approx(1)
    assert losses.explained_variance(torch.zeros(4), target).item() == pytest.approx(0)
    assert losses.explained_variance(-target, target).item() == pytest.approx(1 - 4)
    assert losses.explained_variance(target, torch.ones(4)).item() == 0
