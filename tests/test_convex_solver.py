"""Batches of linear and quadratic programs: optima, duals, statuses, gradients, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import Tensor

from dgpg.convex import QuadraticProgram, Solution, Status, require_optimal, solve
from dgpg.convex.program import present
from dgpg.errors import DgpgError, ProgramError, SolverError

f64 = torch.float64
inf = float("inf")
WANTED = {0: Status.OPTIMAL, 2: Status.INFEASIBLE, 3: Status.UNBOUNDED}
"""Our names of HiGHS' statuses."""


def tensor(values: Any) -> Tensor:
    return torch.as_tensor(values, dtype=f64)


def instance(program: QuadraticProgram, at: int) -> QuadraticProgram:
    """One instance of a program with one batch dimension."""
    matrices = ("quadratic", "equality_matrix", "inequality_matrix")
    fields = {name: t[at] if t.dim() > 1 + (name in matrices) else t for name, t in present(program)}
    return QuadraticProgram(**fields)


def random_program(seed: int, *, batched: bool, quadratic: bool, soft: bool = False) -> QuadraticProgram:
    """Two feasible, bounded instances with rows of every kind: fixed and free variables, infinite bounds, prices."""
    rng = np.random.default_rng(seed)
    n, p, m = int(rng.integers(1, 7)), int(rng.integers(0, 3)), int(rng.integers(0, 9))
    p, lead = min(p, n - 1), (2,) if batched else ()
    inside = rng.normal(size=(2, n))
    equality, rows = rng.normal(size=(*lead, p, n)), rng.normal(size=(*lead, m, n))
    factor = rng.normal(size=(*lead, n, n))
    lower = inside - rng.uniform(0.1, 2, (2, n))
    upper = inside + rng.uniform(0.1, 2, (2, n))
    if quadratic:  # else the program would be unbounded
        lower, upper = np.where(rng.random((2, n)) < 0.2, -inf, lower), np.where(rng.random((2, n)) < 0.2, inf, upper)
    price = np.where(rng.random((2, m)) < 0.5, inf, rng.uniform(0.1, 2, (2, m)))
    room = rng.exponential(size=(2, m)) - (np.isfinite(price) if soft else 0)
    return QuadraticProgram(
        linear=tensor(3 * rng.normal(size=(2, n))),
        quadratic=tensor(factor @ factor.swapaxes(-1, -2) + 0.3 * np.eye(n)) if quadratic else None,
        equality_matrix=tensor(equality),
        equality_vector=tensor((equality @ inside[..., None])[..., 0]),
        inequality_matrix=tensor(rows),
        inequality_bound=tensor((rows @ inside[..., None])[..., 0] + room),
        lower=tensor(lower),
        upper=tensor(upper),
        penalty=tensor(price) if soft else None,
    )


def highs(program: QuadraticProgram) -> Any:
    """scipy's answer to one instance of a linear program; soft rows get slack variables of their own."""
    m = program.size[2]
    assert program.quadratic is None and program.inequality_matrix is not None and program.equality_matrix is not None
    cost, rows, equality = program.linear, program.inequality_matrix, program.equality_matrix
    bounds = torch.stack([program.lower, program.upper], 1)  # type: ignore[list-item]
    if program.penalty is not None:
        soft = program.penalty.isfinite().nonzero().squeeze(-1)
        rows = torch.cat([rows, -torch.eye(m, dtype=f64)[:, soft]], 1)
        equality = torch.nn.functional.pad(equality, (0, len(soft)))
        cost = torch.cat([cost, program.penalty[soft]])
        bounds = torch.cat([bounds, tensor([[0.0, inf]] * len(soft)).view(-1, 2)])
    parts = (cost, rows, program.inequality_bound, equality, program.equality_vector, bounds)
    return linprog(*(None if t is None else t.numpy() for t in parts), method="highs")


