"""The fluid reference on contexts of the environment: closed form and convex program agree."""

import copy
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dgpg.domain import Context
from dgpg.errors import SolverError
from dgpg_cloud.domain import domain
from dgpg_cloud.instance import build
from dgpg_cloud.models.potentials import WaterFilling, fluid, water_fill

from ..made import off_kinks

f64 = torch.float64


def contexts(config: Any, count: int = 3) -> list[Context]:
    """Contexts of two environments, a few steps apart, under random actions."""
    environment = domain.make_env(config, 2, torch.device("cpu"), 0)
    decision = environment.reset()
    generator = torch.Generator().manual_seed(0)
    found = [decision.context]
    while len(found) < count:
        for _ in range(4):
            mask = decision.observation.mask
            choice = torch.rand(mask.shape, generator=generator).masked_fill(~mask, -1).argmax(-1)
            decision = environment.step(choice).decision
        found.append(decision.context)
    return found


def program(config: Any) -> Any:
    pytest.importorskip("cvxpylayers", reason="cvxpylayers (extra 'convex') is not installed")
    from dgpg_cloud.models.fluid_cvx import fluid_cvx

    return fluid_cvx(config)


@pytest.fixture(scope="module")
def config() -> Any:
    return domain.Config(num_agents=20)


@pytest.fixture(scope="module")
def real(config: Any) -> list[Context]:
    return contexts(config)


@pytest.fixture(scope="module")
def closed(config: Any) -> WaterFilling:
    return fluid(config)


@pytest.fixture(scope="module")
def convex(config: Any) -> Any:
    return program(config)


@pytest.fixture(params=["closed", "convex"])
def model(request: pytest.FixtureRequest) -> WaterFilling:
    return request.getfixturevalue(request.param)


def relative(a: Tensor, b: Tensor) -> float:
    """Largest difference by largest magnitude."""
    return float((a - b).abs().max() / b.abs().max())


def wide(context: Context) -> dict[str, Tensor]:
    return {name: x.double() if x.is_floating_point() else x for name, x in context.items()}


def test_reference_conserves_the_work_and_leaves_what_is_there(model: WaterFilling, real: list[Context]) -> None:
    for context in real:
        base, total = model.parameters_of(context)
        x = model.reference(context)
        assert x.dtype == torch.float32 and x.shape == (*base.shape[:2], 2 * model.resources)
        assert not x[..., : model.resources].any()
        work = x[..., model.resources :]
        torch.testing.assert_close(work.sum(1), total, rtol=1e-5, atol=1e-5)
        assert (work - base >= -1e-6 * base.max()).all()


def test_reference_depends_on_the_context_alone(model: WaterFilling, real: list[Context]) -> None:
    before = {name: x.clone() for name, x in real[1].items()}
    first = model.reference(real[1])
    model.reference(real[2])
    assert torch.equal(first, model.reference(before))
    assert all(torch.equal(real[1][name], x) for name, x in before.items())
    assert not torch.equal(first, model.reference(real[2]))


def test_potential_is_zero_at_the_reference_and_positive_elsewhere(model: WaterFilling, real: list[Context]) -> None:
    x = model.reference(real[1])
    assert not model.potential(x, real[1]).any()
    base, _ = model.parameters_of(real[1])
    assert (model.potential(torch.cat([base, base], -1), real[1]) > 0).all()


def test_without_new_jobs_the_reference_is_what_is_there(model: WaterFilling, real: list[Context]) -> None:
    idle = {**real[1], "has_job": torch.zeros_like(real[1]["has_job"])}
    x = model.reference(idle)[..., model.resources :]
    assert relative(x, idle["work"]) < 1e-5
    empty = {**idle, "work": torch.zeros_like(idle["work"])}
    assert model.reference(empty).abs().max() < 1e-12


def test_program_and_closed_form_agree_on_the_reference(closed: WaterFilling, convex: Any, real: list[Context]) -> None:
    for context in real:
        assert relative(convex.reference(context), closed.reference(context)) < 1e-4
        assert relative(convex.reference(wide(context)), closed.reference(wide(context))) < 1e-4
    assert torch.equal(closed.weight(), convex.weight())


