"""The capacity model by hand, its guidance against brute force, and what each model says of a crowded machine."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgpg.domain import AnalyticalModel, SupportsBlockPotential
from dgpg.learning import guidance
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.env import CloudEnv
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.mapping import PlacementMapping
from dgpg_cloud.models.fluid_cvx import fluid_cvx
from dgpg_cloud.models.potentials import CapacityModel, HeadroomModel, WaterFilling, capacity, demand, fluid, headroom

CONFIG = Config(num_agents=6, weights={"waiting": 0.5, "price": 2.0, "stranded": 3.0})


def machine(instance: Instance, m: int) -> tuple[float, float, float, float]:
    """vCPU, GiB, speed, price."""
    vcpu, memory = instance.capacity[m]
    return vcpu / 1000, memory / 1024, instance.speed_permille[m] / 1000, instance.price[m]


def by_hand(instance: Instance, m: int, requested: tuple[float, float], work: tuple[float, float]) -> float:
    vcpu, memory, speed, price = machine(instance, m)
    excess = max(requested[0] / vcpu, requested[1] / memory) - 1
    jobs = vcpu / (instance.pool.demand[:, 0].mean() / 1000)
    times = work[0] / (vcpu * speed), work[1] / (memory * speed)
    waiting = 0.5 * jobs * instance.base_steps.mean() * max(excess, 0) ** 2
    return waiting + 2 * price * max(times) + 3 * price * abs(times[0] - times[1])


@pytest.mark.parametrize("load", [0.25, 0.999, 1.5, 4.0])
def test_capacity_by_hand(load: float) -> None:
    instance = build(CONFIG)
    for m in range(6):
        vcpu, memory, *_ = machine(instance, m)
        requested, work = (load * vcpu, 0.5 * memory), (3 * vcpu, 7 * memory)
        block = torch.tensor([[[*requested, *work]]])
        found = CapacityModel(instance).block_potential(block, torch.tensor([[m]]), {})
        assert found.item() == pytest.approx(by_hand(instance, m, requested, work), rel=1e-5)


def test_an_empty_machine_costs_nothing_and_nothing_is_below() -> None:
    model = capacity(CONFIG)
    assert model.potential(torch.zeros(1, 6, 4), {}).item() == 0
    assert (model.potential(100 * torch.rand(50, 6, 4, generator=torch.Generator().manual_seed(0)), {}) >= 0).all()


@pytest.mark.parametrize("factory", [capacity, headroom, demand, fluid, fluid_cvx])
def test_every_model_fits_the_protocols(factory: object) -> None:
    if factory is fluid_cvx:
        pytest.importorskip("cvxpylayers", reason="cloud.fluid-cvx needs the extra convex")
    model = factory(CONFIG)  # type: ignore[operator]
    assert isinstance(model, AnalyticalModel)
    assert isinstance(model, SupportsBlockPotential)


def rollout(config: Config, steps: int) -> tuple[CloudEnv, Tensor, object, Tensor, Tensor]:
    """A state after some random steps: environment, x, decision before it, actions, active."""
    env = CloudEnv(build(config), 2, torch.device("cpu"), 5)
    decision, seed = env.reset(), torch.Generator().manual_seed(1)
    for _ in range(steps):
        before = decision
        actions = torch.randint(config.candidate_count, (2, config.num_agents), generator=seed)
        mask = before.observation.mask
        actions = torch.where(mask.gather(-1, actions.unsqueeze(-1)).squeeze(-1), actions, mask.int().argmax(-1))
        step = env.step(actions)
        decision = step.decision
    return env, step.state, before, actions, before.observation.active


@pytest.mark.parametrize("factory", [capacity, demand, fluid])
def test_guidance_is_the_change_of_the_potential_by_moving_one_job(factory: object) -> None:
    config = Config(num_agents=8, candidates=4, horizon=32, workload={"load": 0.6})
    _, state, before, actions, active = rollout(config, 6)
    model, mapping = factory(config), PlacementMapping(build(config))  # type: ignore[operator]
    context = before.context
    influence = mapping.influence(before.observation, context)
    found = guidance.marginal_potential(model, state, context, influence, actions, active)
    for n in range(8):
        own = influence.value[:, n, 0, 0] * active[:, n, None]
        without = state.clone()
        without[torch.arange(2), mapping.candidates[n, actions[:, n]]] -= own
        base = model.potential(without, context)
        for k in range(4):
            moved = without.clone()
            moved[:, mapping.candidates[n, k]] += influence.value[:, n, k, 0]
            expected = model.potential(moved, context) - base
            assert torch.allclose(found[:, n, k], expected, rtol=1e-3, atol=2e-3)


def test_the_capacity_model_sends_a_job_away_from_a_crowded_machine() -> None:
    instance = build(CONFIG)
    model = CapacityModel(instance)
    vcpu, memory, *_ = machine(instance, 0)
    full = torch.tensor([[[vcpu, memory, vcpu, memory]]])
    job = torch.tensor([[[1.0, 1.75, 3.0, 5.25]]])
    index = torch.tensor([[0]])
    onto_full = model.block_potential(full + job, index, {}) - model.block_potential(full, index, {})
    onto_empty = model.block_potential(job, index, {})
    assert onto_full > onto_empty


def test_references_conserve_the_total_and_leave_what_is_there(request: pytest.FixtureRequest) -> None:
    config = Config(num_agents=12, workload={"load": 0.6})
    env = CloudEnv(build(config), 3, torch.device("cpu"), 2)
    context = env.reset().context
    for model in (demand(config), fluid(config)):
        assert isinstance(model, WaterFilling)
        base, total = model.parameters_of(context)
        reference = model.reference(context)
        spread = reference[..., model.first : model.first + 2]
        assert torch.allclose(spread.sum(1), total, rtol=1e-5)
        assert (spread >= base - 1e-3).all()


@pytest.mark.parametrize("load", [0.75, 0.9, 1.5])
def test_headroom_counts_from_80_percent_and_twice(load: float) -> None:
    instance = build(CONFIG)
    vcpu, memory, *_ = machine(instance, 0)
    requested, work = (load * vcpu, 0.5 * memory), (3 * vcpu, 7 * memory)
    block, index = torch.tensor([[[*requested, *work]]]), torch.tensor([[0]])
    empty = by_hand(instance, 0, (0.0, 0.0), work)  # price and stranded terms are the same
    jobs = vcpu / (instance.pool.demand[:, 0].mean() / 1000)
    waiting = 2 * 0.5 * jobs * instance.base_steps.mean() * max(load - 0.8, 0) ** 2
    assert HeadroomModel(instance).block_potential(block, index, {}).item() == pytest.approx(empty + waiting, rel=1e-5)


def test_the_default_keeps_headroom() -> None:
    assert isinstance(domain.analytical_model(CONFIG), HeadroomModel)
    assert domain.default_model == "cloud.headroom"