def lagrangian_gap(program: QuadraticProgram, found: Solution) -> Tensor:
    """Largest of the optimality conditions' residuals, written out once more, `[B]`."""
    gradient = program.linear - found.lower_dual + found.upper_dual
    parts = []
    if program.quadratic is not None:
        gradient = gradient + (program.quadratic @ found.x[..., None]).squeeze(-1)
    if program.equality_matrix is not None and program.equality_vector is not None:
        gradient = gradient + (program.equality_matrix.mT @ found.equality_dual[..., None]).squeeze(-1)
        parts.append((program.equality_matrix @ found.x[..., None]).squeeze(-1) - program.equality_vector)
    if program.inequality_matrix is not None and program.inequality_bound is not None:
        gradient = gradient + (program.inequality_matrix.mT @ found.inequality_dual[..., None]).squeeze(-1)
        over = (program.inequality_matrix @ found.x[..., None]).squeeze(-1) - program.inequality_bound
        price = torch.full_like(over, inf) if program.penalty is None else program.penalty.expand_as(over)
        z = found.inequality_dual
        # A row is slack with z = 0, tight with z in between, or violated with z = its price.
        at_price = (over.clamp(min=0) * (price - z)).where(price.isfinite(), over.clamp(min=0))
        parts += [z * (-over).clamp(min=0), at_price, (-z).clamp(min=0), (z - price).clamp(min=0)]
    for bound, dual, sign in ((program.lower, found.lower_dual, 1), (program.upper, found.upper_dual, -1)):
        if bound is not None:
            room = (sign * (found.x - bound)).where(bound.isfinite(), 1.0)
            parts += [(-room).clamp(min=0), dual * room, (-dual).clamp(min=0)]
    return torch.cat([gradient, *parts], -1).abs().amax(-1)


# --- values ------------------------------------------------------------------------------------


def test_projection_on_a_simplex_is_the_one_by_hand() -> None:
    p = tensor([[0.9, 0.5, -2.0], [4.0, 4.0, 4.0]])
    found = solve(
        QuadraticProgram(
            linear=-p,
            quadratic=torch.eye(3, dtype=f64),
            equality_matrix=torch.ones(1, 3, dtype=f64),
            equality_vector=tensor([1.0]),
            lower=torch.zeros(3, dtype=f64),
        )
    )
    torch.testing.assert_close(found.x, tensor([[0.7, 0.3, 0.0], [1 / 3] * 3]), atol=1e-8, rtol=0)
    torch.testing.assert_close(found.equality_dual, tensor([[0.2], [11 / 3]]), atol=1e-8, rtol=0)
    torch.testing.assert_close(found.lower_dual[0], tensor([0.0, 0.0, 2.2]), atol=1e-8, rtol=0)
    torch.testing.assert_close(found.objective, (found.x**2).sum(-1) / 2 - (p * found.x).sum(-1), atol=1e-9, rtol=0)


def test_without_inequalities_it_is_a_linear_system() -> None:
    found = solve(
        QuadraticProgram(
            linear=tensor([1.0, 2.0]),
            quadratic=tensor([[2.0, 0.0], [0.0, 4.0]]),
            equality_matrix=tensor([[1.0, 1.0]]),
            equality_vector=tensor([[1.0], [-3.0]]),
        )
    )
    # 2 x1 + 1 = 4 x2 + 2 = -y and x1 + x2 = b.
    torch.testing.assert_close(found.x, tensor([[5 / 6, 1 / 6], [-11 / 6, -7 / 6]]), atol=1e-9, rtol=0)
    torch.testing.assert_close(found.equality_dual, tensor([[-8 / 3], [8 / 3]]), atol=1e-9, rtol=0)
    assert found.inequality_dual.shape == (2, 0)


