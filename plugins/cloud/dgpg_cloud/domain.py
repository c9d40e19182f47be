"""The domain object that the entry point `cloud` names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from dgpg.domain import Baseline, Names, Policy
from dgpg_cloud import config as settings
from dgpg_cloud.baselines import baselines
from dgpg_cloud.deploy.scales import Scales
from dgpg_cloud.env import CloudEnv, first_starts
from dgpg_cloud.instance import build
from dgpg_cloud.mapping import PlacementMapping
from dgpg_cloud.models.potentials import HeadroomModel
from dgpg_cloud.observation import names
from dgpg_cloud.plant import make


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

    def figures(
        self, config: settings.Config, policies: Mapping[str, Policy], folder: Path, seed: int
    ) -> Sequence[Path]:
        """Use, waits, machines and jobs, of the first policy, the best rule and the untrained policy."""
        from dgpg_cloud.figures import draw  # dgpg.showing stands above all that training needs

        return draw(config, policies, folder, seed)

    def transfer(self, trained: settings.Config, wished: settings.Config) -> settings.Config:
        """With the seconds of a step, pace and machines of the run, where both are of traces."""
        if wished.trained != trained.trained or not (trained.workload.trace and wished.workload.trace):
            return wished
        return wished.model_copy(update={"trained": trained.trained or trained})

    def episodes(self, config: settings.Config) -> int | None:
        """Windows of a trace that share no arrival; synthetic episodes are drawn afresh."""
        played = build(config).replay
        return None if played is None else len(played.apart(config.horizon))

    def begins(self, config: settings.Config, seed: int, count: int) -> Sequence[int]:
        """The step of the trace at which each first episode starts."""
        return [start or 0 for start in first_starts(build(config), count, seed)]

    def names(self, config: settings.Config) -> Names:
        """Of what a dispatcher sees."""
        return names(make(build(config), torch.device("cpu")))

    def plain(self, config: settings.Config) -> Mapping[str, Any]:
        """Scales of the instance, for `dgpg_cloud.deploy`."""
        instance, weights = build(config), config.weights
        return Scales(
            resources=instance.capacity.shape[1],
            step_s=None if instance.replay is None else instance.replay.step_s,
            queue_places=config.machines.queue_places,
            mean_job=instance.mean_job,
            weights=(weights.waiting, weights.price, weights.stranded),
            model=(HeadroomModel.full, HeadroomModel.crowd),
        ).json()

    def describe(self, config: settings.Config) -> Sequence[str]:
        """Sizes, the time scale, and what loaders skipped or estimated."""
        return build(config).notes


domain = CloudDomain()
