"""Nodal prices: by hand on two buses, against HiGHS, cvxpy and differences; the potential is convex."""

import importlib
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from dgpg.domain import Context
from dgpg_power.config import Config
from dgpg_power.data import load_network
from dgpg_power.models.nodal import NodalPrice, nodal_price
from dgpg_power.models.potentials import OptimumDistance
from dgpg_power.programs.program import PRICED, pose

from ..made import TWO_BUSES, built, environment, random_actions


def visited(steps: int = 2, **values: Any) -> tuple[NodalPrice, list[tuple[Context, Tensor]]]:
    """The model, and contexts with the outputs of random actions in float64."""
    env, draw = environment(**values), torch.Generator().manual_seed(0)
    decision, found = env.reset(), []
    for _ in range(steps):
        step = env.step(random_actions(env, draw))
        found.append((decision.context, step.state.double()))
        decision = step.decision
    return NodalPrice(env.instance), found


def within(context: Context, seed: int = 0) -> Tensor:
    """Outputs strictly within their limits: at a limit, prices of outputs that stay are not unique."""
    share = torch.rand(context["low"].shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    low, high = context["low"].double(), context["high"].double()
    return (low + (0.05 + 0.9 * share) * (high - low)).unsqueeze(-1)


def slope(model: NodalPrice, state: Tensor, context: Context) -> Tensor:
    x = state.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model.potential(x, context).sum(), x)
    return gradient


@pytest.fixture
def two_buses(tmp_path: Path) -> NodalPrice:
    (tmp_path / "two.m").write_text(TWO_BUSES)
    prices = {"overload": 300.0, "imbalance": 1000.0}
    return nodal_price(Config.model_validate({"network": str(tmp_path / "two.m"), "prices": prices}))


def two_bus_context() -> Context:
    load, reach = torch.tensor([[0.0, 100.0]]), torch.tensor([[200.0, 200.0]])
    return {"load": load, "demand": torch.tensor([100.0]), "low": 0 * reach, "high": reach}


@pytest.mark.parametrize(
    ("outputs", "phi", "prices"),
    [
        # the optimum: the line full, 50 MW at 10 and 50 MW at 30 $/MWh, 2000 $ in all
        ((50.0, 50.0), 0.0, None),
        # 20 MW dear instead of cheap cost 20 x 20 $; to move them back would cost 2 x 100 a MWh
        ((30.0, 70.0), 400.0, (-20.0, 0.0)),
        # the line 10 MW over: 300 - 20 $ a MWh; to move 10 MW from bus 1 to bus 2 costs 20 + 2 x 100 a MWh
        ((60.0, 40.0), 10 * 200.0, (100.0, -100.0)),
        # 10 MW missing at 1000 $/MWh: bus 2 makes up for it at the premium, its cost is due anyway
        ((50.0, 40.0), 10 * 100.0, (None, -100.0)),
    ],
)
def test_two_buses_by_hand(
    two_buses: NodalPrice, outputs: tuple[float, float], phi: float, prices: tuple[float | None, float | None] | None
) -> None:
    state = torch.tensor(outputs).double().view(1, 2, 1)
    assert float(two_buses.potential(state, two_bus_context())) == pytest.approx(phi, rel=1e-5, abs=1e-2)
    if prices is None:
        return
    found = slope(two_buses, state, two_bus_context())[0, :, 0].tolist()
    if prices[1] == 0.0:  # demand is met: prices of energy have a difference, their level is open
        assert found[0] - found[1] == pytest.approx(prices[0], abs=1e-2)
        return
    for price, wanted in zip(found, prices, strict=True):
        assert wanted is None or price == pytest.approx(wanted, abs=1e-2)


@pytest.mark.parametrize("name", ["case9", "case24-tight", "case30pwl"])
def test_the_potential_is_zero_at_the_optimum_and_not_negative(name: str) -> None:
    model, found = visited(network=name)
    best = OptimumDistance(built(network=name))
    for context, state in found:
        phi = model.potential(state, context)
        assert (phi > 1.0).all()  # random actions are far off
        at_best = model.potential(best.reference(context).double(), context)
        assert (at_best >= 0).all() and (at_best < 1e-4 * phi.clamp(min=100)).all()