def test_a_penalised_row_is_violated_where_that_is_cheaper() -> None:
    # x earns 2, and beyond 1 costs the price: 0.5 goes on to the bound, 3 stops at the row.
    found = solve(
        QuadraticProgram(
            linear=tensor([-2.0]),
            inequality_matrix=tensor([[1.0]]),
            inequality_bound=tensor([1.0]),
            upper=tensor([4.0]),
            penalty=tensor([[0.5], [3.0], [inf], [0.0]]),
        )
    )
    torch.testing.assert_close(found.x, tensor([[4.0], [1.0], [1.0], [4.0]]), atol=1e-7, rtol=0)
    torch.testing.assert_close(found.inequality_dual, tensor([[0.5], [2.0], [2.0], [0.0]]), atol=1e-7, rtol=0)
    torch.testing.assert_close(found.objective, tensor([-6.5, -2.0, -2.0, -8.0]), atol=1e-7, rtol=0)


@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_linear_programs_agree_with_highs(seed: int, batched: bool, soft: bool) -> None:
    program = random_program(seed, batched=batched, quadratic=False, soft=soft)
    found = require_optimal(solve(program))
    assert float(found.residual.max()) <= 1e-9
    for k in range(2):
        answer = highs(instance(program, k))
        assert answer.status == 0
        assert float(found.objective[k]) == pytest.approx(answer.fun, abs=1e-6, rel=1e-6)
    assert float(lagrangian_gap(program, found).max()) < 1e-6


@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_quadratic_programs_satisfy_the_optimality_conditions(seed: int, batched: bool, soft: bool) -> None:
    program = random_program(seed, batched=batched, quadratic=True, soft=soft)
    assert float(lagrangian_gap(program, require_optimal(solve(program))).max()) < 1e-6


@given(st.integers(0, 10**6))
def test_units_do_not_matter(seed: int) -> None:
    program = random_program(seed, batched=False, quadratic=False)
    rng = np.random.default_rng(seed)
    money, rows = 10.0 ** rng.integers(-2, 5), tensor(10.0 ** rng.integers(-4, 5, size=program.size[2]))
    assert program.inequality_matrix is not None and program.inequality_bound is not None
    other = replace(
        program,
        linear=program.linear * money,
        inequality_matrix=program.inequality_matrix * rows[:, None],
        inequality_bound=program.inequality_bound * rows,
    )
    one, two = require_optimal(solve(program)), require_optimal(solve(other))
    torch.testing.assert_close(one.objective * money, two.objective, atol=1e-6 * money, rtol=1e-6)


def test_bounds_that_stand_for_infinity_are_harmless() -> None:
    program = random_program(7, batched=False, quadratic=True)
    far = [tensor(b).nan_to_num(posinf=1e9, neginf=-1e9) for b in (program.lower, program.upper)]
    assert program.lower is not None and program.upper is not None
    assert program.lower.isinf().any() or program.upper.isinf().any()
    one, two = require_optimal(solve(program)), require_optimal(solve(replace(program, lower=far[0], upper=far[1])))
    torch.testing.assert_close(one.x, two.x, atol=1e-6, rtol=1e-6)


@given(st.integers(0, 10**6), st.booleans())
def test_a_fixed_variable_is_data(seed: int, quadratic: bool) -> None:
    program = random_program(seed, batched=False, quadratic=quadratic)
    n = program.size[0]
    assume(n > 1 + program.size[1])
    free = require_optimal(solve(program))
    assert program.lower is not None and program.upper is not None
    first = torch.arange(n) == 0
    held = replace(program, lower=program.lower.where(~first, free.x), upper=program.upper.where(~first, free.x))
    found = require_optimal(solve(held))
    assert torch.equal(found.x[:, 0], free.x[:, 0])
    torch.testing.assert_close(found.objective, free.objective, atol=1e-6, rtol=1e-6)
    assert float(lagrangian_gap(held, found).max()) < 1e-6


# --- batches -----------------------------------------------------------------------------------


def test_a_batch_is_its_instances_one_by_one() -> None:
    for batched in (False, True):
        program = random_program(3, batched=batched, quadratic=True, soft=True)
        together = solve(program)
        for k in range(2):
            alone = solve(instance(program, k))
            assert alone.x.shape == together.x.shape[1:] and alone.status.shape == ()
            for name in ("x", "equality_dual", "inequality_dual", "lower_dual", "upper_dual", "objective"):
                torch.testing.assert_close(getattr(alone, name), getattr(together, name)[k], atol=1e-9, rtol=1e-9)


