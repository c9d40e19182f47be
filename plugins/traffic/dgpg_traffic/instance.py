"""What a configuration stands for: a network, routes, where policies begin and the scales of features. Built once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from dgpg.domain import random
from dgpg.errors import ConfigError
from dgpg_traffic.arrays import FloatArray
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM, USER_EQUILIBRIUM, Objective
from dgpg_traffic.assignment.fitness import FIT, Excess, Occasions, excess, fitted
from dgpg_traffic.assignment.routes import generate
from dgpg_traffic.config import Config, Splits
from dgpg_traffic.data.load import load_network
from dgpg_traffic.demand import draw, profile
from dgpg_traffic.network.bpr import implied_marginal, link_time, slowness
from dgpg_traffic.network.capacities import arbitrary, explained, suspicious
from dgpg_traffic.roads import Roads
from dgpg_traffic.settling import settled
from dgpg_traffic.system import PERIOD, System

SAMPLES = 16
"""Episodes whose optima scale the features."""
FLOOR = 1e-4
"""Share that policies begin with on a route that the first splits do not use, so that its logit is finite."""
LARGEST = 500_000
"""Shares that are solved for at once, at most: on large networks some of those periods have to do."""
ROUGH = 1e-4
"""Gap of those optima: features are scaled by them, nothing is compared with them."""
TRUE = "standard_b=0.15 (b of the delay function at true capacities) for capacities that follow from times"
"""How to get true capacities, in messages."""
SAME = ("network", "routes", "agents_per_pair")
"""Settings that an evaluation must share with the training."""
CHOKED = 1000.0
"""Flow over capacity of a link at which its capacity cannot be meant: who comes in a period waits for a month."""
STEADY = 0.02
"""Least deviation of a route's time and marginal cost, share of their mean: where demand never varies they do not."""


@dataclass(frozen=True)
class Scales:
    """Mean and deviation of what agents see, over optimal operation; deviations are positive."""

    route_time: FloatArray
    """`[2, N, K]`; mean 0 and deviation 1 in empty slots."""
    route_marginal: FloatArray
    """`[2, N, K]`."""
    congestion: FloatArray
    """Time over free-flow time, mean over links, `[2]`."""
    demand: FloatArray
    """Usual vehicles of each agent, those of the profile's 1, `[N]`."""
    noise: float
    """Deviation of demand, relative."""


@dataclass(frozen=True, eq=False)
class Instance(System):
    """A road network, where policies begin on it and what agents see of it."""

    first: FloatArray
    """Splits that policies begin at, `[N, K]`."""
    scales: Scales
    meaningless: bool
    """Whether capacities are arbitrary, see `network.capacities`."""
    notes: tuple[str, ...]

    @property
    def start(self) -> FloatArray:
        """Logits of the first splits, finite, `[N, K]`."""
        logits: FloatArray = np.log(np.maximum(self.first, FLOOR))
        return logits


@lru_cache(maxsize=8)
def build(config: Config) -> Instance:
    """The instance of a configuration.

    What features and logits mean is that of the training: its first splits and its scales.

    Raises:
        DataError: the network is missing or unusable.
        ConfigError: the training's agents or routes are others.
    """
    # Routes are for the demand that they will carry: those of half of it miss the optimum.
    network = load_network(
        config.network,
        toll_factor=config.toll_factor,
        distance_factor=config.distance_factor,
        standard_b=config.standard_b,
    ).scaled(demand=config.demand.scale)
    usual = profile(config.demand.profile, config.horizon)
    if config.trained is None:
        system = System(config, network, generate(network, most=config.routes), usual)
        days = _sampled(system)
        routes, beyond = fitted(network, system.routes, days.occasions(system), config.routes)
        system = replace(system, routes=routes)
        _refuse_queues(system)
        first, scales = _first(system, config.start), _measured(system, days)
    else:
        _check_same(config, config.trained)
        trained = build(config.trained)
        system = System(config, network, trained.routes, usual)
        _refuse_queues(system)
        beyond = excess(network, system.routes, _sampled(system).occasions(system))
        first, scales = trained.first, trained.scales
    meaningless = _meaningless(system)
    notes = (*_notes(system, beyond), *((f"{explained(network)}: flow over capacity means nothing",) * meaningless))
    return Instance(**vars(system), first=first, scales=scales, meaningless=meaningless, notes=notes)


