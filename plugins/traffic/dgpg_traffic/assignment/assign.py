"""User equilibrium and system optimum on given routes, for batches of demands.

Both are minima over flows of routes: of the sum of integrals of link times (Beckmann) and of total travel time. Each
step is a damped Newton step of all pairs together. It moves the routes that carry flow or are cheaper than their pair's
base (the route with the most flow, which takes what the others leave); those that it would empty are set to 0 and the
others solved again. A line search keeps every step a descent and sets the damping. D. P. Bertsekas, Projected Newton
Methods for Optimization Problems with Simple Constraints, SIAM Journal on Control and Optimization 20, 1982.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg.errors import DataError
from dgpg_traffic.network.bpr import Bpr, beckmann, link_time, link_time_slope, marginal, marginal_slope, total_time
from dgpg_traffic.network.incidence import Incidence

PORTIONS = 8
"""Parts in which a first solution loads the demand, each on the cheapest routes at the flows so far."""
PASSES, INNER = 3, 10
"""Solutions of a Newton step at most, each without the routes that the one before would have emptied, and steps of
conjugate gradients in each."""
HALVINGS = 4
"""Of the step, at most, in a line search."""
DAMPING, LEAST_DAMPING = 0.1, 1e-9
"""First and least slope that is added to that of routes, in shares of cost / demand: links without flow have none."""


@dataclass(frozen=True)
class Objective:
    """What is minimised, as functions of links and flows `[B, L]`.

    Attributes:
        name: "user-equilibrium" or "system-optimum".
        value: the sum over links, `[B]`.
        price: its derivative by the flow of each link, `[B, L]`.
        slope: the second derivative, `[B, L]`.
    """

    name: str
    value: Callable[[Bpr, Tensor], Tensor]
    price: Callable[[Bpr, Tensor], Tensor]
    slope: Callable[[Bpr, Tensor], Tensor]


USER_EQUILIBRIUM = Objective("user-equilibrium", beckmann, link_time, link_time_slope)
SYSTEM_OPTIMUM = Objective("system-optimum", total_time, marginal, marginal_slope)


@dataclass(frozen=True, eq=False)
class Assignment:
    """Flows of B instances.

    Attributes:
        splits: share of each route in its pair's demand, `[B, N, K]`; 0 in empty slots.
        flow: of links, what is on them anyway included, `[B, L]`.
        gap: what the vehicles pay above the cheapest routes given, as a share of what they pay, at the prices of
            the objective, `[B]`. The objective is above its minimum on these routes by at most this share of what
            is paid, which at marginal costs is up to power + 1 times the total time.
        steps: Newton steps of the instance that took the most.
    """

    splits: Tensor
    flow: Tensor
    gap: Tensor
    steps: int


@contextmanager
def _one_thread() -> Iterator[None]:
    """Products here are many and small: threads that wait for each other took 100 times as long on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
@_one_thread()
def assign(
    links: Bpr,
    incidence: Incidence,
    demand: Tensor,
    objective: Objective,
    *,
    start: Tensor | None = None,
    base: Tensor | None = None,
    tolerance: float = 1e-6,
    max_steps: int = 100,
) -> Assignment:
    """Minimise the objective for each row of demands.

    Args:
        links: parameters, `[L]` or `[B, L]`, double precision.
        incidence: the routes.
        demand: of each pair, at least 0, `[B, N]`.
        objective: `USER_EQUILIBRIUM` or `SYSTEM_OPTIMUM`.
        start: splits to start from, `[B, N, K]`; incremental loading if None.
        base: flow that is on the links anyway, at least 0, `[B, L]`; none if None.
        tolerance: gap at which an instance is done.
        max_steps: Newton steps after which the solution is returned with the gap that it has.

    Raises:
        DataError: the demand or the start does not fit the routes, or is negative or not finite.
    """
    _check(incidence, demand, start)
    even = (incidence.exists / incidence.exists.sum(-1, keepdim=True)).to(demand)
    splits = even.expand(len(demand), -1, -1).clone()  # right for pairs of one route and for those without demand
    pairs, part = incidence.contested
    without = demand.index_fill(1, pairs, 0.0)
    fixed = incidence.flow(splits * without[..., None])
    if base is not None:
        fixed = fixed + base
    if not len(pairs):
        return Assignment(splits, fixed, demand.new_zeros(len(demand)), 0)
    own = demand[:, pairs]
    problem = _Problem(links, part, own, fixed, objective)
    first = _load_in_portions(problem) if start is None else start[:, pairs] * own[..., None]
    flows, gap, steps = _minimise(problem, first, tolerance, max_steps)
    splits[:, pairs] = torch.where(own[..., None] > 0, flows / own[..., None], splits[:, pairs])
    return Assignment(splits, problem.link_flow(flows), gap, steps)


