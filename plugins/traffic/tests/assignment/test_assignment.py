"""Assignment on given routes: by hand, against SciPy's SLSQP, and its properties on a grid."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from dgpg.errors import DataError
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM, USER_EQUILIBRIUM, Assignment, Objective, assign
from dgpg_traffic.assignment.routes import generate
from dgpg_traffic.data import load_network
from dgpg_traffic.network.bpr import Bpr
from dgpg_traffic.network.incidence import Incidence, Routes
from dgpg_traffic.network.network import Network

from ..made import made

DIAMOND = Routes(np.array([[[0, 2], [1, 3]], [[4, -1], [-1, -1]]]))
BOTH = pytest.mark.parametrize("objective", [USER_EQUILIBRIUM, SYSTEM_OPTIMUM], ids=lambda objective: objective.name)


def _solved(network: Network, demand: list[list[float]], objective: Objective, **settings: object) -> Assignment:
    incidence = Incidence(DIAMOND, network.num_links)
    tensor = torch.tensor(demand, dtype=torch.float64)
    return assign(Bpr.of(network), incidence, tensor, objective, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def grid() -> tuple[Bpr, Incidence, torch.Tensor]:
    """Links, routes and demand `[1, N]` of the grid."""
    network = load_network("grid")
    return (
        Bpr.of(network),
        Incidence(generate(network), network.num_links),
        torch.tensor(np.array(network.demand))[None],
    )


def test_pigous_roads() -> None:
    # A road of time 1 beside one of time (1 + x) / 2: all that differ from 1 in equilibrium, half of it at best.
    pigou = made(free_time=[1, 0.5, 0, 0, 1], capacity=[1] * 5, b=[0, 1, 0, 0, 0], power=[1] * 5)
    selfish = _solved(pigou, [[2.0, 0.0], [0.5, 1.0]], USER_EQUILIBRIUM, tolerance=1e-12)
    np.testing.assert_allclose(selfish.splits[:, 0], [[0.5, 0.5], [0.0, 1.0]], atol=1e-9)
    best = _solved(pigou, [[2.0, 0.0], [0.5, 1.0]], SYSTEM_OPTIMUM, tolerance=1e-12)
    np.testing.assert_allclose(best.splits[:, 0], [[0.75, 0.25], [0.0, 1.0]], atol=1e-9)
    np.testing.assert_allclose(best.flow, [[1.5, 0.5, 1.5, 0.5, 0], [0, 0.5, 0, 0.5, 1]], atol=1e-9)


@BOTH
@given(demand=st.lists(st.tuples(st.floats(0.5, 80), st.floats(0.5, 80)), min_size=1, max_size=3))
def test_no_split_is_better(objective: Objective, demand: list[tuple[float, float]]) -> None:
    links, incidence = Bpr.of(made()), Incidence(DIAMOND, 5)
    found = assign(links, incidence, torch.tensor(demand, dtype=torch.float64), objective, tolerance=1e-9)

    def value(share: np.ndarray, row: tuple[float, float]) -> float:
        flow = torch.tensor([[row[0] * share[0], row[0] * (1 - share[0])], [row[1], 0.0]], dtype=torch.float64)
        return float(objective.value(links, incidence.flow(flow)))

    for row, flow in zip(demand, found.flow, strict=True):
        best = minimize(value, [0.5], args=(row,), bounds=[(0, 1)], method="SLSQP", options={"ftol": 1e-14})
        assert float(objective.value(links, flow)) == pytest.approx(best.fun, rel=1e-7)


@BOTH
def test_used_routes_cost_the_same_and_the_gap_says_so(
    grid: tuple[Bpr, Incidence, torch.Tensor], objective: Objective
) -> None:
    links, incidence, demand = grid
    found = assign(links, incidence, demand, objective, tolerance=1e-8)
    exists, splits = incidence.exists.numpy(), found.splits[0].numpy()
    assert (splits >= 0).all() and not splits[~exists].any()
    np.testing.assert_allclose(splits.sum(-1), 1.0, rtol=1e-12)
    flows = splits * demand[0, :, None].numpy()
    price = objective.price(links, found.flow)[0].numpy()
    cost, flow = np.full(exists.shape, np.inf), np.zeros(len(price))
    for n, k in np.argwhere(exists):
        used = incidence.routes.links[n, k][incidence.routes.links[n, k] >= 0]
        cost[n, k] = price[used].sum()
        flow[used] += flows[n, k]
    np.testing.assert_allclose(found.flow[0], flow, rtol=1e-9, atol=1e-9)
    least = (demand[0].numpy() * cost.min(-1)).sum()
    assert found.gap.item() == pytest.approx(1 - least / (price @ flow), abs=1e-12) and found.gap.item() <= 1e-8
    over = np.where(splits > 1e-3, cost / cost.min(-1, keepdims=True) - 1, 0.0)
    assert over.max() < 1e-4


@BOTH
@given(seed=st.integers(0, 2**31), spread=st.floats(0.0, 1.0))
def test_any_demand_converges(
    grid: tuple[Bpr, Incidence, torch.Tensor], objective: Objective, seed: int, spread: float
) -> None:
    links, incidence, demand = grid
    noise = torch.randn(2, demand.shape[1], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = assign(links, incidence, demand * (spread * noise).exp(), objective, tolerance=1e-6, max_steps=300)
    assert (found.gap <= 1e-6).all()


@BOTH
def test_a_batch_is_its_instances(grid: tuple[Bpr, Incidence, torch.Tensor], objective: Objective) -> None:
    links, incidence, demand = grid
    level = torch.tensor([[1.2], [0.6], [0.9]], dtype=torch.float64)
    cut = torch.ones(3, links.capacity.shape[0], dtype=torch.float64)
    cut[1, :10] = 0.6  # an incident in one instance
    links = Bpr(links.free_time, links.capacity * cut, links.b, links.power)
    together = assign(links, incidence, demand * level, objective, tolerance=1e-9)
    for row in range(3):
        own = Bpr(links.free_time, links.capacity[row], links.b, links.power)
        alone = assign(own, incidence, demand * level[row], objective, tolerance=1e-9)
        expected = objective.value(own, alone.flow[0])
        torch.testing.assert_close(objective.value(own, together.flow[row]), expected, rtol=1e-9, atol=0.0)


def test_a_start_saves_steps(grid: tuple[Bpr, Incidence, torch.Tensor]) -> None:
    links, incidence, demand = grid
    cold = assign(links, incidence, demand, SYSTEM_OPTIMUM, tolerance=1e-6)
    again = assign(links, incidence, demand, SYSTEM_OPTIMUM, tolerance=1e-6, start=cold.splits)
    near = assign(links, incidence, demand * 1.01, SYSTEM_OPTIMUM, tolerance=1e-6, start=cold.splits)
    assert again.steps == 0 < near.steps < cold.steps
    torch.testing.assert_close(again.splits, cold.splits)
    uniform = incidence.exists / incidence.exists.sum(-1, keepdim=True)
    far = assign(links, incidence, demand, SYSTEM_OPTIMUM, tolerance=1e-6, start=uniform.double()[None])
    assert far.gap <= 1e-6


def test_the_gap_is_told_where_steps_run_out(grid: tuple[Bpr, Incidence, torch.Tensor]) -> None:
    links, incidence, demand = grid
    found = assign(links, incidence, demand, SYSTEM_OPTIMUM, tolerance=1e-9, max_steps=1)
    assert found.steps == 1 and 1e-9 < found.gap < 1


def test_pairs_and_instances_without_demand() -> None:
    found = _solved(made(), [[25.0, 0.0], [0.0, 0.0]], SYSTEM_OPTIMUM)
    assert found.splits[0, 1].tolist() == [1, 0] and found.splits[1].tolist() == [[0.5, 0.5], [1, 0]]
    assert not found.flow[1].any() and found.gap[1] == 0


def test_pairs_without_a_choice() -> None:
    incidence = Incidence(Routes(DIAMOND.links[:, :1]), 5)
    found = assign(Bpr.of(made()), incidence, torch.tensor([[25.0, 5.0]]).double(), SYSTEM_OPTIMUM)
    assert found.splits.tolist() == [[[1], [1]]] and found.flow.tolist() == [[25, 0, 25, 0, 5]]
    assert (found.gap.tolist(), found.steps) == ([0], 0)


def test_roads_of_constant_time() -> None:
    found = _solved(
        made(b=[0] * 5), [[25.0, 5.0]], USER_EQUILIBRIUM, start=torch.tensor([[[0.0, 1.0], [1, 0]]]).double()
    )
    np.testing.assert_allclose(found.splits[0, 0], [1, 0], atol=1e-4)
    assert found.gap <= 1e-6


@pytest.mark.parametrize(
    ("demand", "start", "message"),
    [
        ([[1.0]], None, r"demand has the shape \(1, 1\), expected \(instances, 2\)"),
        ([[1.0, -1.0]], None, r"demand holds a number that is negative or not finite"),
        ([[1.0, float("nan")]], None, r"demand holds a number that is negative or not finite"),
        ([[1.0, 1.0]], [[1.0, 0.0]], r"start has the shape \(1, 2\), expected \(1, 2, 2\)"),
        ([[1.0, 1.0]], [[[0.5, 0.4], [1.0, 0.0]]], r"start holds splits that are no shares"),
        ([[1.0, 1.0]], [[[0.5, 0.5], [0.0, 1.0]]], r"start holds splits that are no shares"),
    ],
)
def test_inputs_that_do_not_fit(demand: list[list[float]], start: list[object] | None, message: str) -> None:
    given_start = None if start is None else torch.tensor(start, dtype=torch.float64)
    with pytest.raises(DataError, match=message):
        _solved(made(), demand, USER_EQUILIBRIUM, start=given_start)


def test_one_thread_assigns_and_others_come_back() -> None:
    before, inside = torch.get_num_threads(), []
    price = USER_EQUILIBRIUM.price
    told = replace(USER_EQUILIBRIUM, price=lambda *x: (inside.append(torch.get_num_threads()), price(*x))[1])
    try:
        torch.set_num_threads(2)
        _solved(made(), [[25.0, 5.0]], told)
        assert set(inside) == {1} and torch.get_num_threads() == 2
        with pytest.raises(DataError):
            _solved(made(), [[1.0]], USER_EQUILIBRIUM)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