@pytest.mark.parametrize("name", ["case9", "case24-tight"])
def test_the_potential_is_convex_and_its_slope_bounded_by_the_premium(name: str) -> None:
    model, found = visited(network=name, models={"premium": 40.0})
    context, one = found[0]
    other = one.flip(0)  # outputs of another moment: in this context they are just outputs
    ends = [model.potential(x, context) for x in (one, other)]
    for share in (0.25, 0.5, 0.75):
        between = model.potential(one + share * (other - one), context)
        assert (between <= (1 - share) * ends[0] + share * ends[1] + 1e-3).all()
    gradient = slope(model, one, context)
    assert gradient.abs().max() <= 40.0 + 1e-6 and gradient.abs().max() > 1.0


@pytest.mark.parametrize("name", ["case9", "case24-tight", "case30pwl", "case39"])
def test_the_gradient_agrees_with_differences(name: str) -> None:
    model, found = visited(network=name)
    draw = torch.Generator().manual_seed(1)
    for context, state in found:
        gradient = slope(model, state, context)
        for _ in range(4):
            along = torch.randn(state.shape, generator=draw, dtype=torch.float64)
            ends = [model.potential(state + h * along, context) for h in (-0.01, 0.0, 0.01)]
            back, ahead = (ends[1] - ends[0]) / 0.01, (ends[2] - ends[1]) / 0.01
            expected = (gradient * along).sum((-2, -1))
            room = 1e-3 * model.premium * along.abs().sum((-2, -1))  # a kink lies between its one-sided slopes
            assert (expected >= torch.minimum(back, ahead) - room).all()
            assert (expected <= torch.maximum(back, ahead) + room).all()


def linear_program(model: NodalPrice, context: Context, output: Tensor) -> tuple[float, np.ndarray[Any, Any]]:
    """V and dV/dp by HiGHS for one instance of a grid whose costs are straight pieces, from outputs and moves."""
    grid = model.grids.like(output)
    network = model.grids.instance.network
    assert not network.cost_quadratic.any()
    n, lines = network.num_units, network.num_lines
    units, load = grid.unit_factors.numpy(), context["load"].double().numpy()[0]
    base = grid.bus_factors.numpy() @ load
    # p', cost t, up, down, over, missing, excess
    size = [n, n, n, n, lines, 1, 1]
    at = np.cumsum([0, *size])
    price = np.concatenate(
        [np.zeros(n), np.ones(n), np.full(2 * n, model.premium), np.full(lines, grid.tariff.overload),
         np.full(2, grid.tariff.imbalance)]
    )  # fmt: skip
    rows, right = [], []
    steps = np.concatenate([np.zeros((n, 1)), network.kink_slope], 1).cumsum(1)
    edges = np.concatenate([np.zeros((n, 1)), network.kink], 1)
    for k in range(edges.shape[1]):  # t >= value at the kink + slope (p' - kink)
        row = np.zeros((n, at[-1]))
        value = np.diag(network.cost(np.repeat(edges[:, k : k + 1].T, n, 0)))
        row[:, :n], row[:, n : 2 * n] = np.diag(network.cost_linear + steps[:, k]), -np.eye(n)
        rows.append(row)
        right.append((network.cost_linear + steps[:, k]) * edges[:, k] - value)
    for sign in (1, -1):
        row = np.zeros((lines, at[-1]))
        row[:, :n], row[:, at[4] : at[5]] = sign * units, -np.eye(lines)
        rows.append(row)
        right.append(network.flow_max + sign * base)
    balance, moves = np.zeros((1, at[-1])), np.zeros((n, at[-1]))
    balance[0, :n], balance[0, at[5]], balance[0, at[6]] = 1, 1, -1
    moves[:, :n], moves[:, 2 * n : 3 * n], moves[:, 3 * n : 4 * n] = np.eye(n), -np.eye(n), np.eye(n)
    low, high = (context[name].numpy()[0] for name in ("low", "high"))
    bounds = [*zip(low, high, strict=True), *[(None, None)] * n, *[(0, None)] * (at[-1] - 2 * n)]
    found = linprog(
        price, np.concatenate(rows), np.concatenate(right), np.concatenate([balance, moves]),
        np.concatenate([context["demand"].numpy(), output.numpy()]), bounds,
    )  # fmt: skip
    assert found.status == 0, found.message
    return float(found.fun), np.asarray(found.eqlin.marginals[1:])


