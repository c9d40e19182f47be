"""What the update is made of, on the toy game of tests/toy.py."""

import itertools
from copy import deepcopy
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch

from dgpg.domain import Decision, Step
from dgpg.learning import advantage as adv
from dgpg.learning import guidance
from dgpg.learning.actions import CATEGORICAL as categorical
from dgpg.learning.estimators import offered
from dgpg.learning.rollout import collect
from dgpg.learning.update import ValueBatch, policy_batch

from ..guided import guide
from ..training import NAMES, UNGUIDED, run, same, state


@pytest.mark.parametrize("estimator", list(offered(categorical)))
def test_at_alpha_zero_dgpg_is_mappo_number_for_number(toy: ModuleType, estimator: str) -> None:
    """theory.md S7."""
    guided = toy.trainer("dg-pg", alpha=UNGUIDED, estimator=estimator)
    plain = toy.trainer("mappo", estimator=estimator)
    run(guided, 3), run(plain, 3)
    assert same(state(guided), state(plain))


MIXED = ("all_action", "exact", "first_order")


@pytest.mark.parametrize("estimator", MIXED)
def test_guidance_moves_the_policy_and_nothing_else(toy: ModuleType, estimator: str) -> None:
    """Never the reward, the return or the value target: the critic learns the same in the first iteration."""
    guided, plain = toy.trainer("dg-pg", estimator=estimator), toy.trainer("mappo")
    run(guided, 1), run(plain, 1)
    rest = ("critic", "critic_optimiser", "normaliser")
    assert same(state(guided, *rest), state(plain, *rest))
    (one,), (other,) = state(guided)["shards"], state(plain)["shards"]
    assert all(same(one[name], other[name]) for name in ("env", "streams", "shuffle"))
    assert not same(state(guided, "actor"), state(plain, "actor"))


@pytest.mark.parametrize("estimator", MIXED)
def test_at_alpha_one_the_policy_ignores_the_reward(toy: ModuleType, estimator: str) -> None:
    def pay_otherwise(env: Any) -> Any:
        step = env.step
        env.step = lambda actions: replace(took := step(actions), reward=took.reward.square())
        return env

    settings = {"alpha": {"start": 1.0, "end": 1.0}, "estimator": estimator}
    one, other = toy.trainer("dg-pg", **settings), toy.trainer("dg-pg", wrap=pay_otherwise, **settings)
    untrained = toy.trainer("dg-pg", **settings)
    run(one, 2), run(other, 2)
    assert same(state(one, "actor"), state(other, "actor"))
    assert not same(state(one, "actor"), state(untrained, "actor"))
    # nothing asks for the value of the return, so none is learnt
    assert same(state(one, "critic"), state(untrained, "critic"))


