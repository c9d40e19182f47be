"""A road network as configured, whatever agents see of it: what draws demand and loads links computes with this."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dgpg_traffic.arrays import FloatArray
from dgpg_traffic.config import Config
from dgpg_traffic.network.incidence import Routes
from dgpg_traffic.network.network import Network
from dgpg_traffic.roads import Roads, make_roads

PERIOD = 3600.0
"""Seconds of a period: capacities and demand are vehicles an hour."""


@dataclass(frozen=True, eq=False)
class System:
    """Pairs of zones, the agents that share them and their routes."""

    config: Config
    network: Network
    """With its demand scaled."""
    routes: Routes
    """Of each pair, `[pairs, K, P]`."""
    profile: FloatArray
    """Usual demand of each period, share of the network's own, `[T]`."""

    @property
    def num_agents(self) -> int:
        """N."""
        return self.network.num_pairs * self.config.agents_per_pair

    def by_agent(self, demand: FloatArray) -> FloatArray:
        """Vehicles of each agent `[..., N]` of those of pairs `[..., pairs]`: agents of a pair share them alike."""
        return np.repeat(demand / self.config.agents_per_pair, self.config.agents_per_pair, -1)

    def roads(self, device: torch.device, dtype: torch.dtype = torch.float32) -> Roads:
        """Its links and routes as tensors."""
        config = self.config
        period = PERIOD / config.time_unit if config.queues else None
        return make_roads(self.network, self.routes, config.agents_per_pair, period, device, dtype)
