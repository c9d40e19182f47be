"""Convex programs as differentiable functions: values and derivatives."""

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from dgpg.convex import ConvexLayer

from ..convex_layers import DENSE, LSMR, LSQR, OURS, box, cp, f64, simplex

pytestmark = pytest.mark.filterwarnings("error")


def numeric(layer: ConvexLayer, values: list[Tensor], which: int, weight: Tensor, step: float = 1e-2) -> Tensor:
    """Central differences of <weight, x> in one value."""
    result = torch.zeros_like(values[which])
    for at in range(result.numel()):
        ends = []
        for sign in (1, -1):
            moved = [v.detach().clone() for v in values]
            moved[which].view(-1)[at] += sign * step
            ends.append((layer(*moved)[0] * weight).sum())
        result.view(-1)[at] = (ends[0] - ends[1]) / (2 * step)
    return result


@pytest.fixture(scope="module", params=[LSQR, LSMR, DENSE, OURS], ids=["lsqr", "lsmr", "dense", "ours"])
def nearest(request: pytest.FixtureRequest) -> ConvexLayer:
    return simplex(**request.param)


@pytest.fixture(scope="module", params=[LSQR, OURS], ids=["clarabel", "ours"])
def boxed(request: pytest.FixtureRequest) -> ConvexLayer:
    return box(**request.param)


def test_solution_and_gradient_of_a_projection_are_those_by_hand(nearest: ConvexLayer) -> None:
    p = torch.tensor([0.9, 0.5, -2.0], dtype=f64, requires_grad=True)
    (x,) = nearest(p)
    torch.testing.assert_close(x, torch.tensor([0.7, 0.3, 0.0], dtype=f64), atol=1e-6, rtol=0)
    (x * torch.tensor([1.0, 3.0, 5.0])).sum().backward()
    # Among the positive coordinates x = p - mean(p) + 1/2, the third stays at zero.
    torch.testing.assert_close(p.grad, torch.tensor([-1.0, 1.0, 0.0], dtype=f64), atol=1e-5, rtol=0)


@pytest.mark.parametrize("settings", [LSQR, OURS], ids=["clarabel", "ours"])
def test_linear_program_and_its_shadow_price(settings: dict[str, Any]) -> None:
    x, cost, demand = cp.Variable(2), cp.Parameter(2), cp.Parameter()
    meets = cp.sum(x) == demand
    problem = cp.Problem(cp.Minimize(cost @ x), [meets, x >= 0, x[0] <= 3])
    layer = ConvexLayer(problem, [cost, demand], [x, meets.dual_variables[0]], **settings)
    with torch.no_grad():
        x_, price = layer(torch.tensor([1.0, 2.0], dtype=f64), torch.tensor([2.0, 5.0], dtype=f64))
    torch.testing.assert_close(x_, torch.tensor([[2.0, 0.0], [3.0, 2.0]], dtype=f64), atol=1e-6, rtol=0)
    torch.testing.assert_close(price, torch.tensor([-1.0, -2.0], dtype=f64), atol=1e-6, rtol=0)


