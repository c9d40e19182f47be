"""What a configuration stands for: a network, routes, where policies begin and the scales of features. Built once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from dgpg import random
from dgpg.errors import ConfigError

from .arrays import FloatArray
from .assignment import SYSTEM_OPTIMUM, USER_EQUILIBRIUM
from .bpr import link_time, marginal, slowness
from .config import Config, Splits
from .data.load import load_network
from .demand import draw, profile
from .incidence import Routes
from .network import Network
from .roads import Roads, make_roads
from .routes import generate

SAMPLES = 16
"""Episodes whose optima scale the features."""
FLOOR = 1e-4
"""Share that policies begin with on a route that the first splits do not use, so that its logit is finite."""
SAME = ("network", "routes", "agents_per_pair")
"""Settings that an evaluation must share with the training."""
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
class Instance:
    """A configured network."""

    config: Config
    network: Network
    """With its demand scaled."""
    routes: Routes
    """Of each pair, `[pairs, K, P]`."""
    profile: FloatArray
    """Usual demand of each period, share of the network's own, `[T]`."""
    first: FloatArray
    """Splits that policies begin at, `[N, K]`."""
    scales: Scales
    notes: tuple[str, ...]

    @property
    def num_agents(self) -> int:
        """N."""
        return self.network.num_pairs * self.config.agents_per_pair

    @property
    def start(self) -> FloatArray:
        """Logits of the first splits, finite, `[N, K]`."""
        logits: FloatArray = np.log(np.maximum(self.first, FLOOR))
        return logits

    def by_agent(self, demand: FloatArray) -> FloatArray:
        """Vehicles of each agent `[..., N]` of those of pairs `[..., pairs]`: agents of a pair share them alike."""
        return np.repeat(demand / self.config.agents_per_pair, self.config.agents_per_pair, -1)

    def roads(self, device: torch.device, dtype: torch.dtype = torch.float32) -> Roads:
        """Its links and routes as tensors."""
        return make_roads(self.network, self.routes, self.config.agents_per_pair, device, dtype)


@lru_cache(maxsize=8)
def build(config: Config) -> Instance:
    """The instance of a configuration.

    What features and logits mean is that of the training: its first splits and its scales.

    Raises:
        DataError: the network is missing or unusable.
        ConfigError: the training's agents or routes are others.
    """
    network = load_network(config.network)
    routes = generate(network, most=config.routes)
    network = network.scaled(demand=config.demand.scale)
    usual = profile(config.demand.profile, config.horizon)
    agents, slots = network.num_pairs * config.agents_per_pair, routes.exists.shape[1]
    nothing = Scales(np.zeros((2, agents, slots)), np.zeros((2, agents, slots)), np.zeros(2), np.zeros(agents), 0.0)
    bare = Instance(config, network, routes, usual, np.zeros((agents, slots)), nothing, _notes(config, network, routes))
    if config.trained is not None:
        _check_same(config, config.trained)
        trained = build(config.trained)
        return replace(bare, first=trained.first, scales=trained.scales)
    return replace(bare, first=_first(bare, config.start), scales=_measured(bare))


def _check_same(config: Config, trained: Config) -> None:
    for name in SAME:
        told, expected = getattr(trained, name), getattr(config, name)
        if told != expected:
            reason = "a policy acts for the pairs and routes that it was trained for: evaluate it in those"
            raise ConfigError(f"trained.{name} = {told!r}, expected {expected!r}: {reason}")


def _first(bare: Instance, start: Splits) -> FloatArray:
    """Splits `[N, K]` at the usual demand, mean over the day."""
    if start == "shortest":
        shortest = np.zeros((bare.num_agents, bare.routes.exists.shape[1]))
        shortest[:, 0] = 1.0
        return shortest
    objective = {"user-equilibrium": USER_EQUILIBRIUM, "system-optimum": SYSTEM_OPTIMUM}[start]
    demand = torch.from_numpy(bare.by_agent(bare.network.demand * bare.profile.mean())).unsqueeze(0)
    roads = bare.roads(torch.device("cpu"), torch.float64)
    capacity = roads.links.capacity.unsqueeze(0)
    found: FloatArray = roads.assigned(objective, demand, torch.zeros_like(capacity), capacity)[0].numpy()
    return found


def _measured(bare: Instance) -> Scales:
    """Times and marginal costs at the optimum of sampled days, queues left out."""
    seed = random.derive(bare.config.seed, "statistics")
    days = [draw(np.random.default_rng(seed + e), bare)["demand"][:-1] for e in range(SAMPLES)]
    demand = torch.from_numpy(np.concatenate(days))
    roads = bare.roads(torch.device("cpu"), torch.float64)
    none = demand.new_zeros(len(demand), bare.network.num_links)
    splits = roads.assigned(SYSTEM_OPTIMUM, demand, none, none + roads.links.capacity)
    flow = roads.flow(splits, demand, none)
    time = link_time(roads.links, flow)
    exists, unused = roads.incidence.exists.numpy(), np.array([0.0, 1.0])[:, None, None]
    route_time, route_marginal = (
        np.where(exists, _moments(roads.incidence.cost(x)), unused) for x in (time, marginal(roads.links, flow))
    )
    return Scales(
        route_time,
        route_marginal,
        congestion=_moments(slowness(time, roads.links.free_time)),
        demand=bare.by_agent(np.array(bare.network.demand)),
        noise=max(bare.config.demand.noise, STEADY),
    )


def _moments(x: torch.Tensor) -> FloatArray:
    """Mean and deviation of `[S, ...]`, `[2, ...]`; the deviation is at least a part of the mean."""
    mean = x.mean(0)
    deviation = x.std(0).maximum(STEADY * mean.abs()).clamp(min=1e-9)
    found: FloatArray = torch.stack([mean, deviation]).numpy()
    return found


def _notes(config: Config, network: Network, routes: Routes) -> tuple[str, ...]:
    """What a user should read before a run."""
    count: NDArray[np.int64] = routes.exists.sum(1)
    size = f"{network.name}: {network.num_pairs} pairs, {network.num_links} links, {network.demand.sum():,.0f} vehicles"
    chosen = f"up to {count.max()} routes a pair, {count.mean():.1f} on average, {(count == 1).sum()} pairs have one"
    residual = config.residual
    carried = (
        f"{residual.share:g} of the flow above {residual.threshold:g} capacities is there a period later; vehicles are "
        "not conserved" if config.queues else "periods are static problems"
    )  # fmt: skip
    return (size, chosen, carried, *network.notes)
