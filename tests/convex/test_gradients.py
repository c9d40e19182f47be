"""Gradients of solutions in every field of a program."""

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from dgpg.convex import QuadraticProgram, Solution, require_optimal, solve
from dgpg.convex.program import present

from ..convex_programs import f64, inf, instance, random_program, tensor


def is_regular(program: QuadraticProgram, found: Solution) -> bool:
    """Whether no constraint is weakly active and the active ones are independent: the solution has a derivative."""
    assert program.inequality_matrix is not None and program.equality_matrix is not None
    for k in range(2):
        one = instance(program, k)
        assert one.inequality_matrix is not None and one.equality_matrix is not None
        assert one.lower is not None and one.upper is not None and one.inequality_bound is not None
        eye, price = torch.eye(one.size[0], dtype=f64), torch.full_like(one.inequality_bound, inf)
        price = price if one.penalty is None else one.penalty
        room = one.inequality_bound - one.inequality_matrix @ found.x[k]
        z = found.inequality_dual[k]
        strict = [torch.maximum(room.abs(), torch.minimum(z, price - z))]
        for gap, dual in ((found.x[k] - one.lower, found.lower_dual[k]), (one.upper - found.x[k], found.upper_dual[k])):
            strict.append(torch.maximum(gap, dual))
        tight = [eye[found.lower_dual[k] > 1e-3], eye[found.upper_dual[k] > 1e-3]]
        tight.append(one.inequality_matrix[room.abs() < 1e-3])
        active = torch.cat([one.equality_matrix, *tight])
        if torch.cat(strict).min() < 0.03 or len(active) > one.size[0]:
            return False
        if len(active) and torch.linalg.svdvals(active)[-1] < 0.1:
            return False
    return True


def outputs(program: QuadraticProgram) -> tuple[Tensor, ...]:
    found = require_optimal(solve(program, tolerance=1e-11))
    parts = (found.x, found.equality_dual, found.inequality_dual, found.lower_dual, found.upper_dual, found.objective)
    return tuple(part for part in parts if part.numel())


@pytest.mark.slow
@given(st.integers(0, 10**6), st.booleans(), st.booleans(), st.booleans())
def test_gradients_in_every_field_agree_with_differences(seed: int, batched: bool, quadratic: bool, soft: bool) -> None:
    program = random_program(seed, batched=batched, quadratic=quadratic, soft=soft)
    assume(is_regular(program, solve(program)))
    names = [name for name, t in present(program) if t.numel()]
    finite = {name: getattr(program, name).isfinite() for name in names}

    def outputs_at(*values: Tensor) -> tuple[Tensor, ...]:
        # An infinite bound stays infinite: differences of it are no numbers.
        moved = {n: v.where(finite[n], getattr(program, n)) for n, v in zip(names, values, strict=True)}
        return outputs(replace(program, **moved))

    inputs = [getattr(program, name).nan_to_num(posinf=0.0, neginf=0.0).requires_grad_() for name in names]
    torch.autograd.gradcheck(outputs_at, inputs, eps=1e-5, atol=1e-4, rtol=1e-4, fast_mode=True)


def test_the_objective_has_its_multipliers_as_gradient_and_needs_no_regular_solution() -> None:
    # x1 + x2 >= 1 twice over: the duals are not unique, the marginal cost of the right-hand side is.
    bound = tensor([-1.0, -1.0]).requires_grad_()
    found = solve(
        QuadraticProgram(
            linear=tensor([1.0, 3.0]),
            inequality_matrix=tensor([[-1.0, -1.0], [-1.0, -1.0]]),
            inequality_bound=bound,
            lower=torch.zeros(2, dtype=f64),
        )
    )
    (gradient,) = torch.autograd.grad(found.objective, bound)
    torch.testing.assert_close(gradient, -found.inequality_dual.detach(), atol=1e-12, rtol=0)
    torch.testing.assert_close(gradient.sum(), tensor(-1.0), atol=1e-7, rtol=0)


