"""The analytical model: what all who count spend on edges, fitted to the days seen, and what it errs by for each route.

    phi(x) = sum over cells  c (a + s (n - 1) + q m)  +  sum over routes taken  b_ik

n cars enter a cell, of which the objective counts c, and m cross at its junction. The marginal of a choice is its own
time, what it makes others wait who count, and b_ik: what driver i took on route k above the model's time.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from dgpg.domain import Context, CostModel, Experience
from dgpg_traffic.sumo.cells import CARS, COUNTED, CROSSING, Cells, load, make, timetable
from dgpg_traffic.sumo.config import Config, Fit
from dgpg_traffic.sumo.evidence import Seen, solve, sums
from dgpg_traffic.sumo.instance import Instance, build

LONGEST = 10.0
"""Minutes on an edge beyond which more says nothing of its load."""
LEAST = 0.5
"""Share of the time without traffic below which a cell was not passed by all who were to pass it."""
SHRINK, HANDED = 0.5, 0.7
"""Days that no bias counts as; share of a driver's bias that untried routes are given: the same hour and ends."""


class FittedTimes(CostModel):
    """Times of edges that are linear in their load, `dgpg_traffic.sumo.evidence`, and a bias for each driver and route.

    Args:
        instance: the town.
        cells: of it.
        settings: of the fit.
    """

    coefficient: Tensor
    bias: Tensor
    square: Tensor
    product: Tensor
    tried: Tensor
    missed: Tensor
    edge: Tensor
    index: Tensor
    mine: Tensor
    free: Tensor

    def __init__(self, instance: Instance, cells: Cells, settings: Fit) -> None:
        super().__init__()
        self.settings = settings
        free = torch.from_numpy(instance.network.free_time / 60)
        agents, routes = instance.mask.shape
        for name, fixed in (
            ("edge", torch.from_numpy(cells.edge)), ("index", torch.from_numpy(cells.index)), ("free", free),
            ("mine", torch.from_numpy(cells.value[..., CARS]).float()),
        ):  # fmt: skip
            self.register_buffer(name, fixed, persistent=False)
        square, product = _past(instance, settings) if settings.past else sums(_nothing(), len(free))
        self.register_buffer("square", square)
        self.register_buffer("product", product)
        self.register_buffer("coefficient", torch.zeros(len(free), 3))
        for name in ("bias", "tried", "missed"):
            self.register_buffer(name, torch.zeros(agents, routes))
        self._solve()

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """phi_g, `[B, A]`, minutes, of blocks `[B, A, 3]`: cars, those that count, those that cross."""
        per_car, slope, cross = self.of_blocks()[index].unbind(-1)
        others = (block[..., CARS] - 1).clamp(min=0)
        minutes: Tensor = per_car + slope * others + cross * block[..., CROSSING]
        return block[..., COUNTED] * minutes

    def fit(self, experience: Experience) -> Mapping[str, float]:
        """Take in days; what foretold them, `model_r2`, is of before they were known."""
        state, cost = experience.state.flatten(0, 1), experience.block_cost
        if cost is None or experience.local_reward is None:
            return {}
        seen = self._seen(state, cost.flatten(0, 1))
        logged = {"model_r2": self._foretold(seen)}
        square, product = sums(seen, len(self.free))
        self.square.mul_(self.settings.decay).add_(square)
        self.product.mul_(self.settings.decay).add_(product)
        together = self._solve()
        minutes = -experience.local_reward.flatten(0, 1)
        logged["model_bias"] = self._learn_bias(state, experience.actions.flatten(0, 1), minutes)
        return logged | {"model_slope": float(together[0]), "model_crossing": float(together[1])}

    def of_blocks(self) -> Tensor:
        """Coefficients of every block, `[G, 3]`; of biases only what is above the least of a driver's matters."""
        above = (self.bias - self.bias.amin(-1, keepdim=True)).flatten()
        routes = torch.stack([above, torch.zeros_like(above), torch.zeros_like(above)], -1)
        return torch.cat([self.coefficient[self.edge], routes])

    def _seen(self, state: Tensor, cost: Tensor) -> Seen:
        """Cells of days `[D, G, 3]` that somebody who counts passed."""
        count = len(self.edge)
        cells, cost = state[:, :count].double(), cost[:, :count].double()
        edge = self.edge.expand(len(cells), -1)
        cars = cells[..., COUNTED]
        minutes = cost / cars.clamp(min=1)
        known = (cars > 0) & (minutes >= LEAST * self.free[edge])
        loads = torch.stack([torch.ones_like(cars), (cells[..., CARS] - 1).clamp(min=0), cells[..., CROSSING]], -1)
        return Seen(edge[known], loads[known], minutes[known].clamp(max=LONGEST), cars[known])

    def _foretold(self, seen: Seen) -> float:
        """Share of the variance of times in cells."""
        error = seen.minutes - (seen.load * self.coefficient[seen.edge]).sum(-1)
        mean = (seen.cars * seen.minutes).sum() / seen.cars.sum().clamp(min=1)
        total = (seen.cars * (seen.minutes - mean).square()).sum()
        return float(1 - (seen.cars * error.square()).sum() / total.clamp(min=1e-12))

    def _solve(self) -> Tensor:
        found, together = solve(self.square, self.product, self.free, self.settings.ridge)
        self.coefficient = found.float()
        return together

    def _learn_bias(self, state: Tensor, actions: Tensor, minutes: Tensor) -> float:
        """What measured times `[D, N]` were above the model's, by driver and route; root mean square of the newest."""
        if not self.settings.own:
            return 0.0
        agents = torch.arange(actions.shape[1], device=actions.device)
        coefficient, missed = self.of_blocks(), torch.zeros(())
        for day, taken, measured in zip(state, actions.long(), minutes, strict=True):
            blocks, mine = self.index[agents, taken], self.mine[agents, taken]
            there, per = day[blocks], coefficient[blocks]
            load = torch.stack([torch.ones_like(mine), (there[..., CARS] - 1).clamp(min=0), there[..., CROSSING]], -1)
            missed = measured - (mine * (per * load).sum(-1)).sum(-1)
            self.tried.mul_(self.settings.own)
            self.missed.mul_(self.settings.own)
            self.tried[agents, taken] += 1
            self.missed[agents, taken] += missed
        of_driver = HANDED * self.missed.sum(-1, keepdim=True) / (self.tried.sum(-1, keepdim=True) + SHRINK)
        self.bias = of_driver + (self.missed - self.tried * of_driver) / (self.tried + SHRINK)
        return float(missed.square().mean().sqrt())


