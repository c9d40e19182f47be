"""Rules to compare with: what operators do, the optimum with full information, and what nothing costs less than."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from dgpg.domain import Baseline, Context, Decision, Information, Role
from dgpg.files import Recall
from dgpg_power.config import Bounded, Config
from dgpg_power.grid import Grid, Grids
from dgpg_power.instance import build
from dgpg_power.programs import opf
from dgpg_power.reward import marginal

OPTIMUM = "dc-opf"
"""What figures hold a policy against."""
ROUNDS = 100
"""Steps of the line prices in `redispatch`."""
RATE = 3.0
"""First price step for a line at twice its limit, in differences between the dearest and the cheapest unit."""
MEMORY = 4096
"""Moments whose optimum a rule remembers."""
TARGET = 0.97
"""Share of its limit that `redispatch` aims to keep a line under."""


@dataclass(frozen=True)
class Rule:
    """Base points from a function of grid and context; the residual goes by size, as automatic control does."""

    name: str
    information: Information
    grids: Grids
    outputs: Callable[[Grid, Context], Tensor]
    role: Role = "baseline"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N, A]`."""
        grid = self.grids.like(noise)
        base = self.outputs(grid, decision.context).clamp(grid.unit_min.clamp(max=0), grid.unit_max)
        columns = [base, torch.full_like(base, 0.5)]
        return torch.stack(columns[: noise.shape[-1]], -1)


def by_merit(grid: Grid, context: Context) -> Tensor:
    """The cheapest units up to the forecast, lines or not."""
    return opf.merit_order(grid, context["load"].sum(-1), context["low"], context["high"])


def redispatch(grid: Grid, context: Context) -> Tensor:
    """Order of merit with a price on every line, raised while its measured and extrapolated flow is over its limit.

    Flows are those of the last step, moved by what outputs change. A price step is a subgradient step on the line's
    multiplier; outputs jump between pieces of the ranges, so the mean over the last half of the rounds is taken.
    """
    low, high, demand = context["low"], context["high"], context["load"].sum(-1)
    lines = grid.limited.nonzero().squeeze(-1)
    factors, reach, centre = grid.unit_factors[lines], TARGET * grid.reach[lines], grid.middle[lines]
    above, below = (x[lines].isfinite() for x in (grid.flow_max, grid.flow_min))
    share = (torch.arange(opf.PIECES, device=demand.device) + 0.5) / opf.PIECES
    middle = low.unsqueeze(-1) + (high - low).unsqueeze(-1) * share
    price = marginal(middle.transpose(1, 2), grid.curves).transpose(1, 2)
    last, total = context["last_flow"][:, lines], torch.zeros_like(low)
    up, down = torch.zeros_like(last), torch.zeros_like(last)
    spread = float(price.amax() - price.amin()) or 1.0
    for k in range(ROUNDS):
        adjusted = price + ((up - down) @ factors).unsqueeze(-1)
        output = opf.fill(adjusted.flatten(1), low, high, demand)
        flow = last + (output - context["last_output"]) @ factors.mT
        rate = RATE * spread / (1 + k) ** 0.5
        loading = (flow - centre) / reach
        up = (up + rate * (loading - 1)).clamp(min=0) * above
        down = (down - rate * (loading + 1)).clamp(min=0) * below
        total = total + output * (k >= ROUNDS // 2)
    return total / (ROUNDS - ROUNDS // 2)


def last_optimum(grid: Grid, context: Context) -> Tensor:
    """DC optimal power flow of the demand of the step before; automatic control does the rest."""
    load = context["last_load"]
    return opf.optimum(grid, load, load.sum(-1), context["low"], context["high"], None, opf.PRICED).output


def full_information(grid: Grid, context: Context) -> Tensor:
    """DC optimal power flow of the demand as it will turn out, losses and outages known."""
    demand, load, outage = context["demand"], context["oracle_load"], context["oracle_outage"].long()
    return opf.optimum(grid, load, demand, context["low"], context["high"], outage, opf.PRICED).output


def remembered(
    outputs: Callable[[Grid, Context], Tensor], told: tuple[str, ...], grids: Grids
) -> Callable[[Grid, Context], Tensor]:
    """`outputs`, on the CPU, of the parts of the context that are told; those that were seen are not solved again."""
    cpu = grids.like(torch.zeros(()))
    known = Recall(told, lambda *rows: outputs(cpu, dict(zip(told, rows, strict=True))), MEMORY)
    return lambda grid, context: known(context).to(context["demand"])


@dataclass(frozen=True)
class BoundRow:
    """No rule: whatever it does, its environment charges what no dispatch is below."""

    config: Bounded
    name: str = "bound"
    information: Information = "more"
    role: Role = "oracle"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Any action."""
        base = decision.context["low"]
        return torch.stack([base, torch.full_like(base, 0.5)][: noise.shape[-1]], -1)


RULES: tuple[tuple[str, Information, Callable[[Grid, Context], Tensor]], ...] = (
    ("merit-order", "same", by_merit),
    ("redispatch", "more", redispatch),
)


@lru_cache(maxsize=4)
def baselines(config: Config) -> Sequence[Baseline]:
    """Merit order, merit order with overload feedback, the optimum of the last step's demand and of each step's own.

    Where no step binds the next, by losses or ramps, the last is the optimum of all steps: nothing costs less. Else
    `bound` stands beside it, which nothing costs less than, and which need not be reached. The same for the same
    configuration: table, figures and judge meet the same moments.
    """
    instance = build(config)
    grids, network = Grids(instance), instance.network
    apart = not config.mismatch.losses and bool((network.ramp >= network.unit_max - network.unit_min).all())
    rules = [Rule(name, information, grids, outputs) for name, information, outputs in RULES]
    last = remembered(last_optimum, ("last_load", "low", "high"), grids)
    full = remembered(full_information, ("oracle_load", "demand", "low", "high", "oracle_outage"), grids)
    rules += [
        Rule("last-opf", "more", grids, last),
        Rule(OPTIMUM, "more", grids, full, "oracle" if apart else "baseline"),
    ]
    return rules if apart or (network.resistance < 0).any() else [*rules, BoundRow(Bounded(of=config))]
