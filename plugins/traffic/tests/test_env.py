"""The environment: what it charges against a loop, queues, incidents, and that it repeats itself."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor

from dgpg.domain import Step
from dgpg_traffic.env import TrafficEnv

from .made import STATIC, built, environment, random_splits, randomly, settings

INCIDENTS: dict[str, Any] = {"incidents": {"probability": 0.2, "capacity": 0.5, "periods": 2}}


def started(num_envs: int = 3, seed: int = 0, **values: Any) -> TrafficEnv:
    env = environment(num_envs, seed, **values)
    env.reset()
    return env


def same(a: Step, b: Step) -> bool:
    seen, again = a.decision.observation, b.decision.observation
    pairs = [(a.reward, b.reward), (a.state, b.state), (seen.agent, again.agent), (seen.choices, again.choices)]
    return all(torch.equal(x, y) for x, y in pairs) and torch.equal(seen.central, again.central)


def replayed(env: TrafficEnv, actions: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Flow, time of links, what is left and own times of the coming step, by loops in double precision."""
    network, config = env.instance.network, env.instance.config
    routes = np.repeat(env.instance.routes.links, config.agents_per_pair, 0)
    demand, capacity = (x[env.t].double().numpy() for x in (env.tape.demand, env.tape.capacity))
    flow, splits = env.past.residual.double().numpy().copy(), actions.double().numpy()
    used = [(n, k, [link for link in routes[n, k] if link >= 0]) for n, k in np.ndindex(*routes.shape[:2])]
    for n, k, links in used:
        for link in links:
            flow[:, link] += demand[:, n] * splits[:, n, k]
    time = network.free_time * (1 + network.b * (flow / capacity) ** network.power)
    own = np.zeros(demand.shape)
    for n, k, links in used:
        own[:, n] += demand[:, n] * splits[:, n, k] * time[:, links].sum(-1)
    left = config.residual.share * np.maximum(flow - config.residual.threshold * capacity, 0)
    return flow, time, left if config.queues else 0 * left, own


def test_the_period_before_an_episode_is_the_usual_one_of_its_own_network() -> None:
    """Not of the training's, which scales the features alone."""
    trained = settings(demand={"scale": 1.0})
    env = environment(2, demand={"scale": 0.5}, trained=trained.model_dump())
    env.reset()
    usual = built().profile[env.tape.period[0] - 1]
    np.testing.assert_allclose(env.past.demand[:, 0], 0.5 * 6 * usual, rtol=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"queues": False, "agents_per_pair": 3},
        {"residual": {"share": 0.9, "threshold": 1.2}} | INCIDENTS,
        {"network": "grid"} | INCIDENTS,
    ],
)
def test_steps_are_those_of_loops(values: dict[str, Any]) -> None:
    env, draw, queued = started(**values), torch.Generator().manual_seed(0), False
    for _ in range(3):
        actions = random_splits(env, draw)
        flow, time, left, own = replayed(env, actions)
        t, residual = env.t, env.past.residual
        step = env.step(actions)
        np.testing.assert_allclose(-step.reward, (flow * time).sum(-1), rtol=1e-5)
        np.testing.assert_allclose(step.state[..., 0], flow, rtol=1e-5, atol=1e-4)
        assert torch.equal(step.state[..., 1], env.tape.capacity[t])
        assert step.local_reward is not None
        np.testing.assert_allclose(-step.local_reward, own, rtol=1e-5)
        np.testing.assert_allclose(step.decision.context["residual"], left, rtol=1e-4, atol=1e-3)
        vehicles = env.tape.demand[t].sum(-1).numpy()
        np.testing.assert_allclose(step.measures["travel_time"], own.sum(-1) / vehicles, rtol=1e-5)
        assert torch.equal(step.measures["carried_over"], residual.sum(-1))
        queued |= bool((residual > 0).any())
    assert queued == env.instance.config.queues


