"""Equilibrium and optimum of a period with queues, by descent: neither is the minimum of a convex function of flows."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg_traffic.assignment.assign import USER_EQUILIBRIUM, Objective
from dgpg_traffic.roads import Roads

STEPS, RATE = 60, 3.0
"""Of mirror descent, and its first step: by so much times its price over the cheapest, less 1, a route's logit falls.

With five times the steps the optimum of periods of `grid` and Sioux Falls fell by less than 0.01 %."""
LONGER, SHORTER = 1.1, 0.7
"""What a step is multiplied by, of each instance by itself, after one that helped and one that did not."""
FAINT = 1e-4
"""Share at which routes begin that the static solution does not use."""
LEAST_LOGIT = -20.0
"""Below the largest: what a route must come back from."""


def settled(roads: Roads, objective: Objective, demand: Tensor, waiting: Tensor, capacity: Tensor) -> Tensor:
    """Splits of equilibrium or optimum of a period, `[B, N, K]`; the agents of a pair split alike.

    Without queues, and where nobody waits, those of the static problem. With queues the best that mirror descent from
    there meets: of the least total time, or of the smallest gap between what drivers take and their fastest routes.

    Args:
        objective: `USER_EQUILIBRIUM` or `SYSTEM_OPTIMUM`.
        demand: vehicles of each agent, `[B, N]`.
        waiting: those on the road, `[B, J]`.
        capacity: `[B, L]`.
    """
    splits = roads.assigned(objective, demand, capacity)
    jammed = roads.load(splits, demand, waiting, capacity).left.sum(-1) + waiting.sum(-1) > 0
    if jammed.any():
        some = demand[jammed], waiting[jammed], capacity[jammed]
        splits[jammed] = _descended(roads, objective, splits[jammed], *some)
    return splits


def _descended(
    roads: Roads, objective: Objective, splits: Tensor, demand: Tensor, waiting: Tensor, capacity: Tensor
) -> Tensor:
    priced, exists = _selfish if objective is USER_EQUILIBRIUM else _shared, roads.incidence.exists
    logits = splits.clamp(min=FAINT).log()
    best, least = splits, torch.full_like(demand[:, 0], torch.inf)
    last, rate = least, torch.full_like(least, RATE)
    for _ in range(STEPS):
        splits = logits.masked_fill(~exists, -torch.inf).softmax(-1)
        worth, price = priced(roads, splits, demand, waiting, capacity)
        better = worth < least
        best, least = torch.where(better[:, None, None], splits, best), torch.where(better, worth, least)
        cheapest = price.masked_fill(~exists, torch.inf).amin(-1, keepdim=True).clamp(min=1e-9)
        rate, last = rate * torch.where(worth < last, LONGER, SHORTER), worth
        logits = logits - rate[:, None, None] * (price / cheapest - 1)
        logits = (logits - logits.masked_fill(~exists, -torch.inf).amax(-1, keepdim=True)).clamp(LEAST_LOGIT, 0.0)
    return best


def _shared(roads: Roads, splits: Tensor, demand: Tensor, waiting: Tensor, capacity: Tensor) -> tuple[Tensor, Tensor]:
    """Total time `[B]`, and what one more vehicle on each route adds to it, `[B, N, K]`."""
    with torch.enable_grad():
        entering = (splits * demand.unsqueeze(-1)).requires_grad_()
        spent = roads.loading.spent(roads.loading.load(entering, waiting, capacity)).sum(-1)
        (price,) = torch.autograd.grad(spent.sum(), entering)
    return spent.detach(), price


def _selfish(roads: Roads, splits: Tensor, demand: Tensor, waiting: Tensor, capacity: Tensor) -> tuple[Tensor, Tensor]:
    """What drivers take above their fastest routes, as a share of what they take, `[B]`, and times of routes."""
    loaded = roads.load(splits, demand, waiting, capacity)
    time = roads.incidence.cost(roads.loading.mean_time(loaded))
    fastest = time.masked_fill(~roads.incidence.exists, torch.inf).amin(-1, keepdim=True)
    taken = splits * demand.unsqueeze(-1)
    above = (taken * (time - fastest)).sum((-2, -1))
    return above / (taken * time).sum((-2, -1)).clamp(min=1e-9), time