def test_gradient_of_a_fixed_variable_is_shared_by_its_bounds() -> None:
    value = tensor([0.4]).requires_grad_()
    eye, total = torch.eye(2, dtype=f64), tensor([1.0])
    lower, upper = (torch.cat([value, tensor([end])]) for end in (-9.0, 9.0))
    found = solve(
        QuadraticProgram(
            linear=torch.zeros(2, dtype=f64),
            quadratic=eye,
            equality_matrix=torch.ones(1, 2, dtype=f64),
            equality_vector=total,
            lower=lower,
            upper=upper,
        )
    )
    # x = (v, 1 - v), y = v - 1 and the reduced cost of the first is v + y = 2 v - 1.
    one, two = torch.autograd.grad(found.x[1] + 2 * found.objective, [lower, upper], retain_graph=True)
    torch.testing.assert_close(one[0] + two[0], tensor(-1 + 2 * (2 * 0.4 - 1)), atol=1e-7, rtol=0)
    (gradient,) = torch.autograd.grad(found.x[1], value, retain_graph=True)
    torch.testing.assert_close(gradient, tensor([-1.0]), atol=1e-7, rtol=0)
    (gradient,) = torch.autograd.grad(found.upper_dual[0] - found.lower_dual[0], value)
    torch.testing.assert_close(gradient, tensor([-2.0]), atol=1e-6, rtol=0)


def test_gradients_of_shared_fields_are_sums_over_the_batch() -> None:
    program = random_program(11, batched=False, quadratic=True, soft=True)
    assert program.quadratic is not None and program.inequality_matrix is not None
    shared = {n: getattr(program, n).clone().requires_grad_() for n in ("quadratic", "inequality_matrix")}
    apart = {n: getattr(program, n).expand(2, -1, -1).clone().requires_grad_() for n in shared}
    sums = []
    for fields in (shared, apart):
        found = solve(replace(program, **fields))
        (found.x.square().sum() + found.objective.sum()).backward()
        sums.append([t.grad for t in fields.values()])
    for one, two in zip(*sums, strict=True):
        assert one is not None and two is not None
        torch.testing.assert_close(one, two.sum(0), atol=1e-8, rtol=1e-8)


def test_an_instance_without_a_solution_passes_no_gradient() -> None:
    linear = tensor([[1.0, 1.0]] * 3).requires_grad_()
    vector = tensor([[1.0], [9.0], [1.5]]).requires_grad_()
    found = solve(
        QuadraticProgram(
            linear=linear,
            quadratic=torch.eye(2, dtype=f64),
            equality_matrix=torch.ones(1, 2, dtype=f64),
            equality_vector=vector,
            lower=torch.zeros(2, dtype=f64),
            upper=torch.ones(2, dtype=f64),
        )
    )
    assert found.status.tolist() == [0, 1, 0]
    (found.x[:, 0].sum() + found.objective.sum()).backward()
    assert linear.grad is not None and vector.grad is not None
    assert not linear.grad[1].any() and not vector.grad[1].any()
    torch.testing.assert_close(vector.grad[[0, 2], 0], tensor([0.5 + 1.5, 0.5 + 1.75]), atol=1e-6, rtol=0)


def test_bounds_that_only_unsolved_instances_have_do_not_matter_to_the_others() -> None:
    lower, vector = tensor([[-inf, -inf], [0.0, 3.0]]), tensor([[1.0], [2.0]]).requires_grad_()
    penalty = tensor([[inf], [2.0]])
    found = solve(
        QuadraticProgram(
            linear=tensor([1.0, 2.0]),
            quadratic=torch.eye(2, dtype=f64),
            equality_matrix=torch.ones(1, 2, dtype=f64),
            equality_vector=vector,
            inequality_matrix=torch.eye(2, dtype=f64)[:1],
            inequality_bound=tensor([5.0]),
            lower=lower,
            upper=tensor([4.0, 1.0]),
            penalty=penalty,
        )
    )
    assert found.status.tolist() == [0, 1]
    (gradient,) = torch.autograd.grad(found.x[:, 0].sum(), vector)
    torch.testing.assert_close(gradient, tensor([[0.5], [0.0]]), atol=1e-6, rtol=0)


def test_gradients_are_of_first_order() -> None:
    linear = tensor([1.0]).requires_grad_()
    found = solve(QuadraticProgram(linear=linear, quadratic=torch.eye(1, dtype=f64)))
    (gradient,) = torch.autograd.grad(found.x.square().sum(), linear, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
    with torch.no_grad():
        assert not solve(QuadraticProgram(linear=linear, quadratic=torch.eye(1, dtype=f64))).x.requires_grad