def test_batch_dimensions_broadcast() -> None:
    linear, vector = tensor([-0.8, -0.3, 0.2, 0.7]).view(4, 1, 1), tensor([1.0, 2.0, 3.0])[:, None]
    one = torch.ones(1, 1, dtype=f64)
    found = solve(
        QuadraticProgram(
            linear=linear, quadratic=one, inequality_matrix=one, inequality_bound=vector - 2, upper=0.3 * vector
        )
    )
    assert found.x.shape == (4, 3, 1) and found.objective.shape == found.status.shape == (4, 3)
    expected = torch.minimum(torch.minimum(-linear, vector - 2), 0.3 * vector)
    torch.testing.assert_close(found.x, expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize("fault", ["infeasible", "crossed", "unbounded"])
def test_a_bad_instance_has_its_status_and_leaves_the_others_alone(fault: str) -> None:
    def program(bad: bool) -> QuadraticProgram:
        level, upper, cost = (
            torch.linspace(1, 4, 5, dtype=f64)[:, None],
            torch.full((5, 3), 5.0, dtype=f64),
            [1.0, 2, -1],
        )
        lower, linear = torch.zeros(5, 3, dtype=f64), tensor(cost).repeat(5, 1)
        if bad and fault == "infeasible":
            level[2] = 16.0
        if bad and fault == "crossed":
            lower[2, 1], upper[2, 1] = 3.0, 2.0
        if bad and fault == "unbounded":
            upper[2, 2] = inf
        rows = tensor([[0.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
        bound = torch.tensor([inf if fault == "unbounded" else 4.5, 1.0], dtype=f64)
        return QuadraticProgram(
            linear=linear,
            equality_matrix=tensor([[1.0, 1.0, 0.0 if fault == "unbounded" else 1.0]]),
            equality_vector=level,
            inequality_matrix=rows,
            inequality_bound=bound,
            lower=lower,
            upper=upper,
        )

    good, mixed = solve(program(bad=False)), solve(program(bad=True))
    expected = torch.zeros(5, dtype=torch.long)
    assert torch.equal(good.status, expected)
    expected[2] = Status.UNBOUNDED if fault == "unbounded" else Status.INFEASIBLE
    assert torch.equal(mixed.status, expected) and torch.equal(mixed.optimal, expected == 0)
    others = torch.arange(5) != 2
    torch.testing.assert_close(mixed.x[others], good.x[others], atol=1e-9, rtol=0)
    with pytest.raises(SolverError, match=rf"instance \[2\] of batch \[5\]: {Status(int(expected[2])).name.lower()}"):
        require_optimal(mixed)


@given(st.integers(0, 10**6))
def test_statuses_are_those_of_highs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 6)), int(rng.integers(1, 9))
    rows, bound = np.round(2 * rng.normal(size=(m, n))), np.round(2 * rng.normal(size=(4, m)))
    lower = np.where(rng.random((4, n)) < 0.5, -inf, -3.0)
    program = QuadraticProgram(
        linear=tensor(np.round(2 * rng.normal(size=(4, n)))),
        equality_matrix=torch.zeros(0, n, dtype=f64),
        equality_vector=torch.zeros(0, dtype=f64),
        inequality_matrix=tensor(rows),
        inequality_bound=tensor(bound),
        lower=tensor(lower),
        upper=torch.full((n,), inf, dtype=f64),
    )
    found = solve(program)
    for k in range(4):
        answer = highs(instance(program, k))
        # A program can be infeasible and, were it not, unbounded: HiGHS names either, and so may we.
        if answer.status in WANTED and not (answer.status == 2 and found.status[k] == Status.UNBOUNDED):
            assert WANTED[answer.status] == int(found.status[k])


def test_a_search_cut_short_says_so() -> None:
    program = random_program(5, batched=False, quadratic=True)
    found = solve(program, max_iterations=1)
    assert (found.status == Status.NOT_CONVERGED).all() and (found.residual > 1e-9).all()
    assert torch.equal(found.iterations, torch.ones(2, dtype=torch.long))
    with pytest.raises(SolverError, match=r"instance \[0\].*not converged after 1 iterations.*max_iterations"):
        require_optimal(found)
    with pytest.raises(SolverError, match="its only instance"):
        require_optimal(solve(instance(program, 0), max_iterations=1))


@pytest.mark.parametrize("batch", [(0,), (2, 0), (0, 3)])
def test_an_empty_batch_has_an_empty_solution(batch: tuple[int, ...]) -> None:
    linear = torch.zeros(*batch, 3, requires_grad=True)
    found = solve(QuadraticProgram(linear=linear, lower=torch.zeros(3)))
    assert found.x.shape == (*batch, 3) and found.status.shape == batch
    found.x.sum().backward()
    assert linear.grad is not None and linear.grad.shape == linear.shape


def test_float32_in_is_float32_out_and_solved_in_float64() -> None:
    program = random_program(1, batched=False, quadratic=True)
    single = QuadraticProgram(**{name: t.float() for name, t in present(program)})
    double = QuadraticProgram(**{name: t.double() for name, t in present(single)})
    assert solve(single).x.dtype == torch.float32
    assert torch.equal(solve(single).x, solve(double).x.float())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_the_cpu() -> None:
    program = random_program(3, batched=True, quadratic=True, soft=True)
    there = QuadraticProgram(**{name: t.cuda().requires_grad_() for name, t in present(program)})
    here = QuadraticProgram(**{name: t.clone().requires_grad_() for name, t in present(program)})
    results = []
    for p in (here, there):
        found = require_optimal(solve(p))
        found.x.square().sum().backward()
        results.append([found.x, found.inequality_dual, *(t.grad for _, t in present(p))])
    for one, two in zip(*results, strict=True):
        assert one is not None and two is not None and two.is_cuda
        torch.testing.assert_close(one, two.cpu(), atol=1e-6, rtol=1e-6)


# --- gradients ---------------------------------------------------------------------------------


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


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lower": torch.zeros(3)}, r"lower expects a shape that ends in \[2\].*got \[3\]"),
        ({"quadratic": torch.zeros(2, 3)}, r"quadratic expects a shape that ends in \[2, 2\]"),
        ({"quadratic": torch.zeros(2)}, "quadratic expects 2 dimensions or more, got 1"),
        ({"inequality_bound": torch.zeros(2)}, "both inequality_matrix and inequality_bound"),
        ({"equality_matrix": torch.ones(1, 2)}, "both equality_matrix and equality_vector"),
        ({"penalty": torch.ones(1)}, r"penalty expects a shape that ends in \[0\]"),
        ({"lower": torch.zeros(2, dtype=torch.long)}, r"lower expects a floating point tensor, got torch.int64"),
        ({"upper": [1.0, 2.0]}, "upper expects a floating point tensor, got list"),
        ({"lower": torch.tensor([0.0, float("nan")])}, r"lower is nan at \[1\]; expected a finite number or -inf"),
        ({"lower": torch.tensor([inf, 0.0])}, r"lower is inf at \[0\]"),
        ({"linear": torch.tensor([[0.0, 1.0], [0.0, inf]])}, r"linear is inf at \[1, 1\]; expected a finite number$"),
        ({"lower": torch.zeros(2, 2), "upper": torch.zeros(3, 2)}, r"do not broadcast:.*'lower': \(2,\)"),
        (
            {
                "inequality_matrix": torch.ones(1, 2),
                "inequality_bound": torch.ones(1),
                "penalty": torch.tensor([-1.0]),
            },
            r"penalty is -1.0 at \[0\].*not negative",
        ),
    ],
)
def test_a_program_that_is_none_is_refused_by_its_field(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ProgramError, match=message) as error:
        QuadraticProgram(**{"linear": torch.zeros(2), **fields})
    assert isinstance(error.value, DgpgError) and isinstance(error.value, ValueError)
