"""The object that the entry point names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from gymnasium import spaces

from dgpg.bridges.simulators import Simulation, Simulators
from dgpg.domain import Baseline, Feature, Names

from . import config as settings
from .baselines import BySpeed, Soonest
from .model import Sending, WaitingCost
from .simulator import Servers, read

NAMES = Names(
    agent=(Feature("job", "work", "of mean 1"),),
    choices=(Feature("drain", "steps", "to work off the backlog"), Feature("run time", "steps", "of the job there")),
    action=(Feature("server", "", "that the job goes to"),),
)


class ExampleDomain:
    """Clients send jobs to servers."""

    api_version = 1
    Config = settings.Config
    default_model = "example.waiting"
    small: Mapping[str, Any] = MappingProxyType({"num_agents": 4, "horizon": 8})
    """For `dgpg check`."""

    def make_env(self, config: settings.Config, num_envs: int, device: torch.device, seed: int) -> Simulators:
        """B simulators in worker processes."""
        servers = len(config.speeds)
        simulation = Simulation(
            make=partial(Servers, config.num_agents, config.service),
            read=read,
            action_space=spaces.MultiDiscrete([servers] * config.num_agents),
            names=NAMES,
            horizon=config.horizon,
            cost_unit="work x steps that it is there",
            central=servers,
            num_blocks=servers,
        )
        return Simulators(simulation, num_envs, device, seed, self.agent_mapping(config), config.workers)

    def analytical_model(self, config: settings.Config) -> WaitingCost:
        """`example.waiting`."""
        return WaitingCost(config)

    def agent_mapping(self, config: settings.Config) -> Sending:
        """What choices are expected to do to the work at servers."""
        return Sending(config)

    def baselines(self, config: settings.Config) -> Sequence[Baseline]:
        """Rules with the same information."""
        return [Soonest(), BySpeed(config.speeds)]

    def names(self, config: settings.Config) -> Names:
        """Of what a client sees and does."""
        return NAMES


domain = ExampleDomain()
