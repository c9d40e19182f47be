"""Residual queues by hand, their bound, and why the rule is not the literal one; agents' own time by a loop."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM
from dgpg_traffic.assignment.equilibrium import solve
from dgpg_traffic.data import load_network
from dgpg_traffic.dynamics import own_time, residual_queue


def row(*x: float) -> Tensor:
    return torch.tensor([x], dtype=torch.float64)


def test_a_share_of_the_excess_stays() -> None:
    # twice the capacity of 10 is 20: nothing of 15, nothing of 20, half of the 8 above it
    left = residual_queue(row(15, 20, 28), row(10, 10, 10), 0.5, 2.0)
    torch.testing.assert_close(left, row(0, 0, 4))
    # an incident leaves 6 of 10: now 15 exceeds 12 by 3
    torch.testing.assert_close(residual_queue(row(15, 20, 28), row(6, 10, 10), 0.5, 2.0), row(1.5, 0, 4))
    assert not residual_queue(row(15, 20, 28), row(1, 1, 1), 0.0, 1.0).any()


@given(
    st.lists(st.lists(st.floats(0, 1e4), min_size=2, max_size=2), min_size=1, max_size=60),
    st.floats(0, 0.99),
    st.floats(1, 3),
    st.floats(0.1, 1e3),
)
def test_queues_stay_bounded(entering: list[list[float]], share: float, threshold: float, capacity: float) -> None:
    queue, room = torch.zeros(2).double(), torch.full((2,), capacity).double()
    bound = share / (1 - share) * (torch.tensor(entering).double() - threshold * capacity).clamp(min=0).amax(0)
    for flow in entering:
        queue = residual_queue(queue + torch.tensor(flow).double(), room, share, threshold)
        assert (queue >= 0).all() and (queue <= bound * (1 + 1e-9) + 1e-9).all()


def test_the_bound_is_where_a_constant_excess_leads() -> None:
    queue = row(0)
    for _ in range(200):
        queue = residual_queue(queue + 25, row(10), 0.75, 2.0)
    torch.testing.assert_close(queue, row(0.75 / 0.25 * 5))


def test_a_share_of_one_grows_for_ever() -> None:
    queue = row(0)
    for t in range(1, 50):
        queue = residual_queue(queue + 12, row(10), 1.0, 1.0)
        assert float(queue) == pytest.approx(2 * t)


def test_the_published_optimum_exceeds_most_capacities(data_file: Callable[[str], Path]) -> None:
    network = load_network(str(data_file("tntp/SiouxFalls_net.tntp")))
    load = solve(network, SYSTEM_OPTIMUM).flow / network.capacity
    assert ((load > 1).sum(), len(load)) == (62, 76) and load.max() == pytest.approx(2.57, abs=0.01)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
def test_own_time_is_that_of_a_loop(seed: int, envs: int, agents: int, routes: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    demand, splits, time = (
        torch.rand(shape, generator=draw, dtype=torch.float64)
        for shape in ((envs, agents), (envs, agents, routes), (envs, agents, routes))
    )
    found = own_time(demand, splits, time)
    for b in range(envs):
        for n in range(agents):
            expected = sum(float(demand[b, n] * splits[b, n, k] * time[b, n, k]) for k in range(routes))
            assert float(found[b, n]) == pytest.approx(expected, rel=1e-12)