def test_values_and_prices_are_those_of_a_linear_program() -> None:
    model, found = visited(4, network="case30pwl")
    for context, _ in found:
        state = within(context)
        for b in range(len(state)):
            alone = {k: x[b : b + 1] for k, x in context.items()}
            value, prices = linear_program(model, alone, state[b, :, 0])
            least = model.least(*(alone[k] for k in ("load", "demand", "low", "high")))
            start = model.grids.instance.network.cost(alone["low"].double().numpy()[0]).sum()
            phi = float(model.potential(state[b : b + 1], alone))
            assert phi == pytest.approx(value - start - float(least), rel=1e-4, abs=0.05)  # pose counts from low
            gap = np.abs(slope(model, state[b : b + 1], alone)[0, :, 0].numpy() - prices)
            assert (gap < 1e-2 * model.premium).all()


def test_prices_are_those_of_cvxpy_where_costs_are_curved() -> None:
    cp = pytest.importorskip("cvxpy", reason="cvxpy (extra convex) is not installed")
    model, found = visited(1, network="case24-tight")
    context, _ = found[0]
    state = within(context)
    problem = pose(model.grids.like(state), *(context[k] for k in ("load", "demand", "low", "high")), None, PRICED)
    program = problem.program
    gradient = slope(model, state, context)[..., 0]
    for b in range(len(state)):
        x, start = cp.Variable(program.linear.shape[-1]), (state[b, :, 0] - problem.low[b]).numpy()
        sums = np.zeros((len(start), x.size))
        sums[problem.owner.numpy(), np.arange(len(problem.owner))] = 1
        move = cp.Variable(len(start))
        rows, bound = program.inequality_matrix.numpy(), program.inequality_bound[b].numpy()  # type: ignore[union-attr]
        cost = program.linear[b].numpy() @ x + 0.5 * cp.quad_form(x, cp.psd_wrap(program.quadratic.numpy()))  # type: ignore[union-attr]
        cost = cost + program.penalty.numpy() @ cp.pos(rows @ x - bound) + model.premium * cp.norm1(move)  # type: ignore[union-attr]
        total = program.equality_matrix.numpy() @ x == program.equality_vector[b].numpy()  # type: ignore[union-attr,index]
        away = sums @ x - move == start
        cp.Problem(
            cp.Minimize(cost), [total, away, x >= 0, x <= program.upper[b].numpy()]  # type: ignore[index]
        ).solve(solver="CLARABEL")  # fmt: skip
        assert np.abs(gradient[b].numpy() + away.dual_value).max() < 1e-2 * model.premium


def test_without_a_premium_worth_the_name_there_is_no_guidance() -> None:
    steep, found = visited(1, network="case24-tight")
    flat, _ = visited(1, network="case24-tight", models={"premium": 1e-3})
    context, state = found[0]
    assert slope(flat, state, context).abs().max() < 2e-3
    assert slope(steep, state, context).abs().max() > 10


def test_the_least_cost_of_a_context_is_solved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, found = visited(1)
    context, state = found[0]
    first = model.potential(state, context)
    monkeypatch.setattr(model, "least", lambda *_: pytest.fail("solved again"))
    assert torch.equal(model.potential(state, context), first)


def test_entry_points_lead_to_functions_of_a_configuration() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    points = tomllib.loads(text)["project"]["entry-points"]["dgpg.analytical_models"]
    assert {"power.cost", "power.dcopf", "power.dcopf-cvx", "power.nodal-price"} <= set(points)
    for target in points.values():
        module, _, name = target.partition(":")
        assert callable(getattr(importlib.import_module(module), name)), target


def test_networks_used_here_are_what_the_tests_need() -> None:
    assert not load_network("case30pwl").cost_quadratic.any() and load_network("case24_ieee_rts").cost_quadratic.any()
