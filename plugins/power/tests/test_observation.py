"""What units see: sizes, bounds and levels that contain each other; what the model is told."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from dgpg_power.env import PowerEnv
from dgpg_power.observation import BOUND, CHANGE, sizes

from .made import EXACT, built, environment, random_actions

LEVELS = "ABCP"


def stepped(env: PowerEnv, steps: int = 2, seed: int = 0) -> PowerEnv:
    draw = torch.Generator().manual_seed(seed)
    env.reset()
    for _ in range(steps):
        env.step(random_actions(env, draw))
    return env


@pytest.mark.parametrize("name", ["case9", "case24-tight"])
@pytest.mark.parametrize("level", LEVELS)
def test_observations_have_the_size_that_is_announced(name: str, level: str) -> None:
    env = stepped(environment(network=name, observation=level))
    agent, central = sizes(env.instance)
    seen = env.decision.observation
    assert seen.agent.shape == (3, env.num_agents, agent) and seen.central.shape == (3, central)
    assert env.observation_space["agent"].shape == (env.num_agents, agent)
    lines = env.instance.network.num_lines
    assert agent == {"A": 13, "B": 15, "C": 15 + min(8, lines), "P": 15 + min(8, lines) + min(20, lines)}[level]


def test_features_are_those_of_their_moment_whenever_they_are_asked_for() -> None:
    now, later = (environment(network="case24-tight", observation="P") for _ in range(2))
    draw = torch.Generator().manual_seed(0)
    read, unread = [now.reset()], [later.reset()]
    for _ in range(now.horizon + 2):
        assert torch.isfinite(read[-1].observation.agent).all()
        actions = random_actions(now, draw)
        read.append(now.step(actions).decision)
        unread.append(later.step(actions).decision)
    for moment, other in zip(read, unread, strict=True):
        for name in ("agent", "choices", "mask", "central"):
            assert torch.equal(getattr(moment.observation, name), getattr(other.observation, name))


def test_levels_contain_each_other() -> None:
    seen = [stepped(environment(network="case24-tight", observation=level)).decision.observation for level in LEVELS]
    for less, more in pairwise(seen):
        assert torch.equal(more.agent[..., : less.agent.shape[-1]], less.agent)
        assert torch.equal(more.central, less.central)


def test_levels_are_spelt_in_any_case() -> None:
    assert built(observation="p").config.observation == "P"


@pytest.mark.parametrize("name", ["case9", "case39", "case24-tight", "case30pwl"])
def test_random_actions_keep_features_within_the_space(name: str) -> None:
    env, draw = environment(network=name, observation="P", mismatch={"outages": 0.3}), torch.Generator().manual_seed(0)
    decision = env.reset()
    for _ in range(7):
        seen = decision.observation
        fields = {"agent": seen.agent, "choices": seen.choices, "mask": seen.mask, "central": seen.central}
        for b in range(env.num_envs):
            one = {k: x[b].numpy().astype(np.int8 if k == "mask" else np.float32) for k, x in fields.items()}
            assert env.observation_space.contains(one)
        decision = env.step(random_actions(env, draw)).decision


def test_limits_and_prices_of_a_unit_by_hand() -> None:
    env = environment(observation="A")
    seen, network = env.reset().observation.agent, env.instance.network
    np.testing.assert_allclose(seen[0, :, 0], network.unit_min / network.unit_max.max(), rtol=1e-5)
    np.testing.assert_allclose(seen[0, :, 1], network.unit_max / network.unit_max.max(), rtol=1e-5)
    dear = network.cost_linear + 2 * network.cost_quadratic * network.unit_max
    np.testing.assert_allclose(seen[0, :, 3], dear / dear.max(), rtol=1e-5)
    span = network.unit_max - network.unit_min
    np.testing.assert_allclose(seen[0, :, 6], (env.past.output[0].numpy() - network.unit_min) / span, rtol=1e-4)


def test_the_clock_is_common_and_goes_on_by_an_hour() -> None:
    env = environment(observation="A")
    clock = env.reset().observation.agent[..., 9:11]
    later = stepped(environment(observation="A"), 1).decision.observation.agent[..., 9:11]
    assert torch.equal(clock, clock[:, :1].expand_as(clock))
    torch.testing.assert_close((clock * later).sum(-1), torch.full((3, 3), math.cos(2 * math.pi / 24)))


def test_a_unit_remembers_how_local_and_total_load_changed() -> None:
    env = environment(network="case24-tight", observation="A")
    assert (env.reset().observation.agent[..., 11:13] == 0).all()
    stepped(env, 1)
    told, last, scales = env.tape.forecast[1], env.tape.load[0], env.sight
    change = (told - last)[:, scales.here] / scales.load[1] / CHANGE
    total = (told - last).sum(-1, keepdim=True) / scales.total[1] / CHANGE
    seen = env.decision.observation.agent[..., 11:13]
    torch.testing.assert_close(seen[..., 0], change.clamp(-BOUND, BOUND), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(seen[..., 1], total.expand_as(change).clamp(-BOUND, BOUND), rtol=1e-3, atol=1e-4)


def test_feedback_is_the_last_residual_and_the_price_of_overloads() -> None:
    env = stepped(environment(network="case24-tight", observation="B"), 1)
    seen = env.decision.observation.agent[..., 13:15]
    residual = (env.past.residual / env.sight.total[1]).clamp(-10, 10)
    torch.testing.assert_close(seen[..., 0], residual[:, None].expand(-1, env.num_agents))
    # the price tells a unit of an area which way more output there moves the overloads
    over = env.past.flow.sign() * (env.past.flow.abs() > env.grid.flow_max)
    assert (over != 0).any()
    area = env.instance.network.area[env.instance.network.unit_bus]
    moved = (over @ env.grid.unit_factors).numpy()
    for n in range(env.num_agents):
        np.testing.assert_allclose(seen[:, n, 1], moved[:, area == area[n]].mean(1), rtol=1e-4, atol=1e-5)


def test_the_model_is_told_loads_that_add_up_to_the_demand() -> None:
    env = stepped(environment(network="case39", mismatch={"forecast_error": 0.05}))
    context = env.decision.context
    for name in ("load", "oracle_load"):
        torch.testing.assert_close(context[name].sum(-1), context["demand"])
    assert not torch.allclose(context["load"], context["oracle_load"], rtol=1e-3)


def test_told_and_true_loads_are_one_where_the_model_is_exact() -> None:
    context = stepped(environment(network="case39", mismatch=EXACT)).decision.context
    torch.testing.assert_close(context["load"], context["oracle_load"])
