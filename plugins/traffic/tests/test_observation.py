"""What agents see: by hand, within the space, of their own alone and of the past alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dgpg.domain import Observation
from dgpg_traffic.env import TrafficEnv
from dgpg_traffic.instance import STEADY
from dgpg_traffic.observation import BOUND, LEVEL, central_size, decide

from .made import STATIC, environment, random_splits, randomly


def stepped(env: TrafficEnv, steps: int = 2, seed: int = 0) -> TrafficEnv:
    env.reset()
    randomly(env, steps, seed)
    return env


def straight(seen: torch.Tensor) -> np.ndarray:
    """Features before they were bent."""
    return BOUND * np.arctanh(seen.double().numpy() / BOUND)


def fields(seen: Observation) -> dict[str, torch.Tensor]:
    return {"agent": seen.agent, "choices": seen.choices, "mask": seen.mask, "central": seen.central}


def test_features_are_those_of_their_moment_whenever_they_are_asked_for() -> None:
    now, later = (environment(network="grid", demand={"noise": 0.4}) for _ in range(2))
    draw = torch.Generator().manual_seed(0)
    read, unread = [now.reset()], [later.reset()]
    for _ in range(now.horizon + 2):
        assert torch.isfinite(read[-1].observation.agent).all()
        actions = random_splits(now, draw)
        read.append(now.step(actions).decision)
        unread.append(later.step(actions).decision)
    for moment, other in zip(read, unread, strict=True):
        pairs = zip(fields(moment.observation).values(), fields(other.observation).values(), strict=True)
        assert all(torch.equal(one, two) for one, two in pairs)


@pytest.mark.parametrize("per_pair", [1, 2])
@pytest.mark.parametrize("name", ["braess", "grid"])
def test_features_have_the_sizes_and_bounds_that_are_announced(name: str, per_pair: int) -> None:
    values = {"network": name, "agents_per_pair": per_pair, "incidents": {"probability": 0.3, "capacity": 0.1}}
    env = stepped(environment(demand={"scale": 4.0, "noise": 0.4}, **values), 3)  # jams that are far off
    seen = env.decision.observation
    assert seen.central.shape == (3, central_size(env.instance))
    assert seen.mask.shape == env.roads.incidence.exists.expand(3, -1, -1).shape
    for b in range(3):
        one = {k: x[b].numpy().astype(np.int8 if k == "mask" else np.float32) for k, x in fields(seen).items()}
        assert env.observation_space.contains(one)
    assert seen.choices.abs().max() <= BOUND


def test_empty_slots_are_masked_and_say_nothing() -> None:
    seen = stepped(environment(network="grid")).decision.observation
    assert not seen.mask.all() and (seen.choices[~seen.mask] == 0).all()


def test_own_demand_and_its_change_by_hand() -> None:
    env = stepped(environment(5, demand={"noise": 0.2}), 1)
    agent, t = straight(env.decision.observation.agent)[:, 0], env.t
    usual = 6 * env.instance.profile[env.tape.period.numpy()]
    own = (env.tape.demand[..., 0].numpy() / usual - 1) / 0.2
    np.testing.assert_allclose(agent[:, 0], own[t], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(agent[:, 1], own[t] - own[t - 1], rtol=1e-3, atol=1e-5)
    start = environment(5, demand={"noise": 0.2}).reset().observation.agent
    torch.testing.assert_close(start[..., 1], start[..., 0])  # the period before was a usual one


def test_the_hour_by_hand() -> None:
    env = environment(8, horizon=6)
    for step in range(3):
        env = stepped(environment(8, horizon=6), step)
        period = env.tape.period[env.t].numpy()
        common = straight(env.decision.observation.agent)[:, 0, 3:]
        angle = 2 * math.pi * (period + 0.5) / 6
        expected = [(env.instance.profile[period] - 1) / LEVEL, np.sin(angle), np.cos(angle)]
        np.testing.assert_allclose(common, np.stack(expected, -1), rtol=1e-3, atol=1e-5)


def test_last_times_and_marginal_costs_by_hand() -> None:
    env = environment(1, **STATIC)
    env.reset()
    seen = env.step(torch.tensor([[[1 / 3] * 3]])).decision.observation
    # two on each of three routes: 4 on the first and the last link. At the optimum they are 3, 3, 3, 0 and 3.
    times, prices = np.array([92.0, 92, 92]), np.array([80 + 14 + 80.0, 80 + 54, 80 + 54])
    usual, dues = np.array([70.0, 83, 83]), np.array([130.0, 116, 116])
    for c, (found, mean) in enumerate(((times, usual), (prices, dues))):
        scaled = (found - mean) / (STEADY * mean)
        np.testing.assert_allclose(seen.choices[0, 0, :, c], BOUND * np.tanh(scaled / BOUND), rtol=1e-3)


def test_congestion_is_the_mean_slowness_of_all_links() -> None:
    env = stepped(environment(network="grid"))
    roads, past = env.roads, env.past
    slow = past.time / roads.links.free_time
    mean, deviation = env.instance.scales.congestion
    expected = (slow.double().mean(-1).numpy() - mean) / deviation
    for n in (0, 77):
        np.testing.assert_allclose(straight(env.decision.observation.agent)[:, n, 2], expected, rtol=1e-2, atol=1e-2)


def test_who_chose_what_is_not_seen() -> None:
    env = environment(2, agents_per_pair=4)
    env.reset()
    state, splits = env.state_dict(), random_splits(env, torch.Generator().manual_seed(0))
    seen = []
    for order in ([0, 1, 2, 3], [2, 3, 1, 0]):
        env.load_state_dict(state)
        seen.append(fields(env.step(splits[:, order]).decision.observation))
    for name, x in seen[0].items():
        torch.testing.assert_close(x, seen[1][name])


def test_the_demand_of_others_is_not_seen() -> None:
    env = stepped(environment(network="grid"))
    tape = replace(env.tape, demand=env.tape.demand.clone())
    tape.demand[env.t, :, 5] *= 1.3
    seen, other = env.decision.observation, decide(env.roads, env.sight, tape, env.past, env.t).observation
    kept = torch.arange(140) != 5
    assert torch.equal(seen.agent[:, kept], other.agent[:, kept]) and torch.equal(seen.choices, other.choices)
    assert not torch.equal(seen.agent[:, 5, 0], other.agent[:, 5, 0])


def test_only_times_of_own_links_are_seen() -> None:
    env = stepped(environment(network="grid"))
    links = env.instance.routes.links[7]
    away = np.setdiff1d(np.arange(76), links)
    flow = env.past.flow.clone()
    flow[:, away] *= 2
    slower = env.past.time.clone()
    slower[:, away] *= 2
    past = replace(env.past, flow=flow, time=slower)
    seen, other = (decide(env.roads, env.sight, env.tape, x, env.t).observation for x in (env.past, past))
    assert torch.equal(seen.choices[:, 7], other.choices[:, 7]) and not torch.equal(seen.choices, other.choices)
    differ = (seen.agent[:, 7] != other.agent[:, 7]).any(0)
    assert differ.tolist() == [False, False, True, False, False, False]  # the mean over all links


def test_the_central_critic_sees_demand_flow_and_queues() -> None:
    env = stepped(environment(network="grid", demand={"scale": 2.0}))
    central, nominal = straight(env.decision.observation.central), env.roads.links.capacity
    assert (env.past.left > 0).any()
    for part, expected in ((slice(140, 216), env.past.flow), (slice(216, 292), env.past.left)):
        load = (expected / nominal).double().numpy()
        near = load < 3  # further off bending rounds
        np.testing.assert_allclose(central[:, part][near], load[near], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(env.decision.observation.central[:, 292:], env.decision.observation.agent[:, 0, 2:])


def test_the_model_is_told_demand_queues_and_last_times() -> None:
    env = stepped(environment(network="grid", demand={"scale": 1.5}, incidents={"probability": 0.3}))
    context, roads, past = env.decision.context, env.roads, env.past
    assert torch.equal(context["demand"], env.tape.demand[env.t]) and torch.equal(context["waiting"], past.waiting)
    assert torch.equal(context["period"], env.tape.period[env.t])
    capacity = env.tape.capacity[env.t - 1]
    drive = roads.links.free_time * (1 + roads.links.b * (past.flow / capacity) ** roads.links.power)
    assert (past.left > 0).any()
    # a period is 60 minutes, in which a link lets through its capacity
    torch.testing.assert_close(context["last_time"], drive + 60 * past.left / capacity)