def test_program_and_closed_form_agree_on_derivatives(closed: WaterFilling, convex: Any, real: list[Context]) -> None:
    generator = torch.Generator().manual_seed(0)
    for context, r in itertools.product(real, range(closed.resources)):
        base, total = (x[..., r] for x in closed.parameters_of(wide(context)))
        capacity = closed.capacity[:, r].double()
        direction = torch.randn(base.shape, dtype=f64, generator=generator)
        by_model = []
        for fill in (lambda b, t: water_fill(b, capacity, t), lambda b, t: convex.fill(r, b, t)):  # noqa: B023
            leaves = base.clone().requires_grad_(), total.clone().requires_grad_()
            by_model.append(torch.autograd.grad((fill(*leaves) * direction).sum(), leaves))
        for exact, solved in zip(*by_model, strict=True):
            assert relative(solved, exact) < 1e-4


def test_derivatives_of_the_program_agree_with_finite_differences(convex: Any, real: list[Context]) -> None:
    base, total = (x[:1, ..., 0] for x in convex.parameters_of(wide(real[1])))
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(base.shape, dtype=f64, generator=generator)
    capacity = convex.capacity[:, 0].double()
    assert off_kinks(base[0], capacity, total[0])
    leaves = base.clone().requires_grad_(), total.clone().requires_grad_()
    gradient = torch.cat(
        [g.flatten() for g in torch.autograd.grad((convex.fill(0, *leaves) * direction).sum(), leaves)]
    )
    # The differences of all machines and of the total in one batch. Between kinks x is linear.
    step = 0.01
    moves = torch.cat([torch.eye(base.shape[1] + 1, dtype=f64), -torch.eye(base.shape[1] + 1, dtype=f64)]) * step
    with torch.no_grad():
        ends = (convex.fill(0, base + moves[:, :-1], total + moves[:, -1]) * direction).sum(-1)
    up, down = ends.chunk(2)
    assert relative(gradient, (up - down) / (2 * step)) < 1e-3


def test_gradients_reach_the_context_in_its_own_type(closed: WaterFilling, convex: Any, real: list[Context]) -> None:
    by_model = []
    for model in (closed, convex):
        context = dict(real[1])
        leaves = [context[name].clone().requires_grad_() for name in ("work", "demand", "steps")]
        context.update(zip(("work", "demand", "steps"), leaves, strict=True))
        x = model.reference(context)
        by_model.append(torch.autograd.grad((x * torch.linspace(-1, 1, x.shape[1])[:, None]).sum(), leaves))
    for exact, solved in zip(*by_model, strict=True):
        assert solved.dtype == torch.float32
        assert relative(solved, exact) < 1e-4


def test_negative_work_is_refused_by_its_environment(convex: Any, real: list[Context]) -> None:
    steps = real[1]["steps"].clone()
    steps[1] = -1
    with pytest.raises(SolverError, match=r"instance \[1\] of batch \[2\]"):
        convex.reference({**real[1], "steps": steps})


def test_a_copy_of_the_program_solves_the_same(convex: Any, real: list[Context]) -> None:
    assert torch.equal(copy.deepcopy(convex).reference(real[0]), convex.reference(real[0]))


def test_machines_without_a_resource_keep_what_they_have(config: Any, real: list[Context]) -> None:
    instance = build(config)
    capacity = instance.capacity.copy()
    capacity[[3, 7], 1] = 0
    changed = replace(instance, capacity=capacity)
    closed, convex = WaterFilling(changed, capacity.shape[1]), type(program(config))(changed)
    work = real[1]["work"] + 1
    context = {**real[1], "work": work}
    for model in (closed, convex):
        assert torch.equal(model.reference(context)[:, [3, 7], 3], work[:, [3, 7], 1])
    assert relative(convex.reference(context), closed.reference(context)) < 1e-4


def test_agreement_on_machines_with_and_without_gpus(data_file: Callable[[str], Path]) -> None:
    folder = "alibaba_gpu2023/openb_"
    config = domain.Config(
        num_agents=20,
        workload={"trace": data_file(f"{folder}pod_list_default.csv")},
        machines={"file": data_file(f"{folder}node_list_all_node.csv")},
    )
    closed, convex = fluid(config), program(config)
    assert (closed.capacity == 0).any()
    for context in contexts(config, 2):
        x = closed.reference(context)[..., closed.resources :]
        assert not x[:, closed.capacity == 0].any()
        assert relative(convex.reference(context)[..., closed.resources :], x) < 1e-4
