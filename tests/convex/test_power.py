"""`dgpg.convex` at the size and in the units of real programs: DC optimal power flow in MW and $/h.

Lines in series through a bus without load carry the same flow, so their duals are not unique, only their sum is, and
the solution has a kink where the bus gets load. Prices of units are compared, and loads moved where there are some.
"""

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from dgpg.convex import ConvexLayer, QuadraticProgram, Solution, require_optimal, solve

f64 = torch.float64
NAMES = ("case14_ieee__api", "case30_ieee__api", "case57_ieee__api", "case118_ieee__api")


@pytest.fixture(params=NAMES)
def grid(request: pytest.FixtureRequest, dcopf: ModuleType) -> Any:
    """Linear costs, congested."""
    if not dcopf.FOLDER.is_dir():
        pytest.skip(f"no PGLib-OPF files in {dcopf.FOLDER} (set DGPG_DATA)")
    return dcopf.pglib(request.param)


@pytest.fixture(params=["case14", "case30", "case57", "case118"])
def smooth(request: pytest.FixtureRequest, dcopf: ModuleType) -> Any:
    """Quadratic costs; lines of half the flow of an uncongested optimum and more, so that some bind."""
    pytest.importorskip("pypower", reason="PYPOWER is not installed")
    case = dcopf.pypower(request.param)
    free = require_optimal(solve(case.program(case.demand)))
    flow = (case.ptdf @ (case.units @ free.x - case.demand)).abs()
    tight = torch.where(flow >= flow.sort().values[-3], 0.9 * flow, torch.inf)
    return replace(case, limit=torch.minimum(case.limit, tight))


def highs(program: QuadraticProgram) -> Any:
    """scipy's answer to one instance, with a slack variable for each soft row."""
    assert program.inequality_matrix is not None and program.equality_matrix is not None
    m = len(program.inequality_matrix)
    cost, rows = program.linear.numpy(), program.inequality_matrix
    equality, bounds = program.equality_matrix, torch.stack([program.lower, program.upper], 1)  # type: ignore[list-item]
    if program.penalty is not None:
        cost = torch.cat([program.linear, program.penalty]).numpy()
        rows = torch.cat([rows, -torch.eye(m, dtype=f64)], 1)
        equality = torch.nn.functional.pad(equality, (0, m))
        bounds = torch.cat([bounds, torch.tensor([[0.0, torch.inf]], dtype=f64).expand(m, 2)])
    assert program.inequality_bound is not None and program.equality_vector is not None
    vectors = program.inequality_bound.numpy(), program.equality_vector.numpy()
    return linprog(cost, rows.numpy(), vectors[0], equality.numpy(), vectors[1], bounds.numpy(), method="highs")


def differences(function: Any, value: Tensor, along: Tensor, step: float) -> float:
    """Central difference of a function along a direction."""
    with torch.no_grad():
        return float(function(value + step * along) - function(value - step * along)) / (2 * step)


def test_optima_are_the_published_ones(dcopf: ModuleType) -> None:
    if not dcopf.FOLDER.is_dir():
        pytest.skip(f"no PGLib-OPF files in {dcopf.FOLDER} (set DGPG_DATA)")
    known = {name: cost for name, cost in dcopf.published().items() if (dcopf.FOLDER / f"pglib_opf_{name}.m").exists()}
    assert {n for n in NAMES} | {n.removesuffix("__api") for n in NAMES} <= set(known)
    for name, cost in known.items():
        case = dcopf.pglib(name)
        found = require_optimal(solve(case.program(case.demand)))
        assert float(found.objective) + case.constant == pytest.approx(cost, rel=5e-5)  # five digits are published


@pytest.mark.parametrize("penalty", [None, 500.0])
def test_costs_and_prices_are_those_of_highs(grid: Any, penalty: float | None) -> None:
    demands, shift = grid.demands(4), torch.cat([grid.ptdf, -grid.ptdf]) @ grid.units
    found = require_optimal(solve(grid.program(demands, penalty)))
    for k in range(4):
        answer = highs(grid.program(demands[k], penalty))
        assert float(found.objective[k]) == pytest.approx(answer.fun, rel=1e-6)
        pairs = (
            (-found.equality_dual[k], answer.eqlin.marginals),
            (-found.inequality_dual[k] @ shift, answer.ineqlin.marginals @ shift.numpy()),
            (found.lower_dual[k], answer.lower.marginals[: len(grid.pmin)]),
            (-found.upper_dual[k], answer.upper.marginals[: len(grid.pmin)]),
        )
        for ours, theirs in pairs:
            torch.testing.assert_close(ours, torch.as_tensor(theirs), atol=1e-4, rtol=1e-6)


