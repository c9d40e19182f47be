"""Queues: none is lost, time is the area between cumulative curves, and below capacity all is static."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg_traffic.dynamics import (
    TOLERANCE,
    Loaded,
    drained,
    load,
    mean_wait,
    mean_wait_integral,
    own_time,
    waited,
)
from dgpg_traffic.loading import Queued, Static, drain
from dgpg_traffic.network.bpr import Bpr
from dgpg_traffic.network.incidence import Incidence, Routes
from dgpg_traffic.network.legs import Legs

from .made import CPU

SEEDS = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Town:
    """Random routes over random links, so that bottlenecks follow each other and form circles."""

    routes: Routes
    links: Bpr
    legs: Legs

    @property
    def capacity(self) -> Tensor:
        return self.links.capacity

    def queued(self, period: float = 60.0) -> Queued:
        return Queued(self.links, self.legs, period)


def town(rng: np.random.Generator, pairs: int = 4, links: int = 6) -> Town:
    routes = np.full((pairs, 2, 4), -1)
    for n, k in np.ndindex(pairs, 2):
        length = rng.integers(1 - k, 5)
        routes[n, k, :length] = rng.permutation(links)[:length]
    low, high = np.array([[1.0, 2.0, 0.0, 1.0], [9.0, 9.0, 1.0, 4.0]])
    fields = [torch.tensor(rng.uniform(a, b, links)) for a, b in zip(low, high, strict=True)]
    return of(routes, Bpr(*fields))


def of(routes: object, links: Bpr) -> Town:
    found = Routes(np.array(routes))
    return Town(found, links, Legs(found, len(links.capacity), CPU, torch.float64))


def entering(rng: np.random.Generator, of: Town, envs: int, scale: float) -> Tensor:
    exists = of.routes.exists
    return torch.tensor(rng.uniform(0, scale, (envs, *exists.shape)) * exists)


def nobody(of: Town, envs: int = 1) -> Tensor:
    return torch.zeros(envs, of.legs.num_legs).double()


@given(SEEDS, st.integers(1, 6), st.integers(1, 7), st.floats(0.1, 30), st.integers(1, 12))
def test_no_vehicle_is_lost(seed: int, pairs: int, links: int, scale: float, periods: int) -> None:
    rng = np.random.default_rng(seed)
    roads = town(rng, pairs, max(links, 4))
    waiting, entered, arrived = nobody(roads, 3), torch.zeros(3).double(), torch.zeros(3).double()
    for _ in range(periods):
        sets_out = entering(rng, roads, 3, scale)
        capacity = roads.capacity * torch.tensor(rng.choice([0.3, 1.0], (3, len(roads.capacity))))
        found = load(roads.legs, sets_out, waiting, capacity)
        waiting = found.waiting
        entered, arrived = entered + sets_out.sum((-2, -1)), arrived + found.arrived
        assert (waiting >= 0).all() and (found.passes <= capacity * (1 + 2 * TOLERANCE * len(capacity[0]))).all()
        torch.testing.assert_close(arrived + waiting.sum(-1), entered, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found.left, roads.legs.on_links(waiting.t()).t(), rtol=1e-9, atol=1e-9)


@given(SEEDS, st.floats(1, 30))
def test_after_a_day_all_arrive(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    roads = town(rng)
    sets_out, capacity = entering(rng, roads, 2, scale), roads.capacity.expand(2, -1)
    found = load(roads.legs, sets_out, nobody(roads, 2), capacity)
    arrived, periods = found.arrived, 0
    while found.waiting.sum() > 0:
        found = load(roads.legs, 0 * sets_out, found.waiting, capacity)
        arrived, periods = arrived + found.arrived, periods + 1
        assert periods < 1000
    torch.testing.assert_close(arrived, sets_out.sum((-2, -1)))


def corridor(*capacity: float) -> Town:
    """One route over links of these capacities, each 6 minutes long whatever the flow."""
    size = torch.ones(len(capacity)).double()
    return of([[list(range(len(capacity)))]], Bpr(6 * size, torch.tensor(capacity).double(), 0 * size, size))


def test_a_corridor_by_hand() -> None:
    """30 come where 20 pass and then 10: 10 wait before the first, 10 before the second; all go on in the next."""
    roads = corridor(20.0, 10.0)
    found = load(roads.legs, torch.tensor([[[30.0]]]).double(), nobody(roads), roads.capacity[None])
    assert found.passes.tolist() == [[20, 10]] and found.waiting.tolist() == [[10, 10]]
    assert found.arrived.tolist() == [10]
    # In the period 10 wait half of it on average at each, then until the queue is drained: 10 x 10 / 2 x (20, 10).
    queued = roads.queued(60.0)
    driven, ahead = [20 * 6, 10 * 6], [10 * 12, 10 * 6]
    waits = [60 * (5 + 2.5), 60 * (5 + 5)]
    expected = [sum(x) for x in zip(driven, ahead, waits, strict=True)]
    assert queued.spent(found).tolist() == [pytest.approx(expected)]
    assert queued.pending(found.waiting).item() == pytest.approx(sum(ahead) + 60 * (2.5 + 5))
    # By link: all 20 have the second link ahead, ten of them the first as well.
    assert queued.pending_on(found.waiting).tolist() == [pytest.approx([60 * 2.5 + 10 * 6, 60 * 5 + 20 * 6])]
    # The 10 that waited at the second pass before the 10 from the first, of whom none does: one more period.
    second = load(roads.legs, torch.zeros(1, 1, 1).double(), found.waiting, roads.capacity[None])
    assert second.passes[0].tolist() == pytest.approx([10, 10], rel=1e-5)
    assert second.waiting[0].tolist() == pytest.approx([0, 10], rel=1e-5)


def test_who_waited_passes_before_those_who_come() -> None:
    """Two routes that share a link of 10: 6 of the first wait, 8 of the second come; 4 of them pass."""
    one = torch.ones(2).double()
    roads = of([[[0]], [[0]]], Bpr(one[:1], 10 * one[:1], 0 * one[:1], one[:1]))
    found = load(
        roads.legs, torch.tensor([[[0.0], [8.0]]]).double(), torch.tensor([[6.0, 0.0]]).double(), roads.capacity[None]
    )
    assert found.waiting[0].tolist() == pytest.approx([0, 4]) and found.arrived.item() == pytest.approx(10)


def area(found: float, arrives: float, capacity: float, steps: int = 100_000) -> float:
    """Between the cumulative curves of arrivals and departures of a period, by Newell's construction."""
    t = np.linspace(0, 1, steps + 1)
    came = found + arrives * t
    gone = np.minimum(came, capacity * t + np.minimum.accumulate(came - capacity * t).clip(max=0))
    return float(np.trapezoid(came - np.minimum(gone, came), t))


