"""What each unit sees, by level, and what the analytical model may look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from dgpg.domain import Context, Decision, Feature, Features, Names, Observation
from dgpg_power.deploy.scales import BOUND, CHANGE, Scales
from dgpg_power.dynamics import balanced, next_range
from dgpg_power.grid import Grid, make_grid
from dgpg_power.instance import Instance
from dgpg_power.load import Tape
from dgpg_power.reward import marginal


@dataclass(frozen=True)
class Past:
    """What the last step left behind."""

    output: Tensor
    """p, MW, `[B, N]`."""
    flow: Tensor
    """f, MW, `[B, L]`."""
    residual: Tensor
    """Demand less the sum of base points, MW, `[B]`."""
    losses: Tensor
    """MW, `[B]`."""


@dataclass(frozen=True)
class Sight:
    """Tensors that turn quantities into features: means, deviations and which lines a unit sees."""

    level: str
    load: Tensor
    """Mean and deviation of each unit's local load, `[2, N]`; zero mean and unit deviation where there is none."""
    here: Tensor
    """Local loads: the bus of each unit, int64 `[N]`."""
    total: Tensor
    """`[2]`."""
    loading: Tensor
    """`[2, L]`."""
    base_loading: Tensor
    """`[2, L]`."""
    own_lines: Tensor
    """int64 `[N, 8]`."""
    broadcast: Tensor
    """int64 `[20]`."""
    area: Tensor
    """Share of each unit in the mean of a unit's area, `[N, N]`."""
    fixed: Tensor
    """What never changes of a unit, `[N, 4]`: limits over the largest unit, marginal costs over the dearest."""
    buses: Tensor
    """Mean and deviation of every load, `[2, nb]`, for the critic."""


def make_sight(instance: Instance, grid: Grid, device: torch.device) -> Sight:
    """Scales of an instance on a device."""
    network, scales = instance.network, instance.scales

    def tensor(x: object) -> Tensor:
        return torch.as_tensor(np.array(x), dtype=torch.float32, device=device)

    area = np.array(network.area)[network.unit_bus]
    same = (area[:, None] == area).astype(np.float64)
    most = grid.unit_max.abs().amax().clamp(min=1e-6)
    cheap, dear = marginal(grid.unit_min, grid.curves), marginal(grid.unit_max, grid.curves)
    top = torch.maximum(cheap.abs(), dear.abs()).amax().clamp(min=1e-6)
    return Sight(
        level=instance.config.observation,
        load=tensor(scales.load[:, network.unit_bus]),
        here=grid.unit_bus,
        total=tensor(scales.total[:, 0]),
        loading=tensor(np.nan_to_num(scales.loading)),
        base_loading=tensor(np.nan_to_num(scales.base_loading)),
        own_lines=torch.as_tensor(instance.own_lines, device=device),
        broadcast=torch.as_tensor(instance.broadcast, device=device),
        area=tensor(same / same.sum(1, keepdims=True)),
        fixed=torch.stack([grid.unit_min / most, grid.unit_max / most, cheap / top, dear / top], -1),
        buses=tensor(scales.load),
    )


def sizes(instance: Instance) -> tuple[int, int]:
    """Numbers of features of an agent and of the central critic."""
    own, wide = instance.own_lines.shape[1], len(instance.broadcast)
    extra = {"A": 0, "B": 2, "C": 2 + own, "P": 2 + own + wide}[instance.config.observation]
    network = instance.network
    return 13 + extra, 2 * network.num_units + network.num_buses + network.num_lines + 3


def make_context(grid: Grid, tape: Tape, past: Past, t: int) -> Context:
    """What is fixed before the action of step t."""
    low, high = next_range(past.output, tape.least[t], tape.most[t], grid.ramp, tape.most[t])
    demand = tape.load[t].sum(-1) + past.losses
    told = tape.forecast[t]
    return {
        "low": low, "high": high, "available": tape.most[t], "demand": demand,
        # The model's own loads add up to what will be generated, so that its flows balance.
        "load": balanced(told, demand),
        "last_load": tape.load[t - 1] if t else told, "last_flow": past.flow, "last_output": past.output,
        # What only the row with full information looks at; no model of this plugin does.
        "oracle_load": balanced(tape.load[t], demand), "oracle_outage": tape.outage[t],
    }  # fmt: skip


def decide(grid: Grid, sight: Sight, tape: Tape, past: Past, t: int) -> Decision:
    """The moment of decision of step t."""
    context, mask = make_context(grid, tape, past, t), (tape.most[t] > 0).unsqueeze(-1)
    features = partial(make_features, grid, sight, context, past, tape.forecast[t], tape.clock[t])
    return Decision(Observation.on_request(mask, features), context)


def make_features(grid: Grid, sight: Sight, context: Context, past: Past, told: Tensor, clock: Tensor) -> Features:
    """What units see of forecasts `told` `[B, nb]` at `clock` `[B, 2]`, at the level of `sight`."""
    total = _scaled(told.sum(-1), sight.total)
    agent = _own(grid, sight, context, past, told, total, clock)
    if sight.level in "BCP":
        agent = torch.cat([agent, _feedback(grid, sight, past)], -1)
    if sight.level in "CP":
        agent = torch.cat([agent, _loading(past.flow, grid, sight.loading)[:, sight.own_lines]], -1)
    if sight.level == "P":
        base = _loading(grid.loop_flow - told @ grid.bus_factors.mT, grid, sight.base_loading)[:, sight.broadcast]
        agent = torch.cat([agent, base.unsqueeze(1).expand(-1, agent.shape[1], -1)], -1)
    central = [
        _scaled(told, sight.buses),
        past.output / grid.unit_max.clamp(min=1e-6),
        (context["high"] - context["low"]) / grid.unit_max.clamp(min=1e-6),
        _loading(past.flow, grid, sight.loading),
        total.unsqueeze(-1),
        clock,
    ]
    choices = agent.new_zeros(*agent.shape[:2], 1, 0)
    return agent.clamp(-BOUND, BOUND), choices, torch.cat(central, -1).clamp(-BOUND, BOUND)


