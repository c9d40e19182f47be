"""Capacities that mean nothing are recognised, those in large units are not, and times say what they could be."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg_traffic.assignment.assign import USER_EQUILIBRIUM
from dgpg_traffic.assignment.equilibrium import solve
from dgpg_traffic.data import load_network
from dgpg_traffic.network.bpr import Bpr, link_time
from dgpg_traffic.network.capacities import arbitrary, rated
from dgpg_traffic.network.network import Network

from ..made import made


def _absorbed(network: Network, capacity: float) -> Network:
    """The same times by one capacity of all links."""
    b = network.b * (capacity / network.capacity) ** network.power
    return Network(**(vars(network) | {"capacity": np.full(network.num_links, capacity), "b": b}))


@pytest.mark.parametrize(("capacity", "expected"), [(1.0, True), (0.5, True), (1000.0, False)])
def test_one_capacity_for_all_means_nothing(capacity: float, expected: bool) -> None:
    grid = load_network("grid")
    flow = solve(grid, USER_EQUILIBRIUM).flow
    assert not arbitrary(grid, flow)
    assert arbitrary(_absorbed(grid, capacity), flow) is expected


def test_vehicles_by_the_thousand_are_vehicles() -> None:
    grid = load_network("grid")
    flow = solve(grid, USER_EQUILIBRIUM).flow
    thousands = Network(**(vars(grid) | {"capacity": grid.capacity / 1e5, "demand": grid.demand / 1e5}))
    assert (thousands.capacity < 1).all() and not arbitrary(thousands, flow / 1e5)


def test_connectors_do_not_count() -> None:
    flow = np.array([25.0, 5, 25, 5, 5])
    assert not arbitrary(made(capacity=[1.0, 1, 1, 90, 90], b=[0.0, 0, 0, 1, 1]), flow)
    assert arbitrary(made(capacity=[90.0, 90, 90, 1, 1], b=[0.0, 0, 0, 1, 1]), flow)
    assert not arbitrary(made(b=[0.0] * 5, capacity=[1.0] * 5), flow)


@given(b=st.floats(0.01, 2.0), flow=st.lists(st.floats(0, 1e3), min_size=5, max_size=5))
def test_rated_capacities_leave_times_as_they_are(b: float, flow: list[float]) -> None:
    network, x = made(), torch.tensor(flow, dtype=torch.float64)
    other = rated(network, b)
    torch.testing.assert_close(link_time(Bpr.of(other), x), link_time(Bpr.of(network), x), rtol=1e-9, atol=0.0)
    assert other.b[:4] == pytest.approx(b) and other.b[4] == 0 and other.capacity[4] == network.capacity[4]


def test_rated_capacities_of_what_was_absorbed_are_the_true_ones() -> None:
    grid = load_network("grid")
    back = rated(_absorbed(grid, 1.0), float(grid.b[0]))
    same = grid.b == grid.b[0]
    assert same.any()
    np.testing.assert_allclose(back.capacity[same], grid.capacity[same])
    assert rated(grid, None) is grid
