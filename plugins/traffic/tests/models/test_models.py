"""Models: potentials are costs, slopes are time and toll by finite differences, with incidents and queues."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor

from dgpg.checks.model import wide
from dgpg.domain import Context
from dgpg.errors import ConfigError
from dgpg.learning.guidance import slope
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM
from dgpg_traffic.env import TrafficEnv
from dgpg_traffic.mapping import FlowMapping
from dgpg_traffic.models.potentials import (
    LinkModel,
    OptimumDistance,
    QueuedSelfish,
    QueuedTime,
    SelfishPotential,
    TotalTime,
    marginal_cost,
    system_optimum,
    user_equilibrium,
)
from dgpg_traffic.network.bpr import Bpr, beckmann, link_time, marginal, total_time

from ..made import STATIC, environment, random_splits, settings

INCIDENTS: dict[str, Any] = {"incidents": {"probability": 0.3, "capacity": 0.5}}
PLAIN: dict[str, Any] = {"queues": False}
Visit = tuple[Context, Tensor, Tensor, Tensor]


def visited(steps: int = 3, num_envs: int = 3, seed: int = 0, **values: Any) -> tuple[list[Visit], TrafficEnv]:
    """Contexts, splits, states and costs of random steps, in double precision, and the environment."""
    env, draw = environment(num_envs, seed, **values), torch.Generator().manual_seed(seed)
    decision, found = env.reset(), []
    for _ in range(steps):
        splits = random_splits(env, draw)
        step = env.step(splits)
        context = {k: x.double() if x.is_floating_point() else x for k, x in decision.context.items()}
        found.append((context, splits.double(), step.state.double(), -step.reward.double()))
        decision = step.decision
    return found, env


def links_of(env: TrafficEnv, state: Tensor) -> Bpr:
    """The links with the capacities of a state."""
    return env.instance.roads(env.device, torch.float64).at(state[..., 1])


@pytest.mark.parametrize("name", ["braess", "grid"])
@pytest.mark.parametrize("values", [PLAIN, PLAIN | INCIDENTS, {"demand": {"scale": 1.5}}, INCIDENTS])
def test_the_potential_is_the_cost_of_the_environment(name: str, values: dict[str, Any]) -> None:
    """Less what was charged before to those who were still on the road."""
    found, env = visited(network=name, **values)
    model, loading = marginal_cost(env.instance.config), env.instance.roads(env.device, torch.float64).loading
    for context, _, state, cost in found:
        before = loading.pending(context["waiting"])
        torch.testing.assert_close(model.potential(state, context) - before, cost, rtol=1e-4, atol=0.0)


def test_the_selfish_potential_is_beckmanns() -> None:
    found, env = visited(network="grid", **PLAIN, **INCIDENTS)
    model = SelfishPotential(env.instance)
    for context, _, state, _ in found:
        expected = beckmann(links_of(env, state), state[..., 0])
        torch.testing.assert_close(model.potential(state, context), expected, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("capacity", ["measured", "nominal"])
def test_only_the_nominal_model_takes_no_notice_of_incidents(capacity: str) -> None:
    found, env = visited(network="grid", models={"capacity": capacity}, **PLAIN, **INCIDENTS)
    nominal = env.instance.roads(env.device, torch.float64).links
    for make, value in ((TotalTime, total_time), (SelfishPotential, beckmann)):
        model = make(env.instance)
        for context, _, state, _ in found:
            assert (state[..., 1] < nominal.capacity - 1).any()
            used = links_of(env, state) if capacity == "measured" else nominal
            expected = value(used, state[..., 0])
            torch.testing.assert_close(model.potential(state, context), expected, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize(("model", "price"), [(TotalTime, marginal), (SelfishPotential, link_time)])
@pytest.mark.parametrize("values", [{"agents_per_pair": 3}, {"network": "grid"}, {"network": "grid"} | INCIDENTS])
def test_guidance_is_the_price_of_a_route_times_demand(model: type[LinkModel], price: Any, values: Any) -> None:
    found, env = visited(demand={"scale": 2.0}, **PLAIN, **values)
    for context, splits, state, _ in found:
        guided = slope(model(env.instance), FlowMapping(env.instance), state, splits, context)
        roads = env.instance.roads(env.device, torch.float64)
        expected = context["demand"][..., None] * roads.incidence.cost(price(roads.at(state[..., 1]), state[..., 0]))
        torch.testing.assert_close(guided, expected, rtol=1e-5, atol=1e-5)


@hypothesis_settings(max_examples=15)
@given(st.integers(0, 2**31), st.integers(1, 4), st.booleans())
def test_guidance_is_how_the_cost_of_the_environment_moves(seed: int, per_pair: int, incidents: bool) -> None:
    _, env = visited(2, 2, seed, agents_per_pair=per_pair, **PLAIN, **(INCIDENTS if incidents else {}))
    state, context, draw = env.state_dict(), env.decision.context, torch.Generator().manual_seed(seed)
    splits = random_splits(env, draw)
    at = env.step(splits).state
    guided = slope(TotalTime(env.instance), FlowMapping(env.instance), at, splits, context)
    n, k = seed % per_pair, seed % 3
    sides, step = [], 0.05 * torch.eye(per_pair * 3).view(per_pair, 3, per_pair, 3)[n, k]
    for moved in (splits + step, splits - step):
        env.load_state_dict(state)
        sides.append(-env.step(moved).reward.double())
    # braess' cost is quadratic in flow, of which central differences are exact
    torch.testing.assert_close((sides[0] - sides[1]) / 0.1, guided[:, n, k].double(), rtol=2e-3, atol=0.5)


@pytest.mark.parametrize(("name", "scale"), [("braess", 0.7), ("braess", 2.0), ("grid", 1.5)])
def test_guidance_is_how_the_cost_with_queues_moves(name: str, scale: float) -> None:
    """Those held up upstream included: along random ways, by differences in double precision."""
    found, env = visited(3, network=name, demand={"scale": scale})
    model, mapping = wide(marginal_cost(env.instance.config)), FlowMapping(env.instance)
    draw, queued = torch.Generator().manual_seed(0), False
    for context, splits, _, _ in found:
        guided = slope(model, mapping, mapping.state(splits, context), splits, context)
        way = (random_splits(env, draw) - random_splits(env, draw)).double()
        claimed, near = (guided * way).sum((-1, -2)), torch.zeros(3, dtype=torch.bool)
        for width in (1e-7, 1e-6, 1e-5):  # a wide step may cross a kink
            high, low = (model.potential(mapping.state(splits + s * width * way, context), context) for s in (1, -1))
            near |= ((high - low) / (2 * width) - claimed).abs() <= 1e-3 * claimed.abs() + 1e-2
        assert near.all()
        queued |= bool((context["waiting"] > 0).any())
    assert queued


def test_selfish_guidance_with_queues_by_hand() -> None:
    """One more on a way of braess that begins with a queue waits as those who come do, and drives on on empty roads."""
    found, env = visited(1, 1, demand={"scale": 1.0, "profile": "flat", "noise": 0.0})
    context, model, mapping = found[0][0], wide(user_equilibrium(env.instance.config)), FlowMapping(env.instance)
    splits = torch.tensor([[[0.0, 0.5, 0.5]]]).double()
    state = mapping.state(splits, context)
    guided = slope(model, mapping, state, splits, context)[0, 0]
    # 3 come where 2 pass: the mean wait is a quarter of an hour; of 10 x and 50 + x, 50 minutes need no traffic
    assert guided[1:].tolist() == pytest.approx([6 * (15 + 50)] * 2, rel=1e-3)


def test_with_incidents_the_measured_slope_is_right_and_the_nominal_is_not() -> None:
    ratios = {}
    for capacity in ("measured", "nominal"):
        found, env = visited(5, network="grid", models={"capacity": capacity}, **PLAIN, **INCIDENTS)
        model, mapping, ratio = TotalTime(env.instance), FlowMapping(env.instance), []
        for context, splits, state, _ in found:
            guided = slope(model, mapping, state, splits, context)
            size = torch.rand(guided.shape, generator=torch.Generator().manual_seed(0)).double()
            way = guided.sign() * size * env.roads.incidence.exists * 1e-6  # no part of it cancels another's
            sides = [
                total_time(links_of(env, state), mapping.state(splits + sign * way, context)[..., 0])
                for sign in (1, -1)
            ]
            ratio.append((guided * way).sum((-1, -2)) / ((sides[0] - sides[1]) / 2))
        ratios[capacity] = torch.stack(ratio)
    torch.testing.assert_close(ratios["measured"], torch.ones(5, 3).double(), rtol=1e-4, atol=0.0)
    assert ((ratios["nominal"] - 1).abs() > 0.05).any()


def test_braess_by_hand() -> None:
    found, env = visited(1, 1, **STATIC)
    context, splits = found[0][0], torch.full((1, 1, 3), 1 / 3).double()
    mapping = FlowMapping(env.instance)
    state = mapping.state(splits, context)
    # two on each of three routes: 4, 2, 2, 2 and 4 on the links; 10 x, 50 + x, 50 + x, 10 + x and 10 x
    assert state[0, :, 0].tolist() == pytest.approx([4, 2, 2, 2, 4])
    total, selfish = TotalTime(env.instance), SelfishPotential(env.instance)
    assert total.potential(state, context).item() == pytest.approx(552)
    assert selfish.potential(state, context).item() == pytest.approx(386)  # 5 x 16 x 2 + 2 (100 + 2) + 20 + 2
    tolls = slope(total, mapping, state, splits, context)[0, 0]
    times = slope(selfish, mapping, state, splits, context)[0, 0]
    np.testing.assert_allclose(tolls / 6, [80 + 14 + 80, 80 + 54, 54 + 80], rtol=1e-6)
    np.testing.assert_allclose(times / 6, [92, 92, 92], rtol=1e-6)


def test_the_distance_by_hand() -> None:
    found, env = visited(1, 1, **STATIC)
    context, model = found[0][0], OptimumDistance(env.instance)
    reference = model.reference(context)
    np.testing.assert_allclose(reference[0], [[3, 2], [3, 2], [3, 2], [0, 2], [3, 2]], atol=1e-4)
    away = reference + torch.tensor([0.0, 2.0, 0, 4.0, 0])[None, :, None]
    # free-flow time over capacity is 25 and 5; what the capacity is off does not count: (25 x 4 + 5 x 16) / 2
    assert model.potential(away, context).item() == pytest.approx(90, rel=1e-5)
    assert model.potential(reference, context).item() == 0


@pytest.mark.parametrize("name", ["braess", "grid"])
def test_the_reference_costs_no_more_and_keeps_all_vehicles(name: str) -> None:
    found, env = visited(network=name, demand={"scale": 2.0}, **PLAIN)
    model, total, roads = OptimumDistance(env.instance), TotalTime(env.instance), env.roads
    for context, _, state, _ in found:
        reference = model.reference(context)
        assert (total.potential(reference, context) <= total.potential(state, context) * (1 + 1e-6)).all()
        best = roads.assigned(SYSTEM_OPTIMUM, context["demand"], state[..., 1])
        expected = roads.flow(best.float(), context["demand"].float())
        torch.testing.assert_close(
            total.potential(reference, context), total_time(roads.links, expected).double(), rtol=1e-5, atol=0.0
        )


def test_solutions_are_remembered_by_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    found, env = visited(2, **PLAIN)
    calls, solve = list[int](), OptimumDistance.solve

    def counted(model: OptimumDistance, demand: Tensor) -> Tensor:
        calls.append(len(demand))
        return solve(model, demand)

    monkeypatch.setattr(OptimumDistance, "solve", counted)
    model, context = OptimumDistance(env.instance), found[0][0]
    first = model.reference(context)
    assert torch.equal(model.reference(context), first) and calls == [3]
    elsewhere = context | {"last_time": context["last_time"] + 1, "oracle_capacity": context["oracle_capacity"] / 2}
    assert torch.equal(model.reference(elsewhere), first) and calls == [3]
    more = context | {"demand": context["demand"] + torch.tensor([[1.0], [0], [0]]).double()}
    assert torch.equal(model.reference(more)[1:], first[1:]) and calls == [3, 1]
    assert not torch.equal(model.reference(more)[0], first[0])


def test_memory_is_bounded() -> None:
    found, env = visited(4, **PLAIN)
    small, large = OptimumDistance(env.instance, memory=4), OptimumDistance(env.instance)
    for context, *_ in found:
        torch.testing.assert_close(small.reference(context), large.reference(context))
        assert len(small.optimum) <= 4
    assert len(large.optimum) == 12


def test_models_are_made_from_a_configuration() -> None:
    made = {marginal_cost: TotalTime, user_equilibrium: SelfishPotential, system_optimum: OptimumDistance}
    assert all(type(make(settings(queues=False))) is kind for make, kind in made.items())
    queued = {marginal_cost: QueuedTime, user_equilibrium: QueuedSelfish}
    assert all(type(make(settings())) is kind for make, kind in queued.items())
    with pytest.raises(ConfigError, match=r"^queues = True: the distance is to the optimum of a static problem: set "):
        system_optimum(settings())
