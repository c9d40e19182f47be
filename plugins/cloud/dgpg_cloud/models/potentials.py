"""Analytical models of the cloud domain, the entry points of group `dgpg.analytical_models`."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain import Context, CostModel, DistanceModel
from dgpg_cloud.config import Config
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.plant import make

CPU = torch.device("cpu")


class CapacityModel(CostModel):
    """Value potential on what is requested and what is left to do, a sum over machines (`cloud.capacity`).

    With D requested, W work left, C capacity, s speed, p price:

        e     = max_r D_r / C_r - full
        phi_m = w_q (C_c / c) d crowd max(e, 0)^2 + w_p p max_r W_r / (C_r s) + w_s p |W_c / (C_c s) - W_m / (C_m s)|

    c and d are a job's mean vCPU and steps: C_c / c jobs share the machine and each waits about d e steps. The
    price term is the time until the machine is empty, the stranded term the difference of the two resources' times.
    """

    full, crowd = 1.0, 1.0
    """Share of capacity above which jobs wait, and how many wait for one that is too many."""
    table: Tensor
    """By machine: 1 / C, 1 / (C s), price, w_q (C_c / c) d crowd; one row to gather, `[M, 2 R + 2]`."""

    def __init__(self, instance: Instance) -> None:
        super().__init__()
        plant = make(instance, CPU)
        self.weights, self.resources = instance.config.weights, plant.capacity.shape[1]
        vcpu, steps = instance.mean_job
        waiting = self.crowd * self.weights.waiting * (plant.capacity[:, :1] / vcpu) * steps
        rate = plant.inverse / plant.speed.unsqueeze(-1)
        self.register_buffer("table", torch.cat([plant.inverse, rate, plant.price.unsqueeze(-1), waiting], -1))

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """phi_m of machines `index` `[B, A]` with coordinates (D, W) `[B, A, 2 R]`."""
        row = self.table.index_select(0, index.flatten()).view(*index.shape, -1)
        share, time = (block * row[..., : 2 * self.resources]).chunk(2, -1)
        price, waiting = row[..., -2], row[..., -1]
        excess = (share.amax(-1) - self.full).clamp(min=0)
        stranded = (time[..., 0] - time[..., 1]).abs()
        empty_in = self.weights.price * time.amax(-1)
        cost: Tensor = waiting * excess.square() + price * (empty_in + self.weights.stranded * stranded)
        return cost


class HeadroomModel(CapacityModel):
    """The same, that looks past its step (`cloud.headroom`).

    On a machine that is nearly full jobs to come will wait, so waiting counts from 80 % of capacity on; and those who
    come while others wait, wait as well, so each counts for two. Both were chosen on tuning arrivals.
    """

    full, crowd = 0.8, 2.0


class WaterFilling(DistanceModel):
    """Distance to the state that spreads a total over machines as evenly as what is there already allows.

    x~ minimises sum_m x_m^2 / (2 C_m) subject to sum_m x_m = total and x_m >= x0_m: what is on a machine before the
    action stays there (jobs do not migrate), and the total, new jobs included, is conserved. Solution:
    x~_m = max(x0_m, lambda C_m), with lambda by sorting, batched, differentiable in x0 and the total.
    """

    capacity: Tensor
    metric: Tensor

    def __init__(self, instance: Instance, first: int) -> None:
        super().__init__()
        plant = make(instance, CPU)
        self.first, self.resources = first, plant.capacity.shape[1]
        speed = plant.speed.unsqueeze(-1) if first else torch.ones(())
        self.register_buffer("capacity", plant.capacity * speed)
        metric = torch.zeros(len(plant.capacity), 2 * self.resources)
        metric[:, first : first + self.resources] = torch.where(self.capacity > 0, 1 / self.capacity, 0.0)
        self.register_buffer("metric", metric)

    def reference(self, context: Context) -> Tensor:
        """x~ `[B, M, 2 R]`; coordinates that the model does not speak of are zero and have no weight."""
        base, total = self.parameters_of(context)
        spread = water_fill(base.mT, self.capacity.mT, total).mT
        pad = torch.zeros_like(spread)
        return torch.cat([pad, spread] if self.first else [spread, pad], -1)

    def parameters_of(self, context: Context) -> tuple[Tensor, Tensor]:
        """x0 `[B, M, R]` and the total to spread `[B, R]`, from what is present before the action."""
        # A job that no candidate has room for is in no joint action, so it is in no total.
        demand = context["demand"] * (context["has_job"] & context["has_place"]).unsqueeze(-1)
        if self.first:
            base, new = context["work"], demand * context["steps"].unsqueeze(-1)
        else:
            base, new = context["requested"], demand
        return base, base.sum(1) + new.sum(1)

    def conserved(self, state: Tensor, context: Context) -> Tensor:
        """The total of each resource over machines, `[B, R]`: requests or work are placed, never lost."""
        return state[..., self.first : self.first + self.resources].sum(1)

    def weight(self) -> Tensor:
        """1 / C on the coordinates that count, `[M, 2 R]`."""
        return self.metric


def water_fill(base: Tensor, capacity: Tensor, total: Tensor) -> Tensor:
    """argmin sum_m x_m^2 / (2 C_m) subject to sum_m x_m = total, x_m >= base_m; exact, by sorting.

    Args:
        base: `[..., M]`, sum at most `total`.
        capacity: `[..., M]` or `[M]`, not negative; machines without any keep their base.
        total: `[...]`.
    """
    capacity = capacity.expand_as(base)
    level = torch.where(capacity > 0, base / capacity.clamp(min=1e-12), torch.inf)
    order = level.argsort(-1)
    rising_base = base.gather(-1, order).cumsum(-1)
    rising_capacity = capacity.gather(-1, order).cumsum(-1)
    left = total.unsqueeze(-1) - (base.sum(-1, keepdim=True) - rising_base)
    water = left / rising_capacity.clamp(min=1e-12)
    # With the j lowest machines free, the level must cover the j-th: the last j for which it does.
    covered = (water >= level.gather(-1, order)).sum(-1, keepdim=True)
    at = water.gather(-1, (covered - 1).clamp(min=0))
    return torch.where(level <= at, at * capacity, base)


def capacity(config: Config) -> CapacityModel:
    """`cloud.capacity`: the model's own cost of what is requested and left to do, blind to jobs to come."""
    return CapacityModel(build(config))


def headroom(config: Config) -> HeadroomModel:
    """`cloud.headroom`, the default: the same, with room kept for jobs to come."""
    return HeadroomModel(build(config))


def demand(config: Config) -> WaterFilling:
    """`cloud.demand`: distance to evenly spread requests."""
    return WaterFilling(build(config), 0)


def fluid(config: Config) -> WaterFilling:
    """`cloud.fluid`: distance to the fluid optimum of the work. Misleads (docs/cloud.md): kept as a control."""
    instance = build(config)
    return WaterFilling(instance, instance.capacity.shape[1])
