"""Dispatch by hand, its limits and balance for any input, its slope; outages and losses on a grid."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from dgpg_power.data import load_network
from dgpg_power.dynamics import after_outage, balanced, dispatch, flows, losses, next_range
from dgpg_power.factors import bridges, lodf, ptdf

from .oracle import angle_flows


def row(*x: float) -> Tensor:
    return torch.tensor([x], dtype=torch.float64)


def one(x: float) -> Tensor:
    return torch.tensor([x], dtype=torch.float64)


def close(found: Tensor, *expected: float) -> None:
    torch.testing.assert_close(found, row(*expected))


def test_the_residual_goes_by_share() -> None:
    # 100 MW are wanted, 60 planned: of the 40 that are missing one part in four and three in four
    close(dispatch(row(20, 40), row(1, 3), row(0, 0), row(100, 100), one(100)), 30, 70)
    close(dispatch(row(60, 80), row(1, 3), row(0, 0), row(100, 100), one(100)), 50, 50)


def test_only_ratios_of_shares_matter() -> None:
    close(dispatch(row(20, 40), row(0.01, 0.03), row(0, 0), row(100, 100), one(100)), 30, 70)


def test_base_points_are_clipped_before_the_residual_is_taken() -> None:
    # 150 counts as 50, so that 30 are missing
    close(dispatch(row(150, 20), row(1, 2), row(0, 0), row(50, 60), one(70)), 50, 20)
    close(dispatch(row(-9, 20), row(1, 1), row(10, 0), row(50, 60), one(50)), 20, 30)


def test_without_shares_the_residual_goes_evenly() -> None:
    close(dispatch(row(10, 20, 30), row(0, 0, 0), row(0, 0, 0), row(99, 99, 99), one(90)), 20, 30, 40)


def test_what_clipped_units_leave_goes_by_headroom() -> None:
    # 60 are missing, 20 each; the first can take 5. Of its 15, the others take 2 : 1 by their room of 40 and 20.
    close(dispatch(row(10, 20, 30), row(1, 1, 1), row(0, 0, 0), row(15, 80, 70), one(120)), 15, 50, 55)
    # the same downwards: 60 too many, the first gives 10 of its 20; 10 more by room of 20 and 30
    close(dispatch(row(20, 60, 60), row(1, 1, 1), row(10, 20, 10), row(90, 90, 90), one(80)), 10, 36, 34)


def test_a_demand_out_of_reach_saturates_every_unit() -> None:
    close(dispatch(row(10, 20), row(1, 0), row(5, 5), row(30, 40), one(200)), 30, 40)
    close(dispatch(row(10, 20), row(1, 0), row(5, 5), row(30, 40), one(1)), 5, 5)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    n = draw(st.integers(1, 6))

    def column(least: float, most: float) -> Tensor:
        values = draw(st.lists(st.floats(least, most, width=32), min_size=n, max_size=n))
        return torch.tensor([values], dtype=torch.float64)

    low, span = column(-50, 100), column(0, 200)
    share = column(0, 1).where(column(0, 1) > 0.3, 0.0)
    reach = draw(st.floats(-0.5, 1.5))
    return column(-500, 500), share, low, low + span, low.sum(-1) + reach * span.sum(-1)


@given(problems())
def test_outputs_keep_limits_and_meet_demand_where_they_can(problem: tuple[Tensor, ...]) -> None:
    _, _, low, high, demand = problem
    output = dispatch(*problem)  # type: ignore[arg-type]
    assert (output >= low - 1e-9).all() and (output <= high + 1e-9).all()
    reachable = demand.clamp(low.sum(-1), high.sum(-1))
    torch.testing.assert_close(output.sum(-1), reachable, rtol=0, atol=2e-6)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.5, 0.9]))
def test_the_slope_agrees_with_finite_differences(seed: int, reach: float) -> None:
    draw, n, step = torch.Generator().manual_seed(seed), 4, 1e-5
    x = torch.rand(4, n, generator=draw, dtype=torch.float64)
    low, high = 10 * x[0], 10 * x[0] + 20 + 80 * x[1]
    base, share = low + (high - low) * (0.1 + 0.8 * x[2]), 0.1 + x[3]
    demand = (low + reach * (high - low)).sum().view(1)

    def outputs(b: Tensor, s: Tensor) -> Tensor:
        return dispatch(b[None], s[None], low[None], high[None], demand)[0]

    def sides(shift: Tensor) -> tuple[Tensor, Tensor]:
        zero = torch.zeros(n, dtype=torch.float64)
        along = [(shift, zero), (zero, shift)]
        return tuple(torch.stack([(outputs(base + k * b, share + k * s)) for b, s in along]) for k in (1, -1))  # type: ignore[return-value]

    here = outputs(base, share)
    exact = torch.autograd.functional.jacobian(outputs, (base, share))
    for i in range(n):
        ahead, behind = sides(step * torch.eye(n, dtype=torch.float64)[i])
        right, left = (ahead - here) / step, (here - behind) / step
        assume((right - left).abs().max() < 1e-3)  # no kink between
        torch.testing.assert_close(torch.stack([j[:, i] for j in exact]), (right + left) / 2, rtol=1e-4, atol=1e-5)


def test_limits_ramps_and_weather_bound_the_next_output() -> None:
    # in order: in the middle, near the top, started, stopped, less wind than the ramp allows, no limit of ramp
    output, least, most = row(50, 95, 0, 60, 80, 30), row(20, 20, 40, 0, 0, 10), row(100, 100, 100, 0, 90, 70)
    ramp, available = torch.tensor([10.0, 10, 10, 10, 10, torch.inf]).double(), row(100, 100, 100, 0, 30, 70)
    low, high = next_range(output, least, most, ramp, available)
    close(low, 40, 85, 40, 0, 30, 10)
    close(high, 60, 100, 40, 0, 30, 70)


@pytest.mark.parametrize("name", ["case9", "case39"])
def test_an_outage_agrees_with_removing_the_line(name: str) -> None:
    network = load_network(name)
    factors, line = ptdf(network), int(np.flatnonzero(~bridges(network))[2])
    injection = np.random.default_rng(0).normal(0, 100, network.num_buses)
    injection -= injection.mean()
    matrix = np.zeros((network.num_lines, network.num_lines))
    matrix[:, line] = lodf(network, line)
    flow = torch.tensor(np.stack([factors @ injection] * 2))
    found = after_outage(flow, torch.tensor([line, -1]), torch.tensor(matrix)).numpy()
    kept = np.arange(network.num_lines) != line
    columns = ("line_from", "line_to", "susceptance", "resistance", "shift_flow", "flow_min", "flow_max")
    removed = replace(network, **{c: getattr(network, c)[kept] for c in columns})
    np.testing.assert_allclose(found[0, kept], angle_flows(removed, injection), atol=1e-6)
    assert abs(found[0, line]) < 1e-9
    np.testing.assert_array_equal(found[1], flow[1].numpy())


def test_flows_are_those_of_the_injection() -> None:
    network, rng = load_network("case39"), np.random.default_rng(1)
    factors = ptdf(network)
    load = rng.uniform(0, 100, network.num_buses)
    output = np.full(network.num_units, load.sum() / network.num_units)
    units = torch.tensor(factors[:, network.unit_bus])
    found = flows(torch.tensor(output)[None], torch.tensor(load)[None], units, torch.tensor(factors), torch.zeros(46))
    injection = np.bincount(network.unit_bus, output, network.num_buses) - load
    np.testing.assert_allclose(found[0], angle_flows(network, injection), atol=1e-6)


def test_losses_by_hand() -> None:
    # 0.01 per unit on 100 MVA: 1e-4 x 100^2 = 1 MW, whichever the direction
    torch.testing.assert_close(losses(row(100, -200), torch.tensor([1e-4, 2e-4]).double()), one(1 + 8))


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=6), st.floats(-50, 50))
def test_what_loads_lack_is_drawn_where_loads_are(values: list[float], more: float) -> None:
    load = row(*values)
    drawn = load.clamp(min=0).sum()
    assume(drawn > 1e-3 and drawn + more >= 0)
    found = balanced(load, load.sum(-1) + more)
    torch.testing.assert_close(found.sum(-1), load.sum(-1) + more, atol=1e-9, rtol=0)
    assert torch.equal(found[load <= 0], load[load <= 0])
    torch.testing.assert_close(found[load > 0], load[load > 0] * (1 + more / drawn))


def test_what_is_fed_in_does_not_grow_where_it_comes_near_the_loads() -> None:
    """A share of the net load, 1 MW of 101, would take the loads times 3."""
    torch.testing.assert_close(balanced(row(101.0, -100.0), row(3.0)[0]), row(103.0, -100.0))
