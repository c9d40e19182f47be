"""Models and mapping: the potential is the environment's cost, its slope, and what is remembered."""

from typing import Any

import pytest
import torch
from torch import Tensor

from dgpg.domain import Context
from dgpg_power.config import Config
from dgpg_power.mapping import DispatchMapping
from dgpg_power.models.potentials import CostPotential, OptimumDistance, cost, dcopf
from dgpg_power.programs import opf
from dgpg_power.reward import marginal

from ..made import EXACT, environment, random_actions

NAMES = ["case9", "case24-tight", "case30pwl"]


def visited(steps: int = 3, **values: Any) -> tuple[list[tuple[Context, Tensor, Tensor, Tensor]], Any]:
    """Contexts, actions, states and rewards of random steps, and the environment."""
    env, draw = environment(**values), torch.Generator().manual_seed(0)
    decision, found = env.reset(), []
    for _ in range(steps):
        actions = random_actions(env, draw)
        step = env.step(actions)
        found.append((decision.context, actions, step.state, step.reward))
        decision = step.decision
    return found, env


@pytest.mark.parametrize("name", NAMES)
def test_the_potential_is_the_cost_above_its_floor_where_the_model_is_exact(name: str) -> None:
    found, env = visited(network=name, mismatch=EXACT)
    model = CostPotential(env.instance)
    for context, _, state, reward in found:
        exact = {k: x.double() if x.is_floating_point() else x for k, x in context.items()}
        phi = model.potential(state.double(), exact)
        assert (phi >= 0).all()
        # the plant's outputs come back in float32, and a rounding of 1e-5 MW costs up to 1e-2 $
        torch.testing.assert_close(phi + model.floor, -reward.double(), rtol=1e-4, atol=0.1)


def test_a_mismatch_sets_them_apart() -> None:
    found, env = visited(network="case24-tight", mismatch={"forecast_error": 0.05, "outages": 0.5})
    model = CostPotential(env.instance)
    gaps = [(model.potential(state, c) + model.floor + reward).abs().amax() for c, _, state, reward in found]
    assert max(gaps) > 100


@pytest.mark.parametrize("name", NAMES)
def test_the_slope_is_marginal_costs_and_overloads(name: str) -> None:
    found, env = visited(network=name)
    model, grid = CostPotential(env.instance), env.plant
    overloads = 0
    for context, _, state, _ in found:
        exact = {k: x.double() if x.is_floating_point() else x for k, x in context.items()}
        exact["demand"] = state.double().sum((-2, -1)) + 1.0  # 1 MW is missing, well off the kink
        x = state.double().requires_grad_()
        (slope,) = torch.autograd.grad(model.potential(x, exact).sum(), x)
        flow = grid.flow(x.detach()[..., 0], exact["load"])
        over = flow.sign() * (flow.abs() > grid.flow_max)
        overloads += int(over.abs().sum())
        expected = marginal(x.detach()[..., 0], grid.curves) + grid.tariff.overload * over @ grid.unit_factors
        torch.testing.assert_close(slope[..., 0], expected - grid.tariff.imbalance, rtol=1e-4, atol=1e-3)
    assert overloads or name != "case24-tight"


def test_the_mapping_says_what_the_environment_does() -> None:
    found, env = visited(network="case39")
    mapping = DispatchMapping(env.instance)
    for context, actions, state, _ in found:
        assert mapping.state(actions, context).shape == (3, env.num_agents, 1)
        torch.testing.assert_close(mapping.state(actions, context), state, rtol=1e-4, atol=1e-2)


def test_the_mapping_is_differentiable_in_base_points() -> None:
    found, env = visited()
    context, actions, _, _ = found[0]
    actions = actions.requires_grad_()
    state = DispatchMapping(env.instance).state(actions, context)
    (slope,) = torch.autograd.grad((state[..., 0] * torch.tensor([1.0, 2.0, 3.0])).sum(), actions)
    assert torch.isfinite(slope).all() and (slope != 0).any()


def test_solutions_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    found, env = visited()
    model, calls = OptimumDistance(env.instance), list[int]()
    solve = opf.optimum

    def counted(grid: Any, load: Tensor, *rest: Any) -> opf.Optimum:
        calls.append(len(load))
        return solve(grid, load, *rest)

    monkeypatch.setattr(opf, "optimum", counted)
    first = model.reference(found[0][0])
    assert torch.equal(model.reference(found[0][0]), first) and calls == [3]
    mixed = {k: torch.cat([found[0][0][k][:2], found[1][0][k][:1]]) for k in found[0][0]}
    assert torch.equal(model.reference(mixed)[:2], first[:2]) and calls == [3, 1]


def test_memory_is_bounded() -> None:
    found, env = visited(5)
    small, large = OptimumDistance(env.instance, memory=4), OptimumDistance(env.instance)
    for context, *_ in found:
        torch.testing.assert_close(small.reference(context), large.reference(context))
        assert len(small.optimum) <= 4
    assert len(large.optimum) == 15


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_is_a_dispatch_within_limits_that_costs_no_more(name: str) -> None:
    found, env = visited(network=name)
    model, potential = OptimumDistance(env.instance), CostPotential(env.instance)
    for context, _, state, _ in found:
        reference = model.reference(context)
        assert (reference[..., 0] >= context["low"] - 1e-3).all() and (
            reference[..., 0] <= context["high"] + 1e-3
        ).all()
        torch.testing.assert_close(reference.sum((-2, -1)), context["demand"], rtol=1e-4, atol=1e-2)
        best, other = potential.potential(reference, context), potential.potential(state, context)
        assert (best <= other + 1e-3 * other.abs() + 1.0).all()


def test_the_distance_by_hand() -> None:
    found, env = visited()
    context, model = found[0][0], OptimumDistance(env.instance)
    span = (env.grid.unit_max - env.grid.unit_min).unsqueeze(-1)
    away = model.reference(context) + 0.1 * span  # a tenth of each of three ranges: 3 x 1/2 x 0.01
    torch.testing.assert_close(model.potential(away, context), torch.full((3,), 0.015), rtol=1e-3, atol=1e-6)


def test_models_are_made_from_a_configuration() -> None:
    config = Config(network="case9", horizon=6)
    assert isinstance(cost(config), CostPotential) and isinstance(dcopf(config), OptimumDistance)
