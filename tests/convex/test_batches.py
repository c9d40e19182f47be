"""Batches of programs: broadcasting, statuses, types and devices."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg.convex import QuadraticProgram, Status, require_optimal, solve
from dgpg.convex.program import present
from dgpg.errors import SolverError

from ..convex_programs import f64, highs, inf, instance, random_program, tensor

WANTED = {0: Status.OPTIMAL, 2: Status.INFEASIBLE, 3: Status.UNBOUNDED}
"""Our names of HiGHS' statuses."""


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