def test_shaping_is_added_to_the_reward_alone(toy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shaped dg-pg is mappo on an environment that pays r + alpha F."""
    shaped = toy.trainer("dg-pg", estimator="potential_based", alpha={"start": 0.5, "end": 0.5})
    plain, seen = toy.trainer("mappo"), {}

    def paid_more(*args: Any) -> Any:
        trajectory, decision = collect(*args)
        f = guidance.shaping(toy.RouteCost(), toy.Routes(), trajectory, 0.95)
        seen["F"] = f
        return replace(trajectory, reward=trajectory.reward + 0.5 * f), decision

    run(shaped, 3)
    monkeypatch.setattr("dgpg.learning.train.collect", paid_more)
    run(plain, 3)
    assert same(state(shaped, "actor", "critic"), state(plain, "actor", "critic")) and seen["F"].abs().max() > 0


def test_a_control_variate_takes_the_coefficient_of_the_iteration_before(
    toy: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, plain = toy.trainer("dg-pg", estimator="control_variate"), toy.trainer("mappo")
    run(trainer, 1), run(plain, 1)
    assert same(state(trainer, "actor"), state(plain, "actor"))  # nothing is known yet
    known, seen = trainer.known, {}
    assert known > 0  # the model explains a part of what others do
    monkeypatch.setattr("dgpg.learning.train.adv.normalise", lambda a, *_: seen.setdefault("advantage", a))
    monkeypatch.setattr("dgpg.learning.train.adv.regress", lambda a, b, *_: seen.update(a=a, b=b) or 7.0)
    trainer.iterate()
    torch.testing.assert_close(seen["advantage"], seen["a"] - trainer.config.train.alpha.at(1, 6) * known * seen["b"])
    assert trainer.known == 7.0
    again = toy.trainer("dg-pg", estimator="control_variate")
    again.load_state_dict(trainer.state_dict())
    assert again.known == 7.0


@pytest.mark.parametrize("name", NAMES)
def test_the_ratio_is_one_on_the_first_minibatch(toy: ModuleType, name: str) -> None:
    trainer = toy.trainer(name, epochs=1, minibatches=1)
    for metrics in run(trainer, 3):
        assert abs(metrics["kl"]) < 1e-6 and metrics["clip_fraction"] == 0
    assert run(toy.trainer(name, epochs=4, actor_lr=0.1), 1)[0]["kl"] > 1e-4


@pytest.mark.parametrize("name", ["mappo", "mappo-blocks", "ippo", "ippo-local"])
def test_value_targets_against_a_sum_by_hand(toy: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Truncated episodes go on with the value of their final observation, ended ones with nothing."""
    batches: list[ValueBatch] = []

    def catch(critic: Any, optimiser: Any, batch: ValueBatch, *rest: Any) -> dict[str, torch.Tensor]:
        batches.append(batch)
        return {}

    gamma, lambda_ = 0.9, 0.7
    trainer = toy.trainer(name, gamma=gamma, lambda_=lambda_, horizon=9)
    trainer.iterate()  # the critic has learned, the normaliser is no longer neutral
    monkeypatch.setattr("dgpg.learning.returns.update_value", catch)
    steps: list[Step] = []
    step = trainer.task.env.step
    trainer.task.env.step = lambda actions: steps.append(step(actions)) or steps[-1]
    decisions, critic, before = [trainer.decision], deepcopy(trainer.critic), deepcopy(trainer.returns.normaliser)
    trainer.iterate()
    decisions += [took.decision for took in steps]

    local = name.startswith("ippo")

    def value(decision: Decision) -> torch.Tensor:
        with torch.no_grad():
            values = before.denormalise(critic(critic.features(decision)))
        return values if local else values.unsqueeze(-1)

    expected = torch.zeros(len(steps), 4, 4 if local else 1)
    ends = {"terminated": 0, "truncated": 0}
    for start, b in itertools.product(range(len(steps)), range(4)):
        for t in range(start, len(steps)):
            took = steps[t]
            ahead = value(took.decision)[b]
            if took.truncated[b]:
                ahead = value(took.final)[b]
            if took.terminated[b]:
                ahead = 0 * ahead
            reward = took.local_reward[b] if name == "ippo-local" else took.reward[b]
            delta = reward + gamma * ahead - value(decisions[t])[b]
            expected[start, b] += (gamma * lambda_) ** (t - start) * delta
            if took.terminated[b] or took.truncated[b]:
                ends["terminated" if took.terminated[b] else "truncated"] += 1
                break
        expected[start, b] += value(decisions[start])[b]
    assert min(ends.values()) > 0
    (batch,) = batches
    got = trainer.returns.normaliser.denormalise(batch.target).view(expected.shape)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    first = torch.cat([critic(critic.features(d)).flatten() for d in decisions[:-1]])
    torch.testing.assert_close(batch.value, first.detach())


@pytest.mark.parametrize("scope", ["batch", "agent", "none"])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mappo", {}),
        ("ippo", {}),
        ("dg-pg", {"estimator": "exact"}),
        ("dg-pg", {"guidance_scale": "influence"}),
    ],
)
def test_the_advantage_is_normalised_then_mixed(
    toy: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, settings: dict[str, Any], scope: adv.Scope
) -> None:
    seen: dict[str, Any] = {}

    def rollout(*args: Any) -> Any:
        seen["trajectory"], decision = collect(*args)
        return seen["trajectory"], decision

    monkeypatch.setattr("dgpg.learning.train.collect", rollout)
    monkeypatch.setattr(
        "dgpg.learning.train.update_policy", lambda *args: seen.update(policy=args[2].rows, alpha=args[4]) or {}
    )
    monkeypatch.setattr("dgpg.learning.returns.update_value", lambda *args: seen.update(value=args[2]) or {})
    trainer = toy.trainer(name, normalise=scope, alpha={"start": 0.3, "end": 0.3}, **settings)
    trainer.iterate()
    # The normaliser began neutral, so the values are raw; what the target adds to them is the advantage.
    raw = trainer.returns.normaliser.denormalise(seen["value"].target) - seen["value"].value
    active = seen["trajectory"].decision.observation.active
    raw = raw.view(5, 4, -1).expand(active.shape)
    expected = raw.clone()
    groups = {"batch": [slice(None)], "agent": range(4), "none": []}[scope]
    for agents in groups:
        part = raw[..., agents][active[..., agents]]
        expected[..., agents] = (raw[..., agents] - part.mean()) / part.std(correction=0)
    got, u = seen["policy"], None
    if name == "dg-pg":
        estimator = settings.get("estimator", "all_action")
        scaled = "guidance_scale" in settings
        u = guide(categorical, estimator, toy.RouteCost(), toy.Routes(), seen["trajectory"], 0.95, scaled)
    assert seen["alpha"] == (0.0 if u is None else 0.3)
    if name == "dg-pg" and u.dim() == 3:
        expected, u = 0.7 * expected + 0.3 * u, None
    torch.testing.assert_close(got.advantage, expected[active], rtol=1e-4, atol=1e-4)
    assert (got.u is None) == (u is None)
    if u is not None:
        torch.testing.assert_close(got.u, u[active], rtol=1e-4, atol=1e-5)  # the potential was scaled, and u back


def test_policy_rows_are_the_agents_that_acted(toy: ModuleType) -> None:
    trainer = toy.trainer("mappo")
    noise = torch.rand(4, 6, 4, generator=torch.Generator().manual_seed(0))
    trajectory, _ = collect(trainer.task.env, trainer.team, trainer.decision, noise)
    number = torch.arange(96.0).view(6, 4, 4)
    u = number.unsqueeze(-1).expand(-1, -1, -1, 3)
    batch = policy_batch(trainer.team, trajectory, number, u)
    observation = trajectory.decision.observation
    rows = [x for x in itertools.product(range(6), range(4), range(4)) if observation.mask[x].any()]
    assert 0 < len(rows) < 96
    assert batch.rows.advantage.tolist() == [16 * t + 4 * b + i for t, b, i in rows]
    for row, at in enumerate(rows):
        features = trainer.actor.features(observation.agent[at], observation.choices[at])
        assert torch.equal(batch.agent[row], features[0]) and torch.equal(batch.choices[row], features[1])
        assert torch.equal(batch.mask[row], observation.mask[at])
        assert torch.equal(batch.rows.policy[row], trajectory.policy[at])
        assert batch.rows.actions[row] == trajectory.actions[at]
        assert batch.rows.u[row].tolist() == [number[at]] * 3
    assert batch.mask.gather(-1, batch.rows.actions.unsqueeze(-1)).all()
