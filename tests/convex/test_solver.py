"""Linear and quadratic programs: optima and duals, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from dgpg.convex import QuadraticProgram, require_optimal, solve
from dgpg.errors import DgpgError, ProgramError

from ..convex_programs import f64, highs, inf, instance, lagrangian_gap, random_program, tensor


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
