"""What each agent sees, and what the analytical model may look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from dgpg.domain import Context, Decision, Feature, Features, Names, Observation
from dgpg_traffic.demand import Tape
from dgpg_traffic.deploy.scales import BOUND, LEVEL, Scales
from dgpg_traffic.dynamics import Loaded
from dgpg_traffic.instance import Instance
from dgpg_traffic.network.bpr import implied_marginal, slowness
from dgpg_traffic.roads import Roads

AGENT, CHOICE = 6, 2
"""Numbers of features of an agent and of each of its routes."""


NAMES = Names(
    (
        Feature("demand", "deviations", "vehicles of this period over the usual number"),
        Feature("change of demand", "deviations", "since the last period"),
        Feature("congestion", "deviations", "how slow the network was in the last period"),
        Feature("usual demand", f"{LEVEL:g}", "profile of the day, less its mean"),
        Feature("sine of time", "1", "of day"),
        Feature("cosine of time", "1", "of day"),
    ),
    (
        Feature("time", "deviations", "of the route in the last period"),
        Feature(
            "marginal time",
            "deviations",
            "what one more vehicle costs all, by the delay functions at that time",
        ),
    ),
    (Feature("share", "1", "of the vehicles on each route"),),
)
"""What `decide` makes, in its order; everything is bent to within `BOUND`."""


@dataclass(frozen=True)
class Past:
    """What the last period left behind."""

    waiting: Tensor
    """Vehicles still on the road, by the leg before which they wait, `[B, J]`."""
    flow: Tensor
    """Vehicles that passed each link, `[B, L]`."""
    left: Tensor
    """Those that wait before it, `[B, L]`."""
    time: Tensor
    """Of each link, for who comes to it next, `[B, L]`."""
    demand: Tensor
    """Of each agent, `[B, N]`."""


def make_past(roads: Roads, loaded: Loaded, waiting: Tensor, demand: Tensor) -> Past:
    """What a period leaves behind, of whose vehicles `waiting` `[B, J]` are still there."""
    loading = roads.loading
    left = loading.on_links(waiting)
    return Past(waiting, loaded.passes, left, loading.time(loaded, left), demand)


@dataclass(frozen=True)
class Sight:
    """Tensors that turn quantities into features."""

    route_time: Tensor
    """Mean and deviation, `[2, N, K]`."""
    route_marginal: Tensor
    """`[2, N, K]`."""
    congestion: Tensor
    """`[2]`."""
    demand: Tensor
    """Usual vehicles, `[N]`."""
    noise: float
    usual: Tensor
    """Profile, `[T]`."""
    clock: Tensor
    """Sine and cosine of the time of day, `[T, 2]`."""


def make_sight(instance: Instance, device: torch.device) -> Sight:
    """Scales of an instance on a device."""
    scales = instance.scales

    def tensor(x: object) -> Tensor:
        return torch.as_tensor(np.array(x), dtype=torch.float32, device=device)

    angle = 2 * np.pi * (np.arange(instance.config.horizon) + 0.5) / instance.config.horizon
    return Sight(
        route_time=tensor(scales.route_time),
        route_marginal=tensor(scales.route_marginal),
        congestion=tensor(scales.congestion),
        demand=tensor(scales.demand),
        noise=scales.noise,
        usual=tensor(instance.profile),
        clock=tensor(np.stack([np.sin(angle), np.cos(angle)], -1)),
    )


def plain(instance: Instance) -> Scales:
    """What `dgpg_traffic.deploy` needs of an instance to make the same features."""
    sight, network = make_sight(instance, torch.device("cpu")), instance.network
    number = network.node_number
    return Scales(
        per_pair=instance.config.agents_per_pair,
        pairs=np.stack([number[network.origin], number[network.destination]], -1),
        links=np.stack([number[network.tail], number[network.head]], -1),
        routes=instance.routes.links,
        free_time=network.free_time.astype(np.float32),
        power=network.power.astype(np.float32),
        first=instance.first.astype(np.float32),
        route_time=sight.route_time.numpy(),
        route_marginal=sight.route_marginal.numpy(),
        congestion=sight.congestion.numpy(),
        demand=sight.demand.numpy(),
        noise=float(sight.noise),
        usual=sight.usual.numpy(),
    )


def central_size(instance: Instance) -> int:
    """Number of features of the central critic."""
    return instance.num_agents + 2 * instance.network.num_links + 4


def make_context(tape: Tape, past: Past, t: int) -> Context:
    """What is fixed before the action of period t."""
    return {
        "demand": tape.demand[t], "waiting": past.waiting, "period": tape.period[t], "last_time": past.time,
        # What only the rows with full information look at; no model of this plugin does.
        "oracle_capacity": tape.capacity[t],
    }  # fmt: skip


def decide(roads: Roads, sight: Sight, tape: Tape, past: Past, t: int) -> Decision:
    """The moment of decision of period t."""
    context = make_context(tape, past, t)
    mask = roads.incidence.exists.expand(len(past.flow), *roads.incidence.shape)
    return Decision(Observation.on_request(mask, partial(make_features, roads, sight, context, past)), context)


def make_features(roads: Roads, sight: Sight, context: Context, past: Past) -> Features:
    """What an agent sees of its demand, of the network and of its routes, after the period of `past`."""
    now = context["period"]
    level, before = (sight.usual[x].unsqueeze(-1) for x in (now, now - 1))
    own = (context["demand"] / (sight.demand * level) - 1) / sight.noise
    change = own - (past.demand / (sight.demand * before) - 1) / sight.noise
    price = implied_marginal(roads.links, past.time)
    slow = _scaled(slowness(past.time, roads.links.free_time), sight.congestion).unsqueeze(-1)
    common = torch.cat([slow, (level - 1) / LEVEL, sight.clock[now]], -1)
    agents = own.shape[-1]
    agent = torch.cat([torch.stack([own, change], -1), common.unsqueeze(1).expand(-1, agents, -1)], -1)
    routes = [
        _scaled(roads.incidence.cost(cost), scale)
        for cost, scale in ((past.time, sight.route_time), (price, sight.route_marginal))
    ]
    nominal = roads.links.capacity
    central = torch.cat([own, past.flow / nominal, past.left / nominal, common], -1)
    return _bent(agent), _bent(torch.stack(routes, -1)), _bent(central)


def _scaled(x: Tensor, moments: Tensor) -> Tensor:
    return (x - moments[0]) / moments[1]


def _bent(x: Tensor) -> Tensor:
    return BOUND * torch.tanh(x / BOUND)