def _check(incidence: Incidence, demand: Tensor, start: Tensor | None) -> None:
    n, k = incidence.shape
    if demand.dim() != 2 or demand.shape[1] != n:
        raise DataError(f"demand has the shape {tuple(demand.shape)}, expected (instances, {n}): one value a pair")
    if not (torch.isfinite(demand) & (demand >= 0)).all():
        raise DataError("demand holds a number that is negative or not finite, expected 0 or more: correct it")
    if start is None:
        return
    if start.shape != (len(demand), n, k):
        raise DataError(f"start has the shape {tuple(start.shape)}, expected {(len(demand), n, k)}: splits of routes")
    whole = (start.sum(-1) - 1).abs() < 1e-6
    if not (whole.all() and (start >= 0).all() and (start.masked_select(~incidence.exists) == 0).all()):
        raise DataError("start holds splits that are no shares, expected 0 or more on routes that exist, with sum 1")


@dataclass(frozen=True, eq=False)
class _Problem:
    """The instances that are being solved: pairs with a choice, and what is on links otherwise, `fixed`, `[B, L]`."""

    links: Bpr
    incidence: Incidence
    demand: Tensor
    fixed: Tensor
    objective: Objective

    def rows(self, kept: Tensor) -> _Problem:
        """Some of the instances."""
        fields = (self.links.free_time, self.links.capacity, self.links.b, self.links.power)
        links = Bpr(*(values[kept] if values.dim() > 1 else values for values in fields))
        return _Problem(links, self.incidence, self.demand[kept], self.fixed[kept], self.objective)

    def link_flow(self, routes: Tensor) -> Tensor:
        """Flows of links, `[B, L]`, at flows of routes `[B, N, K]`."""
        return self.incidence.flow(routes) + self.fixed

    def route_costs(self, flow: Tensor) -> Tensor:
        """Price of each route at flows of links, `[B, N, K]`; inf in empty slots."""
        cost = self.incidence.cost(self.objective.price(self.links, flow))
        return cost.masked_fill(~self.incidence.exists, torch.inf)


@dataclass(frozen=True, eq=False)
class _State:
    """Flows of routes and links, prices of routes, and the gap."""

    routes: Tensor
    flow: Tensor
    cost: Tensor
    gap: Tensor

    def rows(self, kept: Tensor) -> _State:
        """Some of the instances."""
        return _State(self.routes[kept], self.flow[kept], self.cost[kept], self.gap[kept])


def _minimise(problem: _Problem, flows: Tensor, tolerance: float, max_steps: int) -> tuple[Tensor, Tensor, int]:
    """Flows of routes, gaps `[B]`, and steps of the slowest instance, from flows `[B, N, K]` on."""
    gap = problem.demand.new_zeros(len(flows))
    damping = torch.full_like(gap, DAMPING)
    left, steps = torch.arange(len(flows), device=flows.device), 0
    while True:
        part = problem.rows(left)
        state = _state(part, flows[left])
        gap[left] = state.gap
        kept = state.gap > tolerance
        if steps == max_steps or not kept.any():
            return flows, gap, steps
        left, part, state = left[kept], part.rows(kept), state.rows(kept)
        flows[left], halvings = _search(part, state, _direction(part, state, damping[left]))
        damping[left] *= torch.where(halvings == 0, 1 / 8, 4.0**halvings)
        damping.clamp_(LEAST_DAMPING, 1e6)
        steps += 1


def _state(problem: _Problem, routes: Tensor) -> _State:
    flow = problem.link_flow(routes)
    cost = problem.route_costs(flow)
    paid = (flow * problem.objective.price(problem.links, flow)).sum(-1)
    above = (routes * (cost - cost.amin(-1, keepdim=True)).masked_fill(~problem.incidence.exists, 0.0)).sum((-2, -1))
    gap = torch.where(paid > 0, above / paid, 0.0)
    return _State(routes, flow, cost, gap)


def _load_in_portions(problem: _Problem) -> Tensor:
    """Flows of routes, `[B, N, K]`."""
    routes = problem.demand.new_zeros(len(problem.demand), *problem.incidence.shape)
    for _ in range(PORTIONS):
        cost = problem.route_costs(problem.link_flow(routes))
        routes.scatter_add_(-1, cost.argmin(-1, keepdim=True), problem.demand[..., None] / PORTIONS)
    return routes