def test_gradient_agrees_with_finite_differences_in_every_parameter(boxed: ConvexLayer) -> None:
    values = [torch.tensor(v, dtype=f64) for v in ([[1.0, 2.0], [3.0, -1.0]], [[0.0, 0.5], [0.1, 0.2]], [2.0, 1.5])]
    weight = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=f64)
    leaves = [v.clone().requires_grad_() for v in values]
    (boxed(*leaves)[0] * weight).sum().backward()
    for k, leaf in enumerate(leaves):
        torch.testing.assert_close(leaf.grad, numeric(boxed, values, k, weight), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("settings", [LSQR, OURS], ids=["clarabel", "ours"])
def test_matrix_parameters_and_variables_keep_their_layout(settings: dict[str, Any]) -> None:
    x, a = cp.Variable((2, 3)), cp.Parameter((2, 3))
    layer = ConvexLayer(cp.Problem(cp.Minimize(cp.sum_squares(x - a)), [x <= 1]), [a], [x], **settings)
    value = torch.randn(4, 2, 3, dtype=f64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(value)[0], value.clamp(max=1), atol=1e-5, rtol=0)


def test_a_batch_is_its_instances_one_by_one(boxed: ConvexLayer) -> None:
    generator = torch.Generator().manual_seed(1)
    q, low = (torch.rand(2, 3, 2, dtype=f64, generator=generator) for _ in range(2))
    total = low.sum(-1) + 1
    leaves = [v.requires_grad_() for v in (q, low, total)]
    (x,) = boxed(*leaves)
    assert x.shape == (2, 3, 2)
    together = torch.autograd.grad(x[..., 0].sum(), leaves)
    for i in range(2):
        for j in range(3):
            (one,) = boxed(q[i, j], low[i, j], total[i, j])
            assert one.shape == (2,)
            torch.testing.assert_close(one, x[i, j], atol=1e-9, rtol=0)
            alone = torch.autograd.grad(one[0], leaves)
            for a, b in zip(alone, together, strict=True):
                torch.testing.assert_close(a[i, j], b[i, j], atol=1e-9, rtol=0)


def test_batch_dimensions_broadcast_and_gradients_sum_over_them(boxed: ConvexLayer) -> None:
    q, low = torch.tensor([1.0, 2.0], dtype=f64, requires_grad=True), torch.zeros(4, 1, 2, dtype=f64)
    total = torch.linspace(2.0, 4.0, 3, dtype=f64)
    (x,) = boxed(q, low, total)
    assert x.shape == (4, 3, 2)
    x[..., 0].sum().backward()
    torch.testing.assert_close(q.grad, 12 * torch.tensor([0.5, -0.5], dtype=f64), atol=1e-4, rtol=0)


@pytest.mark.parametrize("batch", [(0,), (2, 0), (0, 3)])
def test_an_empty_batch_has_an_empty_solution_and_no_gradient(nearest: ConvexLayer, batch: tuple[int, ...]) -> None:
    p = torch.zeros(*batch, 3, requires_grad=True)
    (x,) = nearest(p)
    assert x.shape == (*batch, 3) and x.dtype == p.dtype
    x.sum().backward()
    assert p.grad is not None and p.grad.shape == p.shape
    assert nearest(p.detach())[0].shape == (*batch, 3)


def test_float32_in_is_float32_out_and_solved_in_float64(nearest: ConvexLayer) -> None:
    p = torch.tensor([[0.9, 0.5, -2.0], [4.0, 4.0, 4.0]], requires_grad=True)
    (x,) = nearest(p)
    x.square().sum().backward()
    assert x.dtype == p.dtype == torch.float32
    assert p.grad is not None and p.grad.dtype == torch.float32
    torch.testing.assert_close(x, nearest(p.double())[0].float(), atol=0, rtol=0)


def test_small_and_large_incoming_gradients_count_alike(nearest: ConvexLayer) -> None:
    p = torch.tensor([[0.9, 0.5, -2.0]] * 3, dtype=f64, requires_grad=True)
    scale = torch.tensor([[1e-12], [1.0], [0.0]], dtype=f64)
    nearest(p)[0].backward(scale * torch.tensor([1.0, 3.0, 5.0]))
    assert p.grad is not None
    torch.testing.assert_close(p.grad[0] * 1e12, p.grad[1], atol=1e-6, rtol=0)
    torch.testing.assert_close(p.grad[1], torch.tensor([-1.0, 1.0, 0.0], dtype=f64), atol=1e-5, rtol=0)
    assert not p.grad[2].any()


def test_a_graph_can_be_differentiated_twice_in_a_row_but_not_to_second_order(nearest: ConvexLayer) -> None:
    p = torch.tensor([0.9, 0.5, -2.0], dtype=f64, requires_grad=True)
    value = nearest(p)[0][0].square()
    (first,) = torch.autograd.grad(value, p, retain_graph=True)
    (second,) = torch.autograd.grad(value, p, create_graph=True)
    torch.testing.assert_close(first, second.detach(), atol=0, rtol=0)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        second.sum().backward()


def test_without_gradients_it_solves_the_same(nearest: ConvexLayer) -> None:
    p = torch.tensor([0.9, 0.5, -2.0], dtype=f64, requires_grad=True)
    with torch.no_grad():
        (plain,) = nearest(p)
    assert not plain.requires_grad and not nearest(p.detach())[0].requires_grad
    torch.testing.assert_close(plain, nearest(p)[0].detach(), atol=1e-12, rtol=0)


def test_threads_do_not_change_the_result(boxed: ConvexLayer) -> None:
    low = torch.rand(5, 2, dtype=f64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            (x,) = boxed(torch.tensor([1.0, 0.0]), low, torch.tensor(2.0))
            found.append((x, *torch.autograd.grad(x[:, 0].sum(), low)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


@pytest.mark.parametrize("settings", [LSQR, OURS], ids=["clarabel", "ours"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_solve_the_same(copied: Any, settings: dict[str, Any]) -> None:
    x, p = cp.Variable(2), cp.Parameter(2)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(x - p)), [x >= 0])
    p.value = [1.0, 2.0]
    problem.solve()  # leaves solver objects behind that do not pickle
    layer = ConvexLayer(problem, [p], [x], **settings)
    value = torch.tensor([[1.0, -1.0]], requires_grad=True)
    (result,) = copied(layer)(value)
    torch.testing.assert_close(result, layer(value)[0], atol=0, rtol=0)
    result.sum().backward()
    torch.testing.assert_close(value.grad, torch.tensor([[1.0, 0.0]]), atol=1e-5, rtol=0)


def test_matrices_in_parameters_have_gradients_in_our_solver() -> None:
    x, a, q, c = cp.Variable(3), cp.Parameter((2, 3)), cp.Parameter(3, nonneg=True), cp.Parameter(3)
    problem = cp.Problem(cp.Minimize(0.5 * q @ cp.square(x) + c @ x), [a @ x <= 1, cp.sum(x) == 1])
    seeded = torch.Generator().manual_seed(3)
    values = [torch.rand(2, *p.shape, dtype=f64, generator=seeded) for p in (a, q, c)]
    values[1] += 0.5
    layer = ConvexLayer(problem, [a, q, c], [x], solver="interior-point", solver_args={"tolerance": 1e-11})
    weight = torch.tensor([1.0, -2.0, 0.5], dtype=f64)
    leaves = [v.clone().requires_grad_() for v in values]
    (layer(*leaves)[0] * weight).sum().backward()
    for k, leaf in enumerate(leaves):
        torch.testing.assert_close(leaf.grad, numeric(layer, values, k, weight, 1e-4), atol=1e-5, rtol=1e-5)


def test_tighter_tolerances_than_the_solvers_own_keep_derivatives_right() -> None:
    # The norm as objective: with Clarabel's default of 1e-8 this gradient is wrong by a third.
    x, low, weight = cp.Variable(50), cp.Parameter(50), torch.arange(1, 51, dtype=f64)
    share = (weight / weight.sum()).numpy()
    goal = cp.Minimize(cp.norm2(cp.multiply(share**0.5, x)))
    layer = ConvexLayer(cp.Problem(goal, [share @ x == 1, x >= low]), [low], [x], derivative="dense")
    generator = torch.Generator().manual_seed(0)
    value = 2.5 * torch.rand(50, dtype=f64, generator=generator)
    value = value * (0.9 / (value * torch.from_numpy(share)).sum())
    leaf, direction = value.clone().requires_grad_(), torch.randn(50, dtype=f64, generator=generator)
    (layer(leaf)[0] * direction).sum().backward()
    # The free coordinates share what is left: x = (1 - sum of share * low over the others) / their share.
    (x_,) = layer(value)
    held = x_ < value + 1e-4
    assert 5 < held.sum() < 45 and leaf.grad is not None
    shares = torch.from_numpy(share)
    expected = direction * held - shares * held * direction[~held].sum() / shares[~held].sum()
    torch.testing.assert_close(leaf.grad, expected, atol=1e-4, rtol=1e-4)