def test_costs_and_prices_are_those_of_clarabel(smooth: Any) -> None:
    cp: Any = pytest.importorskip("cvxpy", reason="cvxpy (extra 'convex') is not installed")
    program = smooth.program(smooth.demand)
    found = require_optimal(solve(program))
    assert (found.inequality_dual > 1e-3).any()
    x = cp.Variable(len(smooth.pmin))
    rows = program.inequality_bound.isfinite().numpy()
    balance = program.equality_matrix.numpy() @ x == program.equality_vector.numpy()
    lines = program.inequality_matrix.numpy()[rows] @ x <= program.inequality_bound.numpy()[rows]
    goal = program.linear.numpy() @ x + cp.sum_squares(cp.multiply(smooth.square.sqrt().numpy(), x))
    problem = cp.Problem(cp.Minimize(goal), [balance, lines, x >= smooth.pmin.numpy(), x <= smooth.pmax.numpy()])
    tight = dict.fromkeys(("tol_feas", "tol_gap_abs", "tol_gap_rel"), 1e-10)
    assert float(found.objective) == pytest.approx(problem.solve(solver="CLARABEL", **tight), rel=1e-6)
    price = program.inequality_matrix.mT @ found.inequality_dual
    expected = program.inequality_matrix[torch.from_numpy(rows)].mT @ torch.from_numpy(lines.dual_value)
    torch.testing.assert_close(price, expected, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(found.equality_dual, torch.from_numpy(balance.dual_value), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("penalty", [None, 500.0])
def test_gradients_of_linear_costs_agree_with_differences(grid: Any, penalty: float | None) -> None:
    seeded = torch.Generator().manual_seed(0)
    demand = grid.demands(3).requires_grad_()
    weight, along = (torch.randn(shape, generator=seeded, dtype=f64) for shape in (grid.pmin.shape, demand.shape))
    along *= grid.demand > 0

    def theirs(demands: Tensor) -> Tensor:
        """Differences of HiGHS' vertices are exact to rounding errors; ours are off by the tolerance over the step."""
        answers = [highs(grid.program(d, penalty)).x[: len(weight)] for d in demands]
        return torch.stack([torch.from_numpy(x) @ weight for x in answers]).sum()

    ours = (require_optimal(solve(grid.program(demand, penalty))).x * weight).sum()
    (gradient,) = torch.autograd.grad(ours, demand)
    difference = differences(theirs, demand.detach(), along, 1e-3)
    assert float((gradient * along).sum()) == pytest.approx(difference, rel=1e-5, abs=1e-5)


def test_gradients_of_quadratic_costs_agree_with_differences(smooth: Any) -> None:
    seeded = torch.Generator().manual_seed(0)
    weights = [torch.randn(n, generator=seeded, dtype=f64) for n in (len(smooth.pmin), 1, len(smooth.pmin))]
    demand, linear, square = (t.clone().requires_grad_() for t in (smooth.demand, smooth.linear, smooth.square))

    def value(d: Tensor, c1: Tensor, c2: Tensor) -> Tensor:
        program = smooth.program(d)
        moved = QuadraticProgram(**{**vars(program), "linear": c1, "quadratic": torch.diag(2 * c2)})
        found: Solution = require_optimal(solve(moved, tolerance=1e-10))
        parts = (found.x, found.equality_dual, program.inequality_matrix.mT @ found.inequality_dual)
        return sum((part * weight).sum() for part, weight in zip(parts, weights, strict=True))  # type: ignore[return-value]

    inputs = (demand, linear, square)
    gradients = torch.autograd.grad(value(*inputs), inputs)
    for k, scale in enumerate((1e-3, 1e-4, 1e-7)):
        along = torch.randn(inputs[k].shape, generator=seeded, dtype=f64) * (inputs[k] != 0)

        def moved(v: Tensor, k: int = k) -> Tensor:
            return value(*(v if j == k else other for j, other in enumerate(inputs)))

        difference = differences(moved, inputs[k], along, scale)
        assert float((gradients[k] * along).sum()) == pytest.approx(difference, rel=1e-4, abs=1e-5)


def test_the_layer_with_our_solver_agrees_with_clarabel_and_with_differences(grid: Any) -> None:
    cp: Any = pytest.importorskip("cvxpy", reason="cvxpy (extra 'convex') is not installed")
    pytest.importorskip("cvxpylayers", reason="cvxpylayers (extra 'convex') is not installed")
    x, load, total = cp.Variable(len(grid.pmin)), cp.Parameter(len(grid.limit)), cp.Parameter()
    shift, limit = (grid.ptdf @ grid.units).numpy(), grid.limit.numpy()
    balance = cp.sum(x) == total
    constraints = [balance, cp.abs(shift @ x - load) <= limit, x >= grid.pmin.numpy(), x <= grid.pmax.numpy()]
    problem = cp.Problem(cp.Minimize(grid.linear.numpy() @ x), constraints)
    wanted = [x, balance.dual_variables[0]]
    ours = ConvexLayer(problem, [load, total], wanted, solver="interior-point")
    theirs = ConvexLayer(problem, [load, total], wanted, derivative="dense")
    demand, weight = grid.demands(3), torch.linspace(-1, 1, len(grid.pmin), dtype=f64)

    def value(d: Tensor) -> Tensor:
        return (ours(d @ grid.ptdf.mT, d.sum(-1))[0] * weight).sum()

    with torch.no_grad():
        both = [layer(demand @ grid.ptdf.mT, demand.sum(-1)) for layer in (ours, theirs)]
    torch.testing.assert_close(both[0][0], both[1][0], atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(both[0][1], both[1][1], atol=1e-4, rtol=1e-5)
    leaf, seeded = demand.clone().requires_grad_(), torch.Generator().manual_seed(0)
    along = torch.randn(demand.shape, dtype=f64, generator=seeded) * (grid.demand > 0)
    (gradient,) = torch.autograd.grad(value(leaf), leaf)
    assert float((gradient * along).sum()) == pytest.approx(differences(value, demand, along, 1e-3), rel=1e-5, abs=1e-5)
