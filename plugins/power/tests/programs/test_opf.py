"""Optimal dispatch against linear programs, against the plant's own costs, and its prices against differences."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from dgpg_power.dynamics import after_outage, dispatch
from dgpg_power.grid import Grid, make_grid
from dgpg_power.instance import Instance
from dgpg_power.network import Network
from dgpg_power.programs import opf

from ..made import CPU, EXACT, built, environment, limited
from ..oracle import dc_optimum

QUIET = {"mismatch": EXACT, "ramp": None}


def grid_of(instance: Instance) -> Grid:
    return make_grid(instance, CPU, torch.float64)


def loads(network: Network, count: int, seed: int = 0, low: float = 0.85, high: float = 1.0) -> Tensor:
    """Demands `[count, nb]`: a common level and noise of each bus."""
    rng = np.random.default_rng(seed)
    noise = 1 + 0.05 * rng.standard_normal((count, network.num_buses))
    return torch.tensor(network.load * rng.uniform(low, high, (count, 1)) * noise)


def solve(grid: Grid, load: Tensor, limits: str, outage: Tensor | None = None) -> opf.Optimum:
    low, high = (x.expand(len(load), -1) for x in (grid.unit_min, grid.unit_max))
    return opf.optimum(grid, load, load.sum(-1), low, high, outage, limits)


def agree_with_linear_programs(instance: Instance, load: Tensor) -> None:
    """Costs and feasibility of every demand are those that HiGHS finds."""
    found = solve(grid_of(instance), load, opf.HARD)
    solved = 0
    for b, demand in enumerate(load.numpy()):
        network = replace(instance.network, load=demand)
        expected = dc_optimum(network)
        assert bool(found.solved[b]) == (expected is not None)
        if expected is not None:
            output = found.output[b].double().numpy()
            assert network.cost(output).sum() == pytest.approx(expected[0], rel=1e-4)
            assert output.sum() == pytest.approx(demand.sum(), rel=1e-5)
            assert (np.abs(found.flow[b].numpy()) <= network.reach * (1 + 1e-4) + 1e-3).all()
            solved += 1
    assert solved


@pytest.mark.parametrize("name", ["case9", "case30", "case30pwl", "case39", "case24-tight"])
def test_hard_limits_agree_with_linear_programs(name: str) -> None:
    instance = built(network=name)
    agree_with_linear_programs(instance, loads(instance.network, 4))


def test_hard_limits_agree_on_a_published_grid(data_file: Callable[[str], Path]) -> None:
    instance = built(network=str(data_file("pglib/pglib_opf_case14_ieee.m")))
    agree_with_linear_programs(instance, loads(instance.network, 4))


def test_a_demand_beyond_the_lines_is_not_solved() -> None:
    instance = built()
    load = torch.tensor(instance.network.load)[None]
    tight = limited(grid_of(instance), torch.full((9,), 1.0).double())
    assert solve(grid_of(instance), load, opf.HARD).solved.tolist() == [True]
    assert solve(tight, load, opf.HARD).solved.tolist() == [False]


@pytest.mark.parametrize("name", ["case24-tight", "case30pwl", "case39"])
@pytest.mark.parametrize("limit", [1.0, 0.8])
def test_priced_limits_bound_what_any_dispatch_costs(name: str, limit: float) -> None:
    instance = built(network=name)
    grid = grid_of(instance)
    grid = limited(grid, limit * grid.reach)
    load = loads(instance.network, 3)
    low, high = (x.expand(len(load), -1) for x in (grid.unit_min, grid.unit_max))
    found, demand = solve(grid, load, opf.PRICED), load.sum(-1)
    assert found.solved.all()

    def cost(output: Tensor) -> Tensor:
        return grid.cost(output, grid.flow(output, load), demand, high)

    least, draw = cost(found.output.double()), torch.Generator().manual_seed(0)
    for spread in [*[0.01] * 20, *[0.1] * 20, *[1.0] * 20]:
        noise = torch.randn(low.shape, generator=draw, dtype=torch.float64)
        base = found.output + spread * (high - low) * noise
        other = cost(dispatch(base, torch.ones_like(base), low, high, demand))
        assert (least <= other * (1 + 1e-5)).all()


def test_priced_limits_are_hard_where_the_price_does_not_bind() -> None:
    instance = built(network="case24-tight")
    grid, load = grid_of(instance), loads(instance.network, 6)
    hard = solve(grid, load, opf.HARD)
    dear = replace(grid, tariff=replace(grid.tariff, overload=10 * float(hard.line_price[hard.solved].abs().amax())))
    priced = solve(dear, load, opf.PRICED)
    assert hard.solved.sum() >= 3 and (hard.line_price[hard.solved].abs() > 1).any()
    torch.testing.assert_close(priced.output[hard.solved], hard.output[hard.solved], rtol=1e-3, atol=0.1)


def test_a_line_price_is_what_a_wider_limit_saves() -> None:
    instance = built(network="case24-tight")
    grid, load = grid_of(instance), loads(instance.network, 1, low=0.95)
    found = solve(grid, load, opf.HARD)
    assert found.solved.all()
    line, step = int(found.line_price[0].abs().argmax()), 0.5
    assert found.line_price[0, line] * found.flow[0, line] > 0  # positive at the upper limit, negative at the lower

    def cost(shift: float) -> float:
        limit = grid.reach.clone()
        limit[line] += shift
        output = solve(limited(grid, limit), load, opf.HARD).output[0].double()
        return float(instance.network.cost(output.numpy()).sum())

    saved = (cost(-step) - cost(step)) / (2 * step)
    assert float(found.line_price[0, line].abs()) == pytest.approx(saved, rel=0.05)


def test_an_outage_moves_the_flows_and_costs_more() -> None:
    instance = built(network="case24-tight")
    grid, load = grid_of(instance), loads(instance.network, 1).expand(4, -1)
    out = torch.tensor([-1, *instance.trippable[[0, 5, 9]].tolist()])
    found = solve(grid, load, opf.PRICED, out)
    output, demand = found.output.double(), load.sum(-1)
    flow = after_outage(grid.flow(output, load), out, grid.outage_factors)
    torch.testing.assert_close(found.flow.double(), flow, rtol=1e-4, atol=1e-2)
    assert (found.flow[range(1, 4), out[1:]].abs() < 1e-2).all()
    blind = solve(grid, load, opf.PRICED).output.double()
    blind_flow = after_outage(grid.flow(blind, load), out, grid.outage_factors)
    knowing, ignoring = (
        grid.cost(p, f, demand, grid.unit_max) for p, f in ((output, flow), (blind, blind_flow))
    )  # fmt: skip
    assert (knowing <= ignoring * (1 + 1e-5)).all() and (knowing[1:] < ignoring[1:] - 1).any()


def cheapest_by_linear_program(network: Network, demand: float) -> float:
    """Least cost without lines, curves cut into the plugin's own equal pieces."""
    edges = np.linspace(network.unit_min, network.unit_max, opf.PIECES + 1)
    cost, width = np.diff([network.cost(p) for p in edges], axis=0), np.diff(edges, axis=0)
    slope = (cost / np.maximum(width, 1e-9)).flatten()
    least = network.unit_min.sum()
    found = linprog(
        slope, A_eq=np.ones((1, slope.size)), b_eq=[demand - least], bounds=np.stack([0 * slope, width.flatten()], 1)
    )
    assert found.status == 0
    return float(found.fun + network.cost(network.unit_min).sum())


