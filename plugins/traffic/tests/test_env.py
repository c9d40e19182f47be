"""The environment: what it charges against a loop, queues, incidents, and that it repeats itself."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor

from dgpg.domain import Step
from dgpg_traffic.dynamics import waited
from dgpg_traffic.env import TrafficEnv
from dgpg_traffic.network.bpr import link_time

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


Place = tuple[int, int, int]
"""Agent, slot and position on the route."""


@dataclass
class Replay:
    """One period of one environment, by loops in double precision."""

    passes: np.ndarray
    arrives: np.ndarray
    waiting: dict[Place, float]
    time: np.ndarray
    own: np.ndarray


def routes_of(env: TrafficEnv) -> dict[tuple[int, int], list[int]]:
    links = np.repeat(env.instance.routes.links, env.instance.config.agents_per_pair, 0)
    return {(n, k): [int(x) for x in links[n, k] if x >= 0] for n, k in np.ndindex(*links.shape[:2])}


def replayed(env: TrafficEnv, splits: Tensor, b: int, waiting: dict[Place, float]) -> Replay:
    """What the coming step does in environment b, with those who wait at each place."""
    network, config, routes = env.instance.network, env.instance.config, routes_of(env)
    demand, capacity = (x[env.t, b].double().numpy() for x in (env.tape.demand, env.tape.capacity))
    limit = capacity if config.queues else np.full_like(capacity, 1e18)
    found = np.zeros(network.num_links)
    for (n, k, p), vehicles in waiting.items():
        found[routes[n, k][p]] += vehicles
    share = np.ones(network.num_links)
    for _ in range(60):
        passes, arrives, left = np.zeros(network.num_links), np.zeros(network.num_links), dict[Place, float]()
        for (n, k), links in routes.items():
            coming = demand[n] * float(splits[b, n, k])
            for p, link in enumerate(links):
                before = waiting.get((n, k, p), 0.0)
                goes = before * min(1, limit[link] / max(found[link], 1e-12)) + coming * share[link]
                arrives[link] += coming
                passes[link] += goes
                left[n, k, p], coming = before + coming - goes, goes
        share = np.minimum(1, np.maximum(limit - found, 0) / np.maximum(arrives, 1e-12))
    drive = network.free_time * (1 + network.b * (passes / capacity) ** network.power)
    over = arrives - limit
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(found + over > 0, (found + over / 2) / limit, found**2 / (2 * limit * -over))
    time = drive + 60 * mean
    own = np.zeros(len(demand))
    for (n, k), links in routes.items():
        own[n] += demand[n] * float(splits[b, n, k]) * time[links].sum()
    return Replay(passes, arrives, {place: x for place, x in left.items() if x > 1e-9}, time, own)


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
        {"demand": {"scale": 0.5}} | INCIDENTS,
        {"network": "grid", "demand": {"scale": 1.3}} | INCIDENTS,
    ],
)
def test_steps_are_those_of_loops(values: dict[str, Any]) -> None:
    env, draw, b = started(2, **values), torch.Generator().manual_seed(0), 1
    waiting, queued = dict[Place, float](), False
    for _ in range(3):
        actions = random_splits(env, draw)
        expected, t = replayed(env, actions, b, waiting), env.t
        step = env.step(actions)
        np.testing.assert_allclose(step.state[b, :, 0], expected.passes, rtol=1e-4, atol=1e-3)
        assert torch.equal(step.state[..., -1], env.tape.capacity[t])
        assert step.local_reward is not None
        np.testing.assert_allclose(-step.local_reward[b], expected.own, rtol=1e-3, atol=1e-3)
        waiting, left = expected.waiting, step.measures["waiting"][b].item()
        assert left == pytest.approx(sum(waiting.values()), rel=1e-4, abs=1e-2)
        queued |= bool(waiting)
    assert queued == env.instance.config.queues


def test_links_of_a_static_period_cost_all_of_it_by_hand() -> None:
    """Flow x time, of each link the time that its parameters and the flow of the state say."""
    env = started(2, queues=False)
    step, links = env.step(random_splits(env, torch.Generator().manual_seed(0))), env.instance.network
    assert step.block_cost is not None
    for b, g in itertools.product(range(2), range(env.num_blocks)):
        flow = float(step.state[b, g, 0])
        time = links.free_time[g] * (1 + links.b[g] * (flow / links.capacity[g]) ** links.power[g])
        assert float(step.block_cost[b, g]) == pytest.approx(flow * time, rel=1e-4, abs=1e-3)
    torch.testing.assert_close(step.block_cost.sum(-1), -step.reward)


@given(st.integers(0, 99), st.sampled_from([0.3, 1.0, 1.6]), st.booleans())
@hypothesis_settings(max_examples=12)
def test_links_and_what_was_charged_before_are_all_of_the_cost(seed: int, scale: float, queues: bool) -> None:
    """Whatever agents do; what was charged before depends on the past alone."""
    env = started(2, network="grid", horizon=3, queues=queues, demand={"scale": scale}, **INCIDENTS)
    chance = torch.Generator().manual_seed(seed)
    for _ in range(4):
        before = env.roads.loading.pending(env.decision.context["waiting"])
        step = env.step(random_splits(env, chance))
        assert step.block_cost is not None
        torch.testing.assert_close(step.block_cost.sum(-1) - before, -step.reward, rtol=1e-4, atol=1e-2)


def test_who_enters_arrives_or_waits() -> None:
    env = started(network="grid", demand={"scale": 1.5}, **INCIDENTS)
    entered = arrived = torch.zeros(3)
    for step in (env.step(random_splits(env, torch.Generator().manual_seed(t))) for t in range(3)):
        entered = entered + env.past.demand.sum(-1)
        arrived = arrived + step.measures["arrived"]
        torch.testing.assert_close(arrived + step.measures["waiting"], entered, rtol=1e-5, atol=0.0)
    assert (step.measures["waiting"] > 0).all()


def test_a_day_that_ends_with_full_roads_pays_for_them() -> None:
    """It costs the time driven and waited in its periods, and in those after it until the last has arrived."""
    env, draw = started(2, horizon=3, demand={"scale": 1.5}), torch.Generator().manual_seed(0)
    roads, tape, charged, spent = env.roads, env.tape, torch.zeros(2).double(), torch.zeros(2).double()
    waiting, splits, t = env.past.waiting, torch.zeros(2, 1, 3), 0
    while t < 3 or waiting.sum() > 0:
        if t < 3:
            splits = random_splits(env, draw)
            charged -= env.step(splits).reward
        demand = tape.demand[t] if t < 3 else torch.zeros(2, 1)
        loaded = roads.load(splits, demand, waiting, roads.links.capacity.expand(2, -1))
        waits = 60 * waited(loaded.found, loaded.arrives, loaded.capacity)
        spent += (loaded.passes * link_time(roads.links, loaded.passes) + waits).sum(-1)
        waiting, t = loaded.waiting, t + 1
    assert t > 5
    torch.testing.assert_close(charged, spent, rtol=1e-4, atol=0.0)


def test_without_queues_the_shared_cost_is_the_sum_of_own_times() -> None:
    for step in randomly(started(network="grid", queues=False, **INCIDENTS), 6):
        assert step.local_reward is not None
        torch.testing.assert_close(step.local_reward.sum(-1), step.reward, rtol=1e-5, atol=0.0)
        assert step.decision.context["waiting"].shape == (3, 0) and (step.measures["waiting"] == 0).all()


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


def test_the_roads_are_empty_when_a_day_begins() -> None:
    env = started(horizon=3, demand={"scale": 3.0})
    steps = randomly(env, 3)
    assert steps[-1].final is not None and (steps[-1].final.context["waiting"] > 0).any()
    assert (steps[-1].decision.context["waiting"] == 0).all()


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
    expected[:, [0, 3, 4]] = np.minimum(6 * usual, 2)[:, None]  # all on the shortcut, which lets through 2
    np.testing.assert_allclose(env.past.flow, expected, rtol=1e-6)
    assert (env.past.waiting == 0).all() and (env.past.left == 0).all()


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
