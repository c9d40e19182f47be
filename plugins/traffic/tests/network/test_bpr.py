"""Link times and what follows from them: by hand, and against differences."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg_traffic.network.bpr import Bpr, beckmann, link_time, link_time_slope, marginal, marginal_slope, total_time

from ..made import made

ROAD = Bpr(*(torch.tensor([value], dtype=torch.float64) for value in (10.0, 100.0, 0.15, 4.0)))
"""Free time 10, capacity 100, b 0.15, power 4."""


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (link_time, 10 * (1 + 0.15 * 16)),
        (marginal, 34 + 200 * 0.48),
        (link_time_slope, 10 * 0.15 * 4 * 8 / 100),
        (marginal_slope, 5 * 0.48),
        (beckmann, 10 * 200 + 10 * 0.15 * 200**5 / 5 / 100**4),
        (total_time, 200 * 34),
    ],
)
def test_at_twice_the_capacity(function, expected: float) -> None:  # type: ignore[no-untyped-def]
    assert function(ROAD, torch.tensor([200.0], dtype=torch.float64)).item() == pytest.approx(expected)


def test_without_flow_there_is_the_free_time() -> None:
    links, none = Bpr.of(made()), torch.zeros(5, dtype=torch.float64)
    assert link_time(links, none).tolist() == marginal(links, none).tolist() == [1, 2, 1, 2, 3]
    assert link_time_slope(links, none).tolist() == [0, 0, 0, 2 * 1 / 20, 0]
    assert beckmann(links, none) == total_time(links, none) == 0


positive = st.floats(0.05, 50.0)


@given(flow=positive, free=positive, capacity=positive, b=st.floats(0.0, 2.0), power=st.floats(1.0, 6.0))
def test_derivatives_are_those_of_differences(
    flow: float, free: float, capacity: float, b: float, power: float
) -> None:
    links = Bpr(*(torch.tensor([value], dtype=torch.float64) for value in (free, capacity, b, power)))
    step = 1e-5 * flow
    x = torch.tensor([flow], dtype=torch.float64)
    for function, derivative in (
        (beckmann, link_time),
        (total_time, marginal),
        (link_time, link_time_slope),
        (marginal, marginal_slope),
    ):
        low, high = function(links, x - step), function(links, x + step)
        rounding = 1e-15 * abs(high.item()) / step
        found = ((high - low) / (2 * step)).item()
        assert found == pytest.approx(derivative(links, x).item(), rel=1e-6, abs=10 * rounding)


def test_batches_are_their_rows_and_autograd_agrees() -> None:
    links = Bpr.of(made())
    flow = torch.rand(3, 2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 30
    flow.requires_grad_()
    (toll,) = torch.autograd.grad(total_time(links, flow).sum(), flow)
    torch.testing.assert_close(toll, marginal(links, flow))
    assert total_time(links, flow).shape == (3, 2)
    torch.testing.assert_close(total_time(links, flow)[1, 0], total_time(links, flow[1, 0]))


def test_capacities_may_differ_between_instances() -> None:
    links = Bpr.of(made())
    cut = torch.stack([links.capacity, links.capacity / 2])
    flow = torch.full((2, 5), 10.0, dtype=torch.float64)
    times = link_time(Bpr(links.free_time, cut, links.b, links.power), flow)
    torch.testing.assert_close(times[1], link_time(links, 2 * flow[1]))
