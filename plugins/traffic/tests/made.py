"""Networks that the tests of this folder share, and what they take from data."""

from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from dgpg.domain import Step, validate
from dgpg_traffic.config import Config
from dgpg_traffic.env import TrafficEnv
from dgpg_traffic.instance import Instance, build
from dgpg_traffic.network.network import Network


def made(**changes: Any) -> Network:
    """Two routes from node 1 to node 4, by node 2 and by node 3, and a way back; pairs 1 to 4 and 4 to 1.

    Args:
        changes: fields that differ.
    """
    fields: dict[str, Any] = {
        "name": "diamond",
        "node_number": [1, 2, 3, 4],
        "through": [True] * 4,
        "place": np.full((4, 2), np.nan),
        "tail": [0, 0, 1, 2, 3],
        "head": [1, 2, 3, 3, 0],
        "capacity": [10.0, 20.0, 10.0, 20.0, 30.0],
        "free_time": [1.0, 2.0, 1.0, 2.0, 3.0],
        "b": [0.15, 0.15, 1.0, 1.0, 0.0],
        "power": [4.0, 4.0, 2.0, 1.0, 1.0],
        "length": [1.0] * 5,
        "origin": [0, 3],
        "destination": [3, 0],
        "demand": [25.0, 5.0],
    }
    return Network(**(fields | changes))


CPU = torch.device("cpu")
STATIC: dict[str, Any] = {"demand": {"profile": "flat", "noise": 0.0}, "queues": False}
"""Settings with which every period is the network's own static problem."""
BRAESS_ROUTES = [[0, 3, 4], [1, 4, -1], [0, 2, -1]]
"""Links of braess in travel: the shortcut and the two ways without; 10 x, 50 + x, 50 + x, 10 + x and 10 x."""


def settings(**values: Any) -> Config:
    """Settings of braess, four periods a day, unless they say otherwise."""
    return validate(Config, {"network": "braess", "horizon": 4} | values, "")


def built(**values: Any) -> Instance:
    """The instance of such settings."""
    return build(settings(**values))


def environment(num_envs: int = 3, seed: int = 0, **values: Any) -> TrafficEnv:
    """Environments of it, not yet reset."""
    return TrafficEnv(built(**values), num_envs, CPU, seed)


def random_splits(env: TrafficEnv, draw: torch.Generator) -> Tensor:
    """Uniform over the splits of each agent's routes, `[B, N, K]`."""
    exists = env.roads.incidence.exists
    weight = -torch.rand(env.num_envs, *exists.shape, generator=draw).clamp(min=1e-6).log() * exists
    return weight / weight.sum(-1, keepdim=True)


def randomly(env: TrafficEnv, steps: int, seed: int = 0) -> list[Step]:
    """What random splits brought about."""
    draw = torch.Generator().manual_seed(seed)
    return [env.step(random_splits(env, draw)) for _ in range(steps)]


def frank_wolfe(network: Network, gap: float, fixed: np.ndarray | float = 0.0) -> tuple[float, float]:
    """Bounds of the least total cost over all routes, by flows of links alone: none of the plugin's solvers.

    What a link costs is its time and `fixed`.

    Ends when they are `gap` apart. Zones that may not be crossed are not known to it.
    """
    assert network.through.all()
    t0, b, power, capacity = network.free_time, network.b, network.power, network.capacity
    zones, row = np.unique(network.origin, return_inverse=True)

    def all_or_nothing(price: np.ndarray) -> np.ndarray:
        graph = csr_array((price, (network.tail, network.head)), shape=(network.num_nodes,) * 2)
        _, before = dijkstra(graph, indices=zones, return_predecessors=True)
        link = {ends: x for x, ends in enumerate(zip(network.tail.tolist(), network.head.tolist(), strict=True))}
        flow = np.zeros(network.num_links)
        for tree, node, demand in zip(row.tolist(), network.destination.tolist(), network.demand, strict=True):
            while (previous := int(before[tree, node])) >= 0:
                flow[link[previous, node]] += demand
                node = previous
        return flow

    def slope(flow: np.ndarray) -> np.ndarray:
        return t0 * (1 + b * (power + 1) * (flow / capacity) ** power) + fixed

    flow, lowest = all_or_nothing(t0 + fixed), 0.0
    while True:
        total = float(flow @ (t0 * (1 + b * (flow / capacity) ** power) + fixed))
        step = all_or_nothing(slope(flow)) - flow
        lowest = max(lowest, total + float(slope(flow) @ step))
        if total <= (1 + gap) * lowest:
            return lowest, total
        flow = flow + step * brentq(lambda s, x=flow, d=step: float(slope(x + s * d) @ d), 0, 1)
