"""The domain object that the entry point `cloud` names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch

from dgpg.domain import Baseline
from dgpg_cloud import config as settings
from dgpg_cloud.baselines import baselines
from dgpg_cloud.env import CloudEnv
from dgpg_cloud.instance import build
from dgpg_cloud.mapping import PlacementMapping
from dgpg_cloud.models.potentials import HeadroomModel


class CloudDomain:
    """Dispatchers place jobs on machines."""

    api_version = 1
    Config = settings.Config
    default_model = "cloud.headroom"
    small: Mapping[str, Any] = MappingProxyType({"num_agents": 6, "candidates": 4, "horizon": 12})
    """For `dgpg check`."""

    def make_env(self, config: settings.Config, num_envs: int, device: torch.device, seed: int) -> CloudEnv:
        """B environments; environment b depends on `seed + b` alone."""
        return CloudEnv(build(config), num_envs, device, seed)

    def analytical_model(self, config: settings.Config) -> HeadroomModel:
        """`cloud.headroom`."""
        return HeadroomModel(build(config))

    def agent_mapping(self, config: settings.Config) -> PlacementMapping:
        """What placements do to requested resources and work."""
        return PlacementMapping(build(config))

    def baselines(self, config: settings.Config) -> Sequence[Baseline]:
        """Rules that see what a dispatcher sees, and rules that see more."""
        return baselines(config)

    def describe(self, config: settings.Config) -> Sequence[str]:
        """Sizes, the time scale, and what loaders skipped or estimated."""
        return build(config).notes


domain = CloudDomain()