def _direction(problem: _Problem, state: _State, damping: Tensor) -> Tensor:
    """Newton's step of the flows of routes, `[B, N, K]`, by conjugate gradients, preconditioned by the diagonal."""
    incidence, base = problem.incidence, state.routes.argmax(-1, keepdim=True)
    excess = state.cost - state.cost.gather(-1, base)
    free = (incidence.exists & ((state.routes > 0) | (excess < 0))).scatter(-1, base, False)
    slope = problem.objective.slope(problem.links, state.flow)
    # Pairs without demand have no flow to move; any positive number does.
    ridge = damping[:, None, None] * state.cost.amin(-1, keepdim=True) / problem.demand[..., None].clamp_min(1e-12)
    ridge = ridge.clamp_min(torch.finfo(ridge.dtype).tiny)
    diagonal = _diagonal(incidence, slope, base) + ridge

    def curve(step: Tensor) -> Tensor:
        change = incidence.cost(slope * incidence.flow(_moved(step, base)))
        return torch.where(free, change - change.gather(-1, base) + ridge * step, 0.0)

    step = torch.zeros_like(state.routes)
    for _ in range(PASSES):
        right = torch.where(free, -excess, 0.0) - curve(step)
        step = step + _conjugate_gradients(curve, right, diagonal, state.gap)
        emptied = free & (state.routes + step < 0)
        if not emptied.any():
            break
        # A route that would end below 0 ends at 0; the others are to know that when they are solved again.
        step, free = torch.where(emptied, -state.routes, step), free & ~emptied
    return _moved(step, base)


def _moved(step: Tensor, base: Tensor) -> Tensor:
    """The step with what the base takes or gives, `[B, N, K]`."""
    return step.scatter(-1, base, -step.sum(-1, keepdim=True))


def _diagonal(incidence: Incidence, slope: Tensor, base: Tensor) -> Tensor:
    """Sum of slopes over the links that are in a route or in its pair's base but not in both, `[B, N, K]`."""
    common = incidence.common(slope)
    own = common.diagonal(dim1=-2, dim2=-1)
    shared = common.gather(-1, base[..., None].expand(*common.shape[:-1], 1)).squeeze(-1)
    return (own + own.gather(-1, base) - 2 * shared).clamp_min(0.0)


def _conjugate_gradients(curve: Callable[[Tensor], Tensor], right: Tensor, diagonal: Tensor, gap: Tensor) -> Tensor:
    """Solve curve(x) = right; the nearer the minimum (a small gap), the more exactly."""

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum((-2, -1), keepdim=True)

    x, rest = torch.zeros_like(right), right
    scaled = rest / diagonal
    search, size = scaled, dot(rest, scaled)
    enough = size * gap.sqrt().clamp(1e-4, 0.1)[:, None, None] ** 2
    for _ in range(INNER):
        image = curve(search)
        bend = dot(search, image)
        length = torch.where((size > enough) & (bend > 0), size / bend, 0.0)
        x, rest = x + length * search, rest - length * image
        scaled = rest / diagonal
        before, size = size, torch.where(length > 0, dot(rest, scaled), 0.0)
        if not (size > enough).any():
            break
        search = scaled + torch.where(before > 0, size / before, 0.0) * search
    return x


def _search(problem: _Problem, state: _State, step: Tensor) -> tuple[Tensor, Tensor]:
    """Flows of routes, `[B, N, K]`, after the first of a step and its halves that lowers the objective.

    With the number of halvings, `[B]`. Flows stay as they are where none does.
    """
    objective, links = problem.objective, problem.links
    price, before = objective.price(links, state.flow), objective.value(links, state.flow)
    found, length = state.routes.clone(), torch.ones_like(before)
    open_ = torch.ones_like(before, dtype=torch.bool)
    for _ in range(HALVINGS):
        routes = _project(state.routes, length[:, None, None] * step, problem.demand)
        flow = problem.link_flow(routes)
        moved = flow - state.flow
        lower = objective.value(links, flow) <= before + 1e-4 * (price * moved).sum(-1)
        # A convex function has fallen where it still falls; near the minimum values differ by rounding only.
        falling = (objective.price(links, flow) * moved).sum(-1) <= 0
        good = open_ & (lower | falling)
        found[good] = routes[good]
        open_ &= ~good
        if not open_.any():
            break
        length = torch.where(open_, length / 2, length)
    return found, -length.log2()


def _project(routes: Tensor, step: Tensor, demand: Tensor) -> Tensor:
    """Flows after a step, at least 0, of which the route that had the most takes what the others leave."""
    base = routes.argmax(-1, keepdim=True)
    others = (routes + step).clamp_min(0.0).scatter(-1, base, 0.0)
    total, demand = others.sum(-1, keepdim=True), demand[..., None]
    others = torch.where(total > demand, others * (demand / total), others)
    return others.scatter(-1, base, (demand - others.sum(-1, keepdim=True)).clamp_min(0.0))
