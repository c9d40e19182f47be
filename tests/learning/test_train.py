"""The loop, on the toy game of tests/toy.py."""

import itertools
import random as python_random
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from dgpg.domain import Step
from dgpg.errors import ConfigError, DivergenceError
from dgpg.learning.actions import CATEGORICAL as categorical

from ..training import NAMES, run, same, state

# --- the loop ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_three_iterations_a_checkpoint_and_three_more_equal_six(toy: ModuleType, name: str) -> None:
    whole, first, second = toy.trainer(name), toy.trainer(name), toy.trainer(name)
    metrics = run(whole, 6)
    run(first, 3)
    second.load_state_dict(state(first))
    resumed = run(second, 3)
    assert same(state(second), state(whole))
    timed = ("wall_s", "share_rollout", "share_guidance", "share_update")
    for one, other in zip(resumed, metrics[3:], strict=True):
        assert {k: v for k, v in one.items() if k not in timed} == {k: v for k, v in other.items() if k not in timed}


@pytest.mark.parametrize("name", NAMES)
def test_seeds_reproduce_bit_for_bit(toy: ModuleType, name: str) -> None:
    one, again, other = (toy.trainer(name, seed=seed) for seed in (1, 1, 2))
    for trainer in (one, again, other):
        run(trainer, 2)
    assert same(state(one), state(again))
    for part in ("actor", "critic"):
        assert not same(state(one, part), state(other, part))
    for part in ("env", "streams", "shuffle"):
        assert not same(*(state(trainer)["shards"][0][part] for trainer in (one, other)))


@pytest.mark.parametrize("name", NAMES)
def test_global_generators_are_left_alone(toy: ModuleType, name: str) -> None:
    trainer = toy.trainer(name)
    before = torch.random.get_rng_state(), np.random.get_state(), python_random.getstate()
    trainer.iterate()
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert all(map(np.array_equal, before[1], np.random.get_state()))
    assert before[2] == python_random.getstate()


@pytest.mark.parametrize("name", NAMES)
def test_a_reward_that_is_no_number_stops_training(toy: ModuleType, name: str) -> None:
    def plant(env: Any) -> Any:
        step, calls = env.step, itertools.count()

        def planted(actions: torch.Tensor) -> Step:
            took = step(actions)
            if next(calls) == 7:  # the third step of the second iteration, in one environment
                took.reward[1] = torch.nan
                took.local_reward[1] = torch.nan
            return took

        env.step = planted
        return env

    trainer = toy.trainer(name, wrap=plant)
    trainer.iterate()
    with pytest.raises(DivergenceError, match="iteration 2"):
        trainer.iterate()


@pytest.mark.parametrize("name", NAMES)
def test_nobody_has_anything_to_decide(toy: ModuleType, name: str) -> None:
    def close(env: Any) -> Any:
        env.open_share = 0.0
        return env

    trainer = toy.trainer(name, wrap=close)
    before = state(trainer, "actor")
    run(trainer, 2)
    assert same(state(trainer, "actor"), before)


def test_own_rewards_need_a_domain_that_offers_them(toy: ModuleType) -> None:
    def share_only(env: Any) -> Any:
        step = env.step
        env.step = lambda actions: replace(step(actions), local_reward=None)
        return env

    run(toy.trainer("ippo", wrap=share_only), 1)
    with pytest.raises(ConfigError, match=r"ippo-local.*own reward.*toy"):
        toy.trainer("ippo-local", wrap=share_only).iterate()


class Silent:
    """An environment that does not say what blocks cost."""

    def __init__(self, env: Any) -> None:
        self.env = env

    def __getattr__(self, name: str) -> Any:
        if name == "num_blocks":
            raise AttributeError(name)
        return getattr(self.env, name)


def test_costs_of_blocks_need_choices_and_a_domain_that_says_them(toy: ModuleType, toy_box: ModuleType) -> None:
    for name in ("ippo-blocks", "mappo-blocks"):
        with pytest.raises(ConfigError, match=rf"{name} needs agents that choose, .* numbers or splits; use mappo"):
            toy_box.trainer(name)
    with pytest.raises(ConfigError, match=r"ippo-blocks needs what each block.*domain toy does not say; use ippo or"):
        toy.trainer("ippo-blocks", wrap=Silent)
    with pytest.raises(ConfigError, match=r"train\.gamma = 1: ippo-blocks.*give less"):
        toy.trainer("ippo-blocks", gamma=1.0)


