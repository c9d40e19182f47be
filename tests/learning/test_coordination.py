"""Rounds: what they leave alone, what they change, and what goes wrong in a channel."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from dgpg.domain import random
from dgpg.learning import ALGORITHMS, Trainer
from dgpg.learning.rounds import Channel, Rounds, Team
from dgpg.learning.update import JointBatch, PolicyBatch

from ..training import run, same, state

TOYS = ["toy", "toy_box", "toy_simplex"]
ALONE = {"start": 1.0, "end": 1.0}


@pytest.fixture(params=TOYS)
def some_toy(request: pytest.FixtureRequest) -> ModuleType:
    toy: ModuleType = request.getfixturevalue(request.param)
    return toy


def speaking(toy: ModuleType, rounds: int = 2, name: str = "dg-pg", **settings: Any) -> Trainer:
    trainer: Trainer = toy.trainer(name, coordination={"rounds": rounds}, **settings)
    return trainer


@torch.no_grad()
def policy(team: Team, decision: Any, chance: torch.Tensor | None = None) -> torch.Tensor:
    return team.policy(decision, chance)


def test_without_rounds_nothing_changes(some_toy: ModuleType) -> None:
    silent, usual = speaking(some_toy, 0), some_toy.trainer("dg-pg")
    assert silent.team.rounds is None
    run(silent, 2)
    run(usual, 2)
    assert same(state(silent, "actor", "critic", "shards"), state(usual, "actor", "critic", "shards"))


@pytest.mark.parametrize("parameters", ["shared", "independent"])
@pytest.mark.parametrize("name", [name for name in ALGORITHMS if not name.endswith(("-blocks", "-local"))])
def test_every_algorithm_trains_with_rounds(some_toy: ModuleType, name: str, parameters: str) -> None:
    trainer = speaking(some_toy, 2, name, parameters=parameters)
    before = state(trainer, "actor")
    run(trainer, 2)
    after = state(trainer, "actor")
    assert trainer.actor.hearing.ready and not same(before, after)
    again = speaking(some_toy, 2, name, parameters=parameters)
    run(again, 2)
    assert same(after, state(again, "actor"))


def test_values_of_blocks_and_rounds_go_together(toy: ModuleType) -> None:
    trainer = speaking(toy, 2, "mappo-blocks")
    assert all(line["explained_variance"] <= 1 for line in run(trainer, 2)) and trainer.actor.hearing.ready


def test_a_run_goes_on_bit_for_bit(some_toy: ModuleType) -> None:
    whole, half = speaking(some_toy), speaking(some_toy)
    run(whole, 3)
    run(half, 1)
    saved, other = state(half), speaking(some_toy)
    other.load_state_dict(saved)
    run(other, 2)
    assert same(state(whole), state(other))


def test_an_environment_hears_the_same_alone(some_toy: ModuleType) -> None:
    trainer = speaking(some_toy, 3)
    run(trainer, 2)
    together = policy(trainer.team, some_toy.Env(4, 11).reset())
    for b in range(4):
        alone = policy(trainer.team, some_toy.Env(1, 11 + b).reset())
        torch.testing.assert_close(alone[0], together[b], rtol=1e-4, atol=1e-5)


def test_agents_that_take_no_notice_learn_as_without_rounds(some_toy: ModuleType) -> None:
    """One step on whole moments is one step on rows of agents."""
    once = {"epochs": 1, "minibatches": 1, "alpha": ALONE}
    told, silent = speaking(some_toy, 2, **once), speaking(some_toy, 0, **once)
    for trainer in (told, silent):  # from the same point
        trainer.actor.load_state_dict(silent.actor.state_dict(), strict=False)
    listener: Any = told.actor.listener  # type: ignore[union-attr]
    listener.inner.weight.data.zero_()
    listener.straight.weight.data.zero_()
    for part in (*listener.inner.parameters(), *listener.straight.parameters()):
        part.requires_grad_(False)
    one, other = run(told, 1)[0], run(silent, 1)[0]
    for name in ("cost", "entropy", "policy_loss"):
        assert one[name] == pytest.approx(other[name], rel=1e-4, abs=1e-6)
    for name, value in silent.actor.state_dict().items():
        torch.testing.assert_close(told.actor.state_dict()[name], value, rtol=1e-3, atol=1e-5)


def test_moments_stay_whole(toy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        "dgpg.learning.train.update_policy", lambda team, optimiser, batch, *rest: seen.append(batch) or {}
    )
    run(speaking(toy, 1), 1)
    run(speaking(toy, 0), 1)
    joint, rows = seen
    assert isinstance(joint, JointBatch) and isinstance(rows, PolicyBatch)
    assert len(joint) == 5 * 4 and joint.rows.actions.shape == (20, 4)
    part = joint.select(torch.tensor([3, 7]))
    assert torch.equal(part.decision.context["prior"], joint.decision.context["prior"][[3, 7]])


def test_detached_messages_move_other_parameters(toy: ModuleType) -> None:
    one, other = speaking(toy, 2), toy.trainer("dg-pg", coordination={"rounds": 2, "detached": True})
    assert same(state(one, "actor"), state(other, "actor"))
    first, second = run(one, 1)[0], run(other, 1)[0]
    assert first["cost"] == second["cost"] and not same(state(one, "actor"), state(other, "actor"))


@pytest.mark.learning
def test_agents_that_hear_each_other_do_not_herd(toy: ModuleType) -> None:
    """Loads found are random and agents decide at once: only those that speak can spread out."""

    def cost(rounds: int) -> float:
        alone = {"actor_lr": 1e-2, "alpha": ALONE, "entropy": 0.0}
        trainer = speaking(toy, rounds, num_envs=64, iterations=25, **alone)
        return sum(m["cost"] for m in run(trainer, 25)[-5:]) / 5

    assert cost(3) < 0.97 * cost(0)


# --- channels


def trained(toy: ModuleType, count: int = 3) -> tuple[Team, Any, torch.Tensor]:
    trainer = speaking(toy, count)
    run(trainer, 2)
    env = toy.Env(5, 3)
    draws = random.Streams(9, 5).uniform(env.num_agents, *trainer.kind.DRAWS)
    return trainer.team, env.reset(), draws


def with_channel(team: Team, count: int, channel: Channel) -> Team:
    assert isinstance(team.rounds, Rounds)
    return replace(team, rounds=replace(team.rounds, count=count, channel=channel))


def test_a_channel_where_nothing_is_wrong(some_toy: ModuleType) -> None:
    team, decision, chance = trained(some_toy)
    assert torch.equal(policy(with_channel(team, 3, Channel()), decision, chance), policy(team, decision, chance))


def test_the_deaf_stay_with_what_they_knew(some_toy: ModuleType) -> None:
    team, decision, chance = trained(some_toy)
    before = policy(with_channel(team, 0, Channel()), decision)
    assert torch.equal(policy(with_channel(team, 3, Channel(deaf=1.0)), decision, chance), before)
    half, heard = Channel(deaf=0.5), policy(team, decision)
    hears = half.hears(chance)
    assert hears.shape == decision.observation.active.shape and 0 < hears.sum() < hears.numel()
    mixed, active = policy(with_channel(team, 1, half), decision, chance), decision.observation.active
    one_round = policy(with_channel(team, 1, Channel()), decision)
    torch.testing.assert_close(mixed[hears & active], one_round[hears & active])
    assert torch.equal(mixed[~hears], before[~hears]) and not torch.equal(heard[hears & active], before[hears & active])


def test_what_comes_a_round_late(some_toy: ModuleType) -> None:
    team, decision, chance = trained(some_toy)
    late = Channel(late=True)
    nothing = policy(with_channel(team, 0, Channel()), decision)
    assert torch.equal(policy(with_channel(team, 1, late), decision, chance), nothing)
    # Nothing had come in round one, so its announcement is the first one again; round two hears of the first.
    torch.testing.assert_close(
        policy(with_channel(team, 2, late), decision, chance), policy(with_channel(team, 1, Channel()), decision)
    )
    assert not torch.equal(policy(with_channel(team, 3, late), decision, chance), policy(team, decision))


def test_noise_has_the_size_asked_for_and_depends_on_no_batch(toy: ModuleType) -> None:
    totals = torch.full((2, 50, 40), 3.0)
    chance = random.Streams(0, 2).uniform(6)
    heard = Channel(noise=0.2).sums(totals, chance, 1)
    assert kstest(((heard / 3 - 1) / 0.2).flatten().numpy(), norm.cdf).pvalue > 0.01
    assert torch.equal(Channel(noise=0.2).sums(totals[1:], chance[1:], 1)[0], heard[1])
    assert not torch.equal(Channel(noise=0.2).sums(totals, chance, 2), heard)
    team, decision, draws = trained(toy)
    off = policy(with_channel(team, 3, Channel(noise=0.5)), decision, draws)
    assert not off.isnan().any() and not torch.equal(off, policy(team, decision))


# --- numbers from numbers


@given(st.integers(0, 2**32), st.integers(0, 5))
def test_more_uniform_numbers(seed: int, purpose: int) -> None:
    uniform = torch.rand(400, generator=random.generator(seed))
    found = random.more(uniform, 50, purpose)
    assert found.shape == (400, 50) and found.min() >= 0 and found.max() < 1
    assert kstest(found.flatten().numpy(), "uniform").pvalue > 1e-5
    table = torch.cat([uniform.unsqueeze(-1), found[:, :3], random.more(uniform, 1, purpose + 1)], -1)
    correlation = torch.corrcoef(table.T) - torch.eye(5)
    assert correlation.abs().max() < 0.3  # six deviations
    assert torch.equal(random.more(uniform[3:5], 50, purpose), found[3:5])