def test_what_is_carried_over_is_charged_and_is_nobodys_own() -> None:
    env = started()
    for step in randomly(env, 3):
        assert step.local_reward is not None
        waiting = step.measures["carried_over"] > 0
        assert (-step.reward >= -step.local_reward.sum(-1) * (1 - 1e-6)).all()
        assert (waiting == (step.reward < step.local_reward.sum(-1) * (1 + 1e-6))).all()


def test_without_queues_the_shared_cost_is_the_sum_of_own_times() -> None:
    for step in randomly(started(network="grid", queues=False, **INCIDENTS), 6):
        assert step.local_reward is not None
        torch.testing.assert_close(step.local_reward.sum(-1), step.reward, rtol=1e-5, atol=0.0)
        assert (step.decision.context["residual"] == 0).all()


def test_braess_by_hand() -> None:
    env = started(1, **STATIC)
    # 6 by the shortcut: 10 x 6 + 10 + 6 + 10 x 6 each; then 3 on each of the others: 10 x 3 + 50 + 3
    for split, each in (([1.0, 0, 0], 136.0), ([0, 0.5, 0.5], 83.0), ([1 / 3] * 3, 92.0)):
        step = env.step(torch.tensor([[split]]))
        assert step.reward.item() == pytest.approx(-6 * each) and step.measures["travel_time"].item() == pytest.approx(
            each
        )