@given(st.floats(0, 20), st.floats(0, 30), st.floats(1, 20))
def test_time_waited_is_the_area_between_cumulative_curves(found: float, arrives: float, capacity: float) -> None:
    computed = waited(*(torch.tensor(x).double() for x in (found, arrives, capacity)))
    assert float(computed) == pytest.approx(area(found, arrives, capacity), rel=1e-4, abs=1e-4)


@given(SEEDS, st.floats(1, 25), st.integers(1, 5))
def test_a_day_is_charged_the_area_between_the_curves_of_those_who_set_out_and_arrive(
    seed: int, scale: float, periods: int
) -> None:
    """Charges of all periods and of the drain against driving and waiting on each link, period by period."""
    rng = np.random.default_rng(seed)
    roads = town(rng)
    queued, capacity, waiting = roads.queued(), roads.capacity[None], nobody(roads)
    charged, lived = 0.0, 0.0
    sets_out = [entering(rng, roads, 1, scale) for _ in range(periods)]
    for one in sets_out:
        found = queued.load(one, waiting, capacity)
        charged += float(queued.spent(found).sum() - queued.pending(waiting))
        lived, waiting = lived + spent_by_loops(roads, found), found.waiting
    more, on_links = drain(queued, sets_out[0], waiting, capacity)
    torch.testing.assert_close(on_links.sum(-1), more)
    charged += float(more.sum())
    while waiting.sum() > 0:
        found = queued.load(0 * sets_out[0], waiting, capacity)
        lived, waiting = lived + spent_by_loops(roads, found), found.waiting
    assert charged == pytest.approx(lived, rel=1e-4)