@pytest.mark.parametrize("name", ["case9", "case24-tight", "case39"])
def test_merit_order_agrees_with_a_linear_program_without_lines(name: str) -> None:
    instance = built(network=name)
    network, grid = instance.network, grid_of(instance)
    demand = torch.tensor([0.7, 0.85, 1.0]).double() * network.load.sum()
    low, high = (x.expand(3, -1) for x in (grid.unit_min, grid.unit_max))
    found = opf.merit_order(grid, demand, low, high)
    torch.testing.assert_close(found.sum(-1), demand)
    assert (found >= low - 1e-9).all() and (found <= high + 1e-9).all()
    for output, wanted in zip(found.numpy(), demand.tolist(), strict=True):
        expected = cheapest_by_linear_program(network, wanted)
        # a piece that is not full costs less than its share of the piece: its slope rises within
        assert network.cost(output).sum() <= expected * (1 + 1e-6)
        assert network.cost(output).sum() == pytest.approx(expected, rel=5e-3)


def test_pieces_fill_from_the_cheapest_on() -> None:
    low, high = torch.tensor([[10.0, 0.0]]), torch.tensor([[30.0, 40.0]])
    price = torch.tensor([[1.0, 4.0, 2.0, 3.0]])  # two pieces of 10 MW, two of 20 MW
    for demand, expected in ((5.0, [10, 0]), (25.0, [20, 5]), (55.0, [20, 35]), (65.0, [25, 40]), (99.0, [30, 40])):
        found = opf.fill(price, low, high, torch.tensor([demand]))
        torch.testing.assert_close(found, torch.tensor([expected], dtype=torch.float32))