@hypothesis_settings(max_examples=10)
@given(st.integers(0, 2**31), st.integers(2, 60))
def test_agents_of_a_pair_that_split_as_one_change_nothing(seed: int, per_pair: int) -> None:
    one, many = started(2, seed), started(2, seed, agents_per_pair=per_pair)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(4):
        splits = random_splits(one, draw)
        alone, shared = one.step(splits), many.step(splits.repeat_interleave(per_pair, 1))
        torch.testing.assert_close(shared.state, alone.state, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(shared.reward, alone.reward, rtol=1e-4, atol=0.0)


@pytest.mark.parametrize("name", ["braess", "grid"])
def test_queues_stay_bounded(name: str) -> None:
    env = started(network=name, horizon=20, demand={"scale": 3.0, "noise": 0.3}, residual={"share": 0.8}, **INCIDENTS)
    worst = torch.zeros(env.num_envs, env.instance.network.num_links)
    draw = torch.Generator().manual_seed(0)
    for _ in range(19):
        enters = env.roads.flow(actions := random_splits(env, draw), env.tape.demand[env.t], torch.zeros_like(worst))
        worst = torch.maximum(worst, (enters - 2.0 * env.tape.capacity[env.t]).clamp(min=0))
        left = env.step(actions).decision.context["residual"]
        assert (left <= 0.8 / 0.2 * worst * (1 + 1e-4) + 1e-3).all()
    assert (worst > 0).any()


def test_queues_end_with_the_day() -> None:
    env = started(horizon=3, demand={"scale": 3.0})
    steps = randomly(env, 3)
    assert steps[-1].final is not None and (steps[-1].final.context["residual"] > 0).any()
    assert (steps[-1].decision.context["residual"] == 0).all()


def test_an_incident_raises_times_and_is_seen_afterwards_only() -> None:
    env, calm = (started(1, incidents={"probability": p, "capacity": 0.5}, queues=False) for p in (1.0, 0.0))
    actions = random_splits(env, torch.Generator().manual_seed(0))
    # nothing that agents see or the model is told shows the incident before it happened
    seen, quiet = env.decision, calm.decision
    assert torch.equal(seen.observation.choices, quiet.observation.choices)
    assert torch.equal(seen.observation.agent, quiet.observation.agent)
    assert {name for name in seen.context if not torch.equal(seen.context[name], quiet.context[name])} == {
        "oracle_capacity"
    }
    one, other = env.step(actions), calm.step(actions)
    assert torch.equal(one.state[..., 0], other.state[..., 0]) and one.reward < other.reward
    assert not torch.equal(one.decision.observation.choices, other.decision.observation.choices)


def test_the_seed_decides_across_episodes() -> None:
    first, again = (randomly(started(seed=5), 9) for _ in range(2))
    other = randomly(started(seed=6), 9)
    assert all(map(same, first, again)) and not any(map(same, first, other))


@hypothesis_settings(max_examples=10)
@given(st.integers(0, 2**31), st.integers(1, 4), st.data())
def test_an_environment_depends_on_its_own_seed_alone(seed: int, num_envs: int, data: st.DataObject) -> None:
    b = data.draw(st.integers(0, num_envs - 1))
    many, one = started(num_envs, seed, **INCIDENTS), started(1, seed + b, **INCIDENTS)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(6):
        splits = random_splits(many, draw)
        together, alone = many.step(splits), one.step(splits[b : b + 1])
        torch.testing.assert_close(together.reward[b : b + 1], alone.reward)
        torch.testing.assert_close(together.decision.observation.agent[b : b + 1], alone.decision.observation.agent)


@pytest.mark.parametrize("before", [0, 3, 6])
def test_a_restored_state_goes_on_exactly(before: int) -> None:
    env = started(**INCIDENTS)
    randomly(env, before)
    state = env.state_dict()
    expected = randomly(env, 9, seed=1)
    for other in (env, environment(3, seed=77, **INCIDENTS)):
        other.load_state_dict(state)
        assert all(map(same, randomly(other, 9, seed=1), expected))


def test_an_episode_is_cut_off_at_its_horizon_and_never_ends() -> None:
    steps = randomly(started(), 9)
    assert [bool(s.truncated.all()) for s in steps] == [i in (3, 7) for i in range(9)]
    assert [s.final is not None for s in steps] == [i in (3, 7) for i in range(9)]
    assert not any(s.terminated.any() for s in steps)


def test_the_end_of_a_day_is_seen_with_its_own_demand() -> None:
    env = started()
    last = env.tape.demand[-1]
    final = randomly(env, 4)[-1].final
    assert final is not None and torch.equal(final.context["demand"], last)


def test_the_period_before_the_first_was_the_usual_one_under_the_first_splits() -> None:
    env = started(5, start="shortest", horizon=12, demand={"noise": 0.3})
    usual = env.instance.profile[env.tape.period[0].numpy() - 1]
    np.testing.assert_allclose(env.past.demand[:, 0], 6 * usual, rtol=1e-6)
    expected = np.zeros((5, 5))
    expected[:, [0, 3, 4]] = 6 * usual[:, None]  # all on the shortcut
    np.testing.assert_allclose(env.past.flow, expected, rtol=1e-6)
    assert (env.past.residual == 0).all() and torch.equal(env.past.capacity, env.roads.links.capacity.expand(5, -1))


def test_policies_begin_at_the_first_splits() -> None:
    for start in ("shortest", "user-equilibrium", "system-optimum"):
        env = environment(network="grid", start=start)
        exists = env.roads.incidence.exists.numpy()
        logits = np.where(exists, env.action_space.start, -np.inf)
        split = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        # routes that are not used keep a ten-thousandth each
        np.testing.assert_allclose(split, env.instance.first, atol=6e-4)
        assert (split[exists] > 5e-5).all()


def test_tolls_and_lengths_that_count_are_paid() -> None:
    plain, costly = (environment(distance_factor=factor, **STATIC) for factor in (None, 0.5))
    splits = torch.tensor([0.0, 0.5, 0.5]).expand(3, 1, 3)  # ways without the shortcut, two links of length 1
    rewards = []
    for env in (plain, costly):
        env.reset()
        rewards.append(env.step(splits))
    torch.testing.assert_close(rewards[0].reward, torch.full((3,), -498.0))
    torch.testing.assert_close(rewards[1].reward, torch.full((3,), -498.0 - 6 * 2 * 0.5))
    torch.testing.assert_close(rewards[1].local_reward.sum(-1), rewards[1].reward)
    assert "travel time" in plain.cost_unit and "generalised cost" in costly.cost_unit