@dataclass(frozen=True, eq=False)
class _Days:
    """S periods of sampled days: demand of agents `[S, N]` and capacity of links `[S, L]`."""

    demand: FloatArray
    capacity: FloatArray

    def occasions(self, system: System) -> Occasions:
        """The periods with the least, the median and the most demand, and the one with the least capacity."""
        order = self.demand.sum(-1).argsort(kind="stable")
        rows = [order[0], order[len(order) // 2], order[-1], (self.capacity / system.network.capacity).sum(-1).argmin()]
        demand = self.demand[rows].reshape(len(rows), system.network.num_pairs, -1).sum(-1)
        both = np.unique(np.concatenate([demand, self.capacity[rows]], -1), axis=0)
        return Occasions(*(np.ascontiguousarray(x) for x in np.split(both, [demand.shape[1]], -1)))


def _sampled(system: System) -> _Days:
    """What happens on days that are like those to come."""
    seed = random.derive(system.config.seed, "statistics")
    days = [draw(np.random.default_rng(seed + e), system) for e in range(SAMPLES)]
    return _Days(*(np.concatenate([day[name][:-1] for day in days]) for name in ("demand", "capacity")))


def _check_same(config: Config, trained: Config) -> None:
    for name in SAME:
        told, expected = getattr(trained, name), getattr(config, name)
        if told != expected:
            reason = "a policy acts for the pairs and routes that it was trained for: evaluate it in those"
            raise ConfigError(f"trained.{name} = {told!r}, expected {expected!r}: {reason}")


def _first(system: System, start: Splits) -> FloatArray:
    """Splits `[N, K]` at the usual demand, mean over the day."""
    if start == "shortest":
        shortest = np.zeros((system.num_agents, system.routes.exists.shape[1]))
        shortest[:, 0] = 1.0
        return shortest
    objective = {"user-equilibrium": USER_EQUILIBRIUM, "system-optimum": SYSTEM_OPTIMUM}[start]
    return _of_usual(system, system.roads(torch.device("cpu"), torch.float64), objective)


def _of_usual(system: System, roads: Roads, objective: Objective) -> FloatArray:
    """Splits `[N, K]` at the usual demand, mean over the day, on empty roads."""
    demand = torch.from_numpy(system.by_agent(system.network.demand * system.profile.mean())).unsqueeze(0)
    nobody = demand.new_zeros(1, roads.loading.num_legs)
    found: FloatArray = settled(roads, objective, demand, nobody, roads.links.capacity.unsqueeze(0))[0].numpy()
    return found


def _measured(system: System, days: _Days) -> Scales:
    """What is seen on sampled days; with queues, these build up over each day."""
    exists, unused = system.routes.exists.repeat(system.config.agents_per_pair, 0), np.array([0.0, 1.0])[:, None, None]
    roads = system.roads(torch.device("cpu"), torch.float64)
    time = (_queued if system.config.queues else _static)(system, roads, days)
    price = implied_marginal(roads.links, time)
    route_time, route_marginal = (np.where(exists, _moments(roads.incidence.cost(x)), unused) for x in (time, price))
    return Scales(
        route_time,
        route_marginal,
        congestion=_moments(slowness(time, roads.links.free_time)),
        demand=system.by_agent(np.array(system.network.demand)),
        noise=max(system.config.demand.noise, STEADY),
    )


def _queued(system: System, roads: Roads, days: _Days) -> torch.Tensor:
    """Times of links, `[S, L]`, under the optimum's splits of the usual demand."""
    splits = torch.from_numpy(_of_usual(system, roads, SYSTEM_OPTIMUM))
    horizon, found = system.config.horizon, []
    demand, capacity = (torch.from_numpy(x.reshape(-1, horizon, x.shape[1])) for x in (days.demand, days.capacity))
    waiting = demand.new_zeros(len(demand), roads.loading.num_legs)
    for t in range(horizon):
        loaded = roads.load(splits.expand(len(demand), -1, -1), demand[:, t], waiting, capacity[:, t])
        waiting = loaded.waiting
        found.append(roads.loading.time(loaded, loaded.left))
    return torch.cat(found)


def _static(system: System, roads: Roads, days: _Days) -> torch.Tensor:
    """Times of links, `[S, L]`, at the optimum of each demand, incidents left out."""
    of_days = days.demand
    distinct, count = np.unique(of_days, axis=0, return_counts=True)  # of a static problem one
    if len(distinct) > 1:
        some = max(2, LARGEST // system.routes.exists.size // system.config.agents_per_pair)
        rows = np.unique(np.linspace(0, len(of_days) - 1, min(some, len(of_days))).round().astype(int))
        distinct, count = of_days[rows], np.ones(len(rows), np.int64)
    demand = torch.from_numpy(distinct)
    capacity = roads.links.capacity.expand(len(demand), -1)
    splits = roads.assigned(SYSTEM_OPTIMUM, demand, capacity, tolerance=ROUGH)
    flow = roads.flow(splits, demand).repeat_interleave(torch.from_numpy(count), 0)
    return link_time(roads.links, flow)


def _moments(x: torch.Tensor) -> FloatArray:
    """Mean and deviation of `[S, ...]`, `[2, ...]`; the deviation is at least a part of the mean."""
    mean = x.mean(0)
    deviation = x.std(0).maximum(STEADY * mean.abs()).clamp(min=1e-9)
    found: FloatArray = torch.stack([mean, deviation]).numpy()
    return found


def _refuse_queues(system: System) -> None:
    if not system.config.queues:
        return
    network = system.network
    if _meaningless(system):
        raise ConfigError(f"queues = True: {explained(network)}: set queues=false, or {TRUE}")
    if (network.capacity * CHOKED < network.demand.sum()).any():  # else no flow of a link is as large
        flow = _usual_flow(system)
        link = int((flow / network.capacity).argmax())
        if flow[link] > CHOKED * network.capacity[link]:
            wanted = f"{flow[link]:.3g} want to pass in a period and {network.capacity[link]:.3g} can"
            raise ConfigError(
                f"queues = True: {network.link_name(link)} has no capacity to speak of: {wanted}. Correct its "
                "capacity in the file (or standard_b, demand.scale, if you set them), or set queues=false"
            )


def _meaningless(system: System) -> bool:
    """Are capacities arbitrary, at the equilibrium of the usual demand."""
    return suspicious(system.network) and arbitrary(system.network, _usual_flow(system))


def _usual_flow(system: System) -> FloatArray:
    """Flows of links in the equilibrium of the usual demand, `[L]`."""
    demand = torch.from_numpy(system.by_agent(system.network.demand.copy()))[None]
    roads = system.roads(torch.device("cpu"), torch.float64)
    splits = roads.assigned(USER_EQUILIBRIUM, demand, roads.links.capacity[None])
    flow: FloatArray = roads.flow(splits, demand)[0].numpy()
    return flow


def _fit(system: System, beyond: Excess) -> str:
    """How far the optimum on the routes is from the true one, and what to do where it is far."""
    share = 100 * beyond.most
    told = f"optimum and equilibrium on these routes are at most {max(share, 1e-5):.2g} % above those on all routes"
    if not np.isfinite(share):
        told = "optimum or equilibrium on these routes may be many times that on all routes"
    if beyond.most <= FIT:
        return told
    if system.config.trained is not None:
        return f"{told}: they are the routes of the training; train with these settings"
    return f"{told}, expected {100 * FIT:g} %: set routes to more than {system.config.routes}"


def _notes(system: System, beyond: Excess) -> tuple[str, ...]:
    """What a user should read before a run."""
    config, network = system.config, system.network
    count: NDArray[np.int64] = system.routes.exists.sum(1)
    size = f"{network.name}: {network.num_pairs} pairs, {network.num_links} links, {network.demand.sum():,.0f} vehicles"
    chosen = f"up to {count.max()} routes a pair, {count.mean():.1f} on average, {(count == 1).sum()} pairs have one"
    unit = f"a period is an hour, {PERIOD / config.time_unit:g} of the network's units of time (time_unit)"
    carried = f"vehicles queue; {unit}" if config.queues else "periods are static problems"
    return (size, chosen, _fit(system, beyond), carried, *network.notes)