@pytest.mark.parametrize("name", ["case24-tight", "pglib/pglib_opf_case118_ieee__api.m", "rts_gmlc/RTS_GMLC.m"])
@pytest.mark.parametrize("limits", [opf.HARD, opf.PRICED])
def test_lines_that_enter_once_broken_give_the_optimum_of_all(
    name: str, limits: str, data_file: Callable[[str], Path]
) -> None:
    env = environment(6, network=name if name.startswith("case") else str(data_file(name)))
    context, trip = env.reset().context, torch.tensor(env.instance.trippable)
    args = [context[field] for field in ("oracle_load", "demand", "low", "high")]
    for out in (None, torch.cat([trip[:5], trip.new_tensor([-1])])):
        every = torch.ones(len(env.grid.reach), dtype=torch.bool)
        all_in = opf.optimum(env.plant, *args, out, limits, every)
        solved = all_in.solved
        assert solved.any() and (all_in.line_price[solved] != 0).any()
        for start in (None, ~every):
            found = opf.optimum(env.plant, *args, out, limits, start)
            assert torch.equal(found.solved, solved)
            cost, expected = (
                env.plant.cost(x.output.double(), x.flow.double(), context["demand"].double(), context["available"])
                for x in (found, all_in)
            )
            torch.testing.assert_close(cost[solved], expected[solved], rtol=1e-5, atol=0.0)
            if limits == opf.HARD:
                assert (found.flow[solved].abs() <= env.grid.reach * (1 + 1e-4) + 1e-3).all()


@pytest.mark.parametrize("large", [False, True])
def test_instances_solved_apart_have_the_optima_of_one_batch(monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    instance = built(network="case24-tight")
    grid, load = grid_of(instance), loads(instance.network, 5)
    out = torch.tensor([-1, *instance.trippable[:4].tolist()])
    together = solve(grid, load, opf.PRICED, out)
    monkeypatch.setattr(opf, "LARGE", 0 if large else opf.LARGE)
    monkeypatch.setattr(opf, "ENTRIES", 2 * instance.num_agents**2)
    apart = solve(grid, load, opf.PRICED, out)
    for field in fields(opf.Optimum):
        one, other = getattr(together, field.name), getattr(apart, field.name)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-2)


def test_straight_segments_of_one_bus_and_slope_are_one_variable() -> None:
    bus, slope = torch.tensor([4, 4, 4, 7, 4, 4]), torch.tensor([9.0, 9.0, 8.0, 9.0, 9.0, 9.0]).double()
    group, first = opf._alike(bus, slope, torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, 1.0]).double())
    alike = group.unsqueeze(0) == group.unsqueeze(1)
    assert alike.sum() == 8 and alike[0, 1]
    assert sorted(first.tolist()) == [0, 2, 3, 4, 5] and torch.equal(group[first], torch.arange(5))


def test_a_unit_cut_into_equal_ones_gives_what_it_gave_whole() -> None:
    network = replace(built(network="case30pwl").network, ramp=np.full(6, np.inf))
    many = [f.name for f in fields(network) if f.name.startswith(("unit_", "cost_", "kink")) or f.name == "ramp"]
    twice = {name: np.repeat(np.array(getattr(network, name)), 2, 0) for name in many}
    for name in ("unit_min", "unit_max", "cost_constant", "kink"):
        twice[name] = twice[name] / 2
    cut = replace(network, **{n: tuple(x) if isinstance(getattr(network, n), tuple) else x for n, x in twice.items()})
    instance = built(network="case30pwl")
    whole, halves = (grid_of(replace(instance, network=n)) for n in (network, cut))
    load = loads(network, 4)
    found, expected = (solve(grid, load, opf.HARD).output for grid in (halves, whole))
    torch.testing.assert_close(found.view(4, -1, 2).sum(-1), expected, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(found[:, ::2], found[:, 1::2])


def test_lines_that_are_known_to_bind_enter_first_and_change_no_optimum() -> None:
    env = environment(4, network="synthetic-80")
    context = env.reset().context
    assert len(env.plant.unit_bus) >= opf.FEW
    args = [context[field] for field in ("oracle_load", "demand", "low", "high")]
    none, costs = torch.zeros_like(env.plant.binding), []
    bind = opf.optimum(env.plant, *args, None, opf.PRICED).line_price.abs().amax(0) > 1e-2
    assert bind.any()
    for binding in (none, ~none, bind, bind.roll(7)):
        found = opf.optimum(replace(env.plant, binding=binding), *args, None, opf.PRICED)
        assert found.solved.all()
        costs.append(env.plant.cost(found.output.double(), found.flow.double(), args[1].double(), context["available"]))
    for cost in costs[1:]:
        torch.testing.assert_close(cost, costs[0], rtol=1e-5, atol=0.0)