def test_metrics_count_what_happened(toy: ModuleType) -> None:
    steps: list[Step] = []

    def record(env: Any) -> Any:
        step = env.step
        env.step = lambda actions: steps.append(step(actions)) or steps[-1]
        return env

    trainer = toy.trainer("dg-pg", wrap=record, alpha={"start": 1.0, "end": 0.0}, lr_end=0.3)
    metrics = run(trainer, 6)
    assert [m["iteration"] for m in metrics] == [1, 2, 3, 4, 5, 6]
    assert [m["env_steps"] for m in metrics] == [20, 40, 60, 80, 100, 120]
    assert metrics[-1]["agent_steps"] == 480
    assert metrics[-1]["updates"] == 6 * 2 * 2
    assert metrics[-1]["episodes"] == sum(int((s.terminated | s.truncated).sum()) for s in steps)
    cost = -torch.stack([s.reward for s in steps[-5:]]).mean().item() / 4
    assert metrics[-1]["cost"] == pytest.approx(cost, rel=1e-5)
    assert [m["alpha"] for m in metrics] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.0])
    assert metrics[0]["share_guidance"] > 0 and metrics[-1]["share_guidance"] < 0.01
    assert sum(v for k, v in metrics[0].items() if k.startswith("share_")) == pytest.approx(1)
    (group,) = trainer.actor_optimiser.param_groups
    assert group["lr"] == pytest.approx(0.3 * trainer.config.train.actor_lr)


def test_schedules_hold_their_last_value_beyond_the_planned_iterations(toy: ModuleType) -> None:
    """A learning rate that went on falling would be negative soon, and Adam would climb without a word."""
    trainer = toy.trainer("dg-pg", iterations=2)
    metrics = run(trainer, 5)
    assert [m["alpha"] for m in metrics[1:]] == pytest.approx([0.2] * 4)
    assert trainer.actor_optimiser.param_groups[0]["lr"] == pytest.approx(0.2 * 3e-3)


def test_an_unguided_algorithm_has_no_alpha(toy: ModuleType) -> None:
    assert toy.trainer("mappo").iterate()["alpha"] == 0


@pytest.mark.parametrize("scope", ["batch", "agent", "none"])
@pytest.mark.parametrize(
    ("estimator", "scale"),
    [
        ("all_action", "none"),
        ("all_action", "influence"),
        ("exact", "none"),
        ("exact", "influence"),
        ("first_order", "none"),
    ],
)
def test_every_setting_of_guidance_trains(toy: ModuleType, scope: str, estimator: str, scale: str) -> None:
    trainer = toy.trainer("dg-pg", normalise=scope, estimator=estimator, guidance_scale=scale)
    before = state(trainer, "actor")
    run(trainer, 1)
    assert not same(state(trainer, "actor"), before)


# --- learning ------------------------------------------------------------------------------------


def cost_of(slopes: tuple[float, ...], actions: tuple[int, ...]) -> float:
    return sum(0.5 * slope * actions.count(route) ** 2 for route, slope in enumerate(slopes))


def stable(slopes: tuple[float, ...], pays: Callable[[tuple[int, ...], int], float]) -> set[float]:
    """Costs of the joint actions from which no agent alone gains, agent i paying pays(actions, i)."""
    costs = set()
    for actions in itertools.product(range(3), repeat=4):
        moves = [(i, (*actions[:i], k, *actions[i + 1 :])) for i in range(4) for k in range(3)]
        if all(pays(actions, i) <= pays(other, i) for i, other in moves):
            costs.add(cost_of(slopes, actions))
    return costs


def test_equilibria_of_the_still_game(toy: ModuleType) -> None:
    """What learning is measured by below: one who ends elsewhere has not converged, and had no bad luck."""
    slopes = toy.SLOPES
    assert min(cost_of(slopes, actions) for actions in itertools.product(range(3), repeat=4)) == 5.0
    assert stable(slopes, lambda actions, i: cost_of(slopes, actions)) == {5.0}
    assert stable(slopes, lambda actions, i: slopes[actions[i]] * actions.count(actions[i])) == {5.5}


@pytest.mark.learning
@pytest.mark.parametrize(
    ("name", "settings", "cost"),
    [
        ("dg-pg", {"estimator": "all_action"}, 5.0),
        ("dg-pg", {"estimator": "exact"}, 5.0),
        ("mappo", {}, 5.0),
        ("ippo", {}, 5.0),
        # Here the own cost is slope * load, which is also what first order takes for the marginal cost:
        # both lead to the equilibrium of selfish users, which is worse than the optimum.
        ("dg-pg", {"estimator": "first_order", "alpha": {"start": 1.0, "end": 1.0}}, 5.5),
        ("ippo-local", {}, 5.5),
    ],
)
def test_learns_the_equilibrium(toy: ModuleType, name: str, settings: dict[str, Any], cost: float) -> None:
    trainer = toy.trainer(
        name, num_envs=16, iterations=40, still=True, seed=1, horizon=6, minibatches=4, epochs=2,
        actor_hidden=32, critic_hidden=32, actor_lr=0.01, gamma=0.5, **settings,
    )  # fmt: skip
    metrics = run(trainer, 40)
    assert metrics[0]["cost"] > 1.3 * cost / 4  # an untrained policy is far from it
    observation = trainer.decision.observation
    logs = categorical.parameters(trainer.actor.outputs(observation), observation.mask)
    for actions in categorical.greedy(logs).tolist():
        assert cost_of(toy.SLOPES, tuple(actions)) == cost
    # The policy still explores a little; the next joint action costs 10 % more than the best.
    assert metrics[-1]["cost"] == pytest.approx(cost / 4, rel=0.03)
