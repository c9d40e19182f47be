"""Step 4: minibatches and the steps taken on them."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg.domain.random import generator
from dgpg.domain.types import map_tensors
from dgpg.learning import TrainConfig
from dgpg.learning.actions import CATEGORICAL as categorical
from dgpg.learning.networks import CentralCritic, ScoringActor, Shared
from dgpg.learning.rounds import Team
from dgpg.learning.update import PolicyBatch, Rows, ValueBatch, minibatches, update_policy, update_value

from ..guided import estimator

ROWS = 12
ONCE = TrainConfig(epochs=1, minibatches=1, entropy=0.01, max_grad_norm=1e6)


@given(st.integers(0, 30), st.integers(1, 8), st.integers(1, 3))
def test_each_epoch_uses_each_row_once_in_equal_parts(rows: int, parts: int, epochs: int) -> None:
    config = TrainConfig(epochs=epochs, minibatches=parts)
    got = list(minibatches(rows, config, generator(0)))
    assert len(got) == epochs * parts
    for epoch in range(epochs):
        of_epoch = got[epoch * parts : (epoch + 1) * parts]
        assert sorted(torch.cat(of_epoch).tolist()) == list(range(rows))
        assert max(map(len, of_epoch)) - min(map(len, of_epoch)) <= 1


def test_epochs_are_shuffled_differently_and_reproducibly() -> None:
    config = TrainConfig(epochs=2, minibatches=1)
    first, second = minibatches(50, config, generator(0))
    again, _ = minibatches(50, config, generator(0))
    assert torch.equal(first, again) and not torch.equal(first, second)


def policy_batch(with_u: bool) -> PolicyBatch:
    draw = generator(1)
    mask = torch.rand(ROWS, 4, generator=draw) < 0.6
    mask[:, 1] = True
    log_policy = categorical.parameters(torch.randn(ROWS, 4, generator=draw), mask)
    return PolicyBatch(
        agent=torch.randn(ROWS, 3, generator=draw),
        choices=torch.randn(ROWS, 4, 5, generator=draw),
        mask=mask,
        rows=Rows(
            actions=categorical.sample(log_policy, torch.rand(ROWS, generator=draw)),
            policy=log_policy,
            advantage=torch.randn(ROWS, generator=draw),
            u=torch.randn(ROWS, 4, generator=draw) if with_u else None,
            active=torch.ones(ROWS, dtype=torch.bool),
        ),
    )


def descend(module: torch.nn.Module, loss: torch.Tensor, rate: float) -> list[torch.Tensor]:
    gradients = torch.autograd.grad(loss, list(module.parameters()))
    return [p.detach() - rate * g for p, g in zip(module.parameters(), gradients, strict=True)]


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_one_policy_step_by_hand(alpha: float) -> None:
    actor, batch = ScoringActor(3, 5, 8, Shared(), generator(0)), policy_batch(with_u=alpha > 0)
    probability = actor(batch.agent, batch.choices).masked_fill(~batch.mask, -torch.inf).softmax(-1)
    ratio = probability / batch.rows.policy.exp().clamp(min=1e-30)
    at = (torch.arange(ROWS), batch.rows.actions)

    def gain(advantage: torch.Tensor) -> torch.Tensor:
        return torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)

    loss = -(1 - alpha) * gain(batch.rows.advantage.unsqueeze(-1))[at].mean()
    if batch.rows.u is not None:
        loss = loss - alpha * (batch.rows.policy.exp() * gain(batch.rows.u)).sum(-1).mean()
    entropy = -(probability * probability.clamp(min=1e-30).log()).sum(-1).mean()
    expected = descend(actor, loss - 0.01 * entropy, 0.5)
    sgd = torch.optim.SGD(actor.parameters(), 0.5)
    logged = update_policy(
        Team(categorical, actor), sgd, batch, estimator(categorical, alpha > 0), alpha, ONCE, generator(0)
    )
    for got, wanted in zip(actor.parameters(), expected, strict=True):
        torch.testing.assert_close(got.detach(), wanted, rtol=1e-4, atol=1e-6)
    assert logged["policy_loss"].item() == pytest.approx(loss.item(), rel=1e-4)
    assert logged["entropy"].item() == pytest.approx(entropy.item(), rel=1e-4)
    clipped = ((ratio[at] - 1).abs() > 0.2).float().mean().item()
    assert 0 < clipped == pytest.approx(logged["clip_fraction"].item())


def test_one_value_step_by_hand() -> None:
    draw = generator(2)
    critic = CentralCritic(3, 8, generator(0))
    batch = ValueBatch(*(torch.randn(*shape, generator=draw) for shape in ((ROWS, 3), (ROWS,), (ROWS,))))
    value = critic(batch.features)
    moved = batch.value + (value - batch.value).clamp(-0.2, 0.2)
    loss = torch.max(0.5 * (value - batch.target) ** 2, 0.5 * (moved - batch.target) ** 2).mean()
    expected = descend(critic, loss, 0.1)
    logged = update_value(critic, torch.optim.SGD(critic.parameters(), 0.1), batch, ONCE, generator(0))
    for got, wanted in zip(critic.parameters(), expected, strict=True):
        torch.testing.assert_close(got.detach(), wanted, rtol=1e-4, atol=1e-6)
    assert logged["value_loss"].item() == pytest.approx(loss.item(), rel=1e-5)


def test_minibatches_are_steps_one_after_the_other() -> None:
    config, batch = TrainConfig(epochs=2, minibatches=3), policy_batch(with_u=True)
    critic_batch = ValueBatch(*(torch.randn(*s, generator=generator(2)) for s in ((ROWS, 3), (ROWS,), (ROWS,))))
    once = config.model_copy(update={"epochs": 1, "minibatches": 1})
    actors = [ScoringActor(3, 5, 8, Shared(), generator(0)) for _ in range(2)]
    critics = [CentralCritic(3, 8, generator(0)) for _ in range(2)]
    sgd = [torch.optim.SGD(module.parameters(), 0.5) for module in (*actors, *critics)]
    update_policy(Team(categorical, actors[0]), sgd[0], batch, estimator(categorical), 0.5, config, generator(0))
    update_value(critics[0], sgd[2], critic_batch, config, generator(0))
    for rows in minibatches(ROWS, config, generator(0)):
        part = map_tensors(lambda x: x[rows], batch)  # noqa: B023 (called at once)
        update_policy(Team(categorical, actors[1]), sgd[1], part, estimator(categorical), 0.5, once, generator(0))
        value = ValueBatch(**{name: x[rows] for name, x in vars(critic_batch).items()})
        update_value(critics[1], sgd[3], value, once, generator(0))
    for one, other in (actors, critics):
        for p, q in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p, q)


def test_gradients_are_scaled_down_to_the_norm() -> None:
    actor, batch = ScoringActor(3, 5, 8, Shared(), generator(0)), policy_batch(with_u=False)
    batch = replace(batch, rows=replace(batch.rows, advantage=1e4 * batch.rows.advantage))
    before = [p.detach().clone() for p in actor.parameters()]
    config = ONCE.model_copy(update={"max_grad_norm": 0.5})
    sgd = torch.optim.SGD(actor.parameters(), 1.0)
    logged = update_policy(
        Team(categorical, actor), sgd, batch, estimator(categorical, False), 0.0, config, generator(0)
    )
    moved = sum((p.detach() - q).square().sum() for p, q in zip(actor.parameters(), before, strict=True)).sqrt()
    assert logged["grad_norm"] > 0.5 and moved.item() == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_fewer_rows_than_minibatches(rows: int) -> None:
    actor, batch = ScoringActor(3, 5, 8, Shared(), generator(0)), policy_batch(with_u=True)
    few = map_tensors(lambda x: x[:rows], batch)
    config = TrainConfig(epochs=2, minibatches=8)
    sgd = torch.optim.SGD(actor.parameters(), 0.1)
    logged = update_policy(Team(categorical, actor), sgd, few, estimator(categorical), 0.5, config, generator(0))
    assert all(value.isfinite() for value in logged.values())
    assert all(p.isfinite().all() for p in actor.parameters())


def test_the_entropy_bonus_raises_entropy() -> None:
    batch = policy_batch(with_u=False)
    batch = replace(batch, rows=replace(batch.rows, advantage=torch.zeros(ROWS)))
    actor = ScoringActor(3, 5, 8, Shared(), generator(0))
    actor.score.weight.data *= 100
    config = TrainConfig(epochs=20, minibatches=1, entropy=1.0)
    team, still = Team(categorical, actor), torch.optim.SGD(actor.parameters(), 0.0)
    first = update_policy(team, still, batch, estimator(categorical, False), 0.0, ONCE, generator(0))
    update_policy(
        team, torch.optim.SGD(actor.parameters(), 0.1), batch, estimator(categorical, False), 0.0, config, generator(0)
    )
    last = update_policy(team, still, batch, estimator(categorical, False), 0.0, ONCE, generator(0))
    assert last["entropy"] > first["entropy"]
