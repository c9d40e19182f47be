"""The object that the entry point names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch

from dgpg.domain import Baseline, Feature, Names

from . import config as settings
from .baselines import BySpeed, Soonest
from .env import Env
from .model import Sending, WaitingCost


class ExampleDomain:
    """Clients send jobs to servers."""

    api_version = 1
    Config = settings.Config
    default_model = "example.waiting"
    small: Mapping[str, Any] = MappingProxyType({"num_agents": 4, "horizon": 8})
    """For `dgpg check`."""

    def make_env(self, config: settings.Config, num_envs: int, device: torch.device, seed: int) -> Env:
        """B environments."""
        return Env(config, num_envs, device, seed)

    def analytical_model(self, config: settings.Config) -> WaitingCost:
        """`example.waiting`."""
        return WaitingCost(config)

    def agent_mapping(self, config: settings.Config) -> Sending:
        """What choices do to the work at servers."""
        return Sending(config)

    def baselines(self, config: settings.Config) -> Sequence[Baseline]:
        """Rules with the same information."""
        return [Soonest(), BySpeed(config.speeds)]

    def names(self, config: settings.Config) -> Names:
        """Of what a client sees and does."""
        servers = Feature("drain", "steps", "to work off the backlog"), Feature("run time", "steps", "of the job there")
        return Names((Feature("job", "work", "of mean 1"),), servers, (Feature("server", "", "that the job goes to"),))


domain = ExampleDomain()
