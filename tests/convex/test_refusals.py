"""Convex programs as differentiable functions: what is refused, and what is said."""

import sys
from typing import Any

import pytest
import torch

from dgpg.convex import ConvexLayer, require
from dgpg.errors import PluginError, ProgramError, SolverError

from ..convex_layers import LSQR, OURS, box, cp, f64, simplex

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module", params=[LSQR, OURS], ids=["clarabel", "ours"])
def boxed(request: pytest.FixtureRequest) -> ConvexLayer:
    return box(**request.param)


@pytest.mark.parametrize("gradient", [False, True])
def test_an_infeasible_instance_is_named_with_its_constraint(boxed: ConvexLayer, gradient: bool) -> None:
    low = torch.zeros(2, 3, 2, dtype=f64)
    low[1, 2] = 4.0  # more than the total
    q = torch.ones(2, dtype=f64, requires_grad=gradient)
    with pytest.raises(SolverError, match=r"instance \[1, 2\] of batch \[2, 3\]: ") as error:
        boxed(q, low, torch.tensor(5.0, dtype=f64))
    fault = str(error.value)
    if boxed.solver == "clarabel":
        assert "violated by" in fault and ("low" in fault or "total" in fault)
    else:
        assert "infeasible after" in fault and "no point satisfies" in fault


def test_a_single_infeasible_instance_is_refused(boxed: ConvexLayer) -> None:
    with pytest.raises(SolverError, match="its only instance"):
        boxed(torch.ones(2), torch.ones(2), torch.tensor(1.0))


def test_infeasible_by_an_attribute_of_a_variable() -> None:
    x, p = cp.Variable(2, bounds=[1, 2]), cp.Parameter(2)
    layer = ConvexLayer(cp.Problem(cp.Minimize(cp.sum(x)), [x <= p]), [p], [x])
    torch.testing.assert_close(layer(torch.full((2,), 3.0))[0], torch.ones(2), atol=1e-6, rtol=0)
    with pytest.raises(SolverError, match=r"1.* <= .* is violated"):
        layer(torch.full((2,), 0.5))  # the solver returns about 0, which x <= p allows


@pytest.mark.parametrize("settings", [LSQR, OURS], ids=["clarabel", "ours"])
@pytest.mark.parametrize("sense", ["Minimize", "Maximize"])
def test_an_unbounded_instance_is_refused(sense: str, settings: dict[str, Any]) -> None:
    x, p, cost = cp.Variable(2), cp.Parameter(2), cp.Parameter(2)
    layer = ConvexLayer(cp.Problem(getattr(cp, sense)(cost @ x), [x <= p, x[1] >= -1]), [p, cost], [x], **settings)
    sign = 1.0 if sense == "Maximize" else -1.0
    good = torch.tensor([1.0, 1.0]) * sign
    torch.testing.assert_close(layer(torch.ones(2), good)[0], torch.ones(2), atol=1e-6, rtol=0)
    with pytest.raises(
        SolverError, match=r"instance \[1\] of batch \[2\]: (twice the solution is better|unbounded after)"
    ):
        layer(torch.ones(2), torch.stack([good, -good]))


def test_a_solve_cut_short_is_refused() -> None:
    with pytest.raises(SolverError, match="not converged after 1 iterations"):
        simplex(50, solver="interior-point", solver_args={"max_iterations": 1})(torch.arange(50.0))
    with pytest.raises(SolverError, match=r"violated|not finite"):
        simplex(50, solver_args={"max_iter": 1})(torch.arange(50.0))


@pytest.mark.parametrize("settings", [LSQR, OURS], ids=["clarabel", "ours"])
def test_what_a_parameter_may_not_be_is_refused(settings: dict[str, Any]) -> None:
    x, p = cp.Variable(), cp.Parameter(nonneg=True, name="price")
    layer = ConvexLayer(cp.Problem(cp.Minimize(p * cp.square(x - 1)), [x >= 0]), [p], [x], **settings)
    with pytest.raises(SolverError, match=r"instance \[1\].*'price'.*nonnegative"):
        layer(torch.tensor([1.0, -1.0]))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused_by_its_parameter(boxed: ConvexLayer, value: float) -> None:
    low = torch.zeros(4, 2)
    low[3, 1] = value
    with pytest.raises(ValueError, match=rf"parameter 'low' is {value} at \(3, 1\)"):
        boxed(torch.ones(2), low, torch.tensor(1.0))


def test_wrong_shapes_types_and_numbers_of_values_are_refused(boxed: ConvexLayer) -> None:
    q, low, total = torch.ones(2), torch.zeros(2), torch.tensor(1.0)
    with pytest.raises(ValueError, match=r"'low' expects .* \(2,\), got torch.float32 of shape \(3,\)"):
        boxed(q, torch.zeros(3), total)
    with pytest.raises(ValueError, match=r"'low' expects .* got torch.int64"):
        boxed(q, torch.zeros(2, dtype=torch.long), total)
    with pytest.raises(ValueError, match="expected 3 tensors"):
        boxed(q, low)
    with pytest.raises(ValueError, match=r"do not broadcast: .*'low' \(2,\), 'total' \(3,\)"):
        boxed(q, torch.zeros(2, 2), torch.ones(3))


def test_a_problem_outside_dpp_is_refused_where_it_breaks() -> None:
    x, p, r = cp.Variable(2), cp.Parameter(name="p"), cp.Parameter(name="r")
    with pytest.raises(ValueError, match=r"DPP.*p [@*] r"):
        ConvexLayer(cp.Problem(cp.Minimize(cp.sum_squares(x)), [cp.sum(x) == p * r]), [p, r], [x])
    with pytest.raises(ValueError, match="DPP"):
        ConvexLayer(cp.Problem(cp.Maximize(cp.sum_squares(x)), [x <= p]), [p], [x])


def test_parameters_must_be_those_of_the_problem() -> None:
    x, p, r = cp.Variable(2), cp.Parameter(name="p"), cp.Parameter(name="r")
    problem = cp.Problem(cp.Minimize(cp.sum_squares(x)), [x >= p])
    with pytest.raises(ValueError, match=r"parameters are \['p'\], given were \['p', 'r'\]"):
        ConvexLayer(problem, [p, r], [x])
    with pytest.raises(ValueError, match="no parameter"):
        ConvexLayer(cp.Problem(cp.Minimize(cp.sum_squares(x)), [x >= 1]), [], [x])


def test_our_solver_refuses_what_is_no_quadratic_program() -> None:
    x, p = cp.Variable(2), cp.Parameter(2)
    problem = cp.Problem(cp.Minimize(cp.norm2(x - p) + cp.sum(cp.exp(x))), [x >= 0])
    with pytest.raises(ProgramError, match="the problem has exponential and second-order cones"):
        ConvexLayer(problem, [p], [x], **OURS)
    with pytest.raises(ValueError, match="unknown solver 'interior_point': did you mean 'interior-point'"):
        ConvexLayer(problem, [p], [x], solver="interior_point")  # type: ignore[arg-type]


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cvxpylayers.torch", None)
    with pytest.raises(PluginError, match=r"pip install 'dgpg\[convex\]'"):
        require("cvxpylayers.torch")