def _nothing() -> Seen:
    none = torch.zeros(0, dtype=torch.double)
    return Seen(none.long(), none.view(0, 1).expand(0, 3), none, none)


def _past(instance: Instance, settings: Fit) -> tuple[Tensor, Tensor]:
    """Sums of people's last days: all drivers, every cell."""
    table, people, edges = timetable(instance, settings.window_s), instance.humans, instance.days.edges
    size, everyone = len(instance.network.edges), np.arange(len(edges))
    square, product = sums(_nothing(), size)
    for choice, passed in zip(people.choices, people.passed, strict=True):
        cars, junctions = load(table, choice, everyone, size)
        entry, there = table.entry[everyone, choice], ~np.isnan(passed)
        count = np.bincount(entry[there], minlength=len(cars))
        minutes = np.bincount(entry[there], passed[there] / 60, len(cars)) / np.maximum(count, 1)
        cell = np.flatnonzero(count)
        edge = cell // table.span
        crossing = junctions[instance.network.head[edge] * table.span + cell % table.span] - cars[cell]
        loads = np.stack([np.ones(len(cell)), np.maximum(cars[cell] - 1, 0), crossing], -1)
        parts = (edge, loads, np.minimum(minutes[cell], LONGEST), count[cell].astype(float))
        found = sums(Seen(*map(torch.from_numpy, parts)), size)
        square = settings.decay * square + found[0]
        product = settings.decay * product + found[1]
    return square, product


def fitted_times(config: Config) -> FittedTimes:
    """`sumo.fitted-times`."""
    instance = build(config)
    return FittedTimes(instance, make(instance, config.fit.window_s), config.fit)