def _own(grid: Grid, sight: Sight, context: Context, past: Past, told: Tensor, total: Tensor, clock: Tensor) -> Tensor:
    """Level A, `[B, N, 13]`: how local and total load changed since the last step is each unit's own memory."""
    span = (grid.unit_max - grid.unit_min).clamp(min=1e-6)
    moving = [(x - grid.unit_min) / span for x in (context["low"], context["high"], past.output)]
    local = _scaled(told[:, sight.here], sight.load)
    envs, agents = local.shape
    common = torch.cat([total.unsqueeze(-1), clock], -1).unsqueeze(1).expand(-1, agents, -1)
    fixed = sight.fixed.expand(envs, -1, -1)
    last = context["last_load"]
    change = (local - _scaled(last[:, sight.here], sight.load), (total - _scaled(last.sum(-1), sight.total))[:, None])
    changes = torch.stack([x.expand(envs, agents) / CHANGE for x in change], -1)
    return torch.cat([fixed, torch.stack([*moving, local], -1), common, changes], -1)


def _feedback(grid: Grid, sight: Sight, past: Past) -> Tensor:
    """Level B: the last residual, in deviations of demand, and the price of overloads in the area, `[B, N, 2]`."""
    residual = (past.residual / sight.total[1]).unsqueeze(-1).expand(-1, len(grid.unit_bus))
    over = (past.flow > grid.flow_max).float() - (past.flow < grid.flow_min).float()
    price = over @ grid.unit_factors @ sight.area.mT
    return torch.stack([residual, price], -1)


def _loading(flow: Tensor, grid: Grid, scale: Tensor) -> Tensor:
    """Loading, standardised, `[B, L]`; 0 where there is no limit."""
    return _scaled(grid.loading(flow), scale)


def _scaled(x: Tensor, moments: Tensor) -> Tensor:
    return (x - moments[0]) / moments[1]


def plain(instance: Instance) -> Scales:
    """What `dgpg_power.deploy` needs of an instance to make the same features."""
    network, wide, device = instance.network, instance.broadcast, torch.device("cpu")
    grid = make_grid(instance, device)
    sight = make_sight(instance, grid, device)
    areas, area = np.unique(np.array(network.area)[network.unit_bus], return_inverse=True)
    first = [int(np.argmax(area == k)) for k in range(len(areas))]
    told = instance.config.observation == "P"
    wide = wide if told else wide[:0]
    return Scales(
        level=instance.config.observation,
        shares=instance.config.action == "participation",
        units=network.unit_name,
        buses=tuple(network.bus_number.tolist()),
        lines=tuple(zip(*(network.bus_number[x].tolist() for x in (network.line_from, network.line_to)), strict=True)),
        unit_bus=network.unit_bus,
        unit_min=grid.unit_min.numpy(),
        unit_max=grid.unit_max.numpy(),
        ramp=grid.ramp.clamp(max=1e9).numpy(),
        fixed=sight.fixed.numpy(),
        local=sight.load.numpy(),
        total=sight.total.numpy(),
        middle=grid.middle.numpy(),
        within=(1 / grid.reach).numpy(),
        loading=sight.loading.numpy(),
        own_lines=instance.own_lines,
        area=area,
        area_factors=(grid.unit_factors @ sight.area[first].mT).numpy(),
        broadcast=wide,
        base_loading=sight.base_loading[:, wide].numpy(),
        base_factors=grid.bus_factors[wide].numpy(),
        base_flow=grid.loop_flow[wide].numpy(),
    )


def names(instance: Instance) -> Names:
    """What `make_features` gives at the instance's level, in its order."""
    level, own, wide = instance.config.observation, instance.own_lines.shape[1], len(instance.broadcast)
    relative, deviations = "1, of the largest", "deviations"
    agent = [
        Feature("least output", relative, "of the unit, over the largest of all"),
        Feature("largest output", relative, "of the unit, over the largest of all"),
        Feature("marginal cost at least", relative, "over the dearest of all"),
        Feature("marginal cost at most", relative, "over the dearest of all"),
        Feature("lower bound", "1, of the range", "of the output in this step, by ramps and commitment"),
        Feature("upper bound", "1, of the range", "of the output in this step"),
        Feature("last output", "1, of the range", ""),
        Feature("local load", deviations, "forecast of the unit's bus"),
        Feature("total load", deviations, "forecast"),
        Feature("sine of time", "1", "of day"),
        Feature("cosine of time", "1", "of day"),
        Feature("change of local load", deviations, "since the last step"),
        Feature("change of total load", deviations, "since the last step"),
    ]
    if level in "BCP":
        agent.append(Feature("last residual", deviations, "demand less base points in the last step"))
        agent.append(Feature("price of overloads", "1", "in the unit's area, last step"))
    if level in "CP":
        agent += [Feature(f"loading {n}", deviations, "last flow of a line that the unit moves") for n in range(own)]
    if level == "P":
        agent += [Feature(f"base loading {n}", deviations, "of a line that binds, broadcast") for n in range(wide)]
    action = (Feature("base point", "MW", "output asked for"), Feature("share", "1", "of the residual, relative"))
    return Names(tuple(agent), (), action[: 1 if instance.config.action == "set-point" else 2])