def spent_by_loops(roads: Town, found: Loaded) -> float:
    """Minutes driven and waited in a period of 60, by the area of each link's curves."""
    total = 0.0
    columns = (found.passes[0], found.found[0], found.arrives[0], *vars(roads.links).values())
    for passes, before, arrives, free, capacity, b, power in np.stack([x.numpy() for x in columns], 1):
        total += passes * free * (1 + b * (passes / capacity) ** power) + 60 * area(before, arrives, capacity, 4000)
    return total


@given(SEEDS)
def test_below_capacity_everywhere_all_is_static(seed: int) -> None:
    rng = np.random.default_rng(seed)
    roads = town(rng)
    sets_out, capacity = entering(rng, roads, 3, 1.0), roads.capacity.expand(3, -1)
    incidence = Incidence(roads.routes, len(roads.capacity))
    static, queued = Static(roads.links, incidence), roads.queued()
    most = (incidence.flow(sets_out) / capacity).amax(-1)
    sets_out = sets_out * (0.99 / most.clamp(min=1e-9))[:, None, None]
    one, other = (x.load(sets_out, nobody(roads, 3), capacity) for x in (static, queued))
    torch.testing.assert_close(one.passes, other.passes)
    assert not other.waiting.any() and not drain(queued, sets_out, other.waiting, capacity)[0].any()
    for name in ("spent", "mean_time"):
        torch.testing.assert_close(getattr(queued, name)(other), getattr(static, name)(one))
    torch.testing.assert_close(queued.time(other, other.left), static.time(one, one.left))


QUEUE = (st.floats(0, 20), st.floats(0.01, 30), st.floats(1, 20))


def doubles(*x: float) -> list[Tensor]:
    return [torch.tensor(one).double() for one in x]


@given(*QUEUE)
def test_those_who_come_wait_what_the_queue_costs_more(found: float, arrives: float, capacity: float) -> None:
    q, x, c = doubles(found, arrives, capacity)
    left = (q + x - c).clamp(min=0)
    total = waited(q, x, c) + drained(left, c) - drained(q, c)
    torch.testing.assert_close(x * mean_wait(q, x, c), total, rtol=1e-6, atol=1e-6)


@given(*QUEUE)
def test_the_integral_of_the_mean_wait(found: float, arrives: float, capacity: float) -> None:
    q, x, c = doubles(found, arrives, capacity)
    x.requires_grad_()
    (mean,) = torch.autograd.grad(mean_wait_integral(q, x, c), x)
    torch.testing.assert_close(mean, mean_wait(q, x.detach(), c), rtol=1e-5, atol=1e-5)


@given(SEEDS, st.floats(1, 20))
def test_slopes_of_the_time_spent_are_those_of_differences(seed: int, scale: float) -> None:
    """Through links that follow each other and the circles among them, as far as shares are iterated."""
    rng = np.random.default_rng(seed)
    roads = town(rng)
    queued, capacity = roads.queued(), roads.capacity.expand(1, -1)
    waiting = torch.tensor(rng.uniform(0, 3, (1, roads.legs.num_legs))) * (rng.random() < 0.5)

    def spent(sets_out: Tensor) -> Tensor:
        return queued.spent(queued.load(sets_out, waiting, capacity)).sum()

    at = entering(rng, roads, 1, scale).requires_grad_()
    (slope,) = torch.autograd.grad(spent(at), at)
    way = torch.tensor(rng.uniform(size=at.shape)) * torch.tensor(roads.routes.exists)
    claimed, sides = (slope * way).sum(), []
    for width in (1e-6, 1e-5):  # a step of the iteration that is left out, or a kink, is not met by both
        low, high = (spent(at.detach() + sign * width * way) for sign in (-1, 1))
        sides.append(float((high - low) / (2 * width)))
    assert min(abs(float(claimed) - side) for side in sides) <= 1e-3 * max(abs(float(claimed)), 1.0)


@given(SEEDS, st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
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
