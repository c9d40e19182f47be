"""The object that the entry point names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch

from dgpg.domain import Baseline, Feature, Names

from . import config as settings
from .baselines import InProportion, MeritOrder
from .env import Env
from .model import Delivering, PumpingCost

TUNED: Mapping[str, Any] = {
    "iterations": 60,
    "train": {"distribution": "mean", "alpha": {"start": 1.0, "end": 1.0}, "entropy": 0.0},
}
"""The model knows the true cost, so guidance alone trains a policy without chance."""


class ExampleDomain:
    """Pumps meet a demand together."""

    api_version = 1
    Config = settings.Config
    default_model = "example.pumping"
    small: Mapping[str, Any] = MappingProxyType({"num_agents": 4, "horizon": 8})
    """For `dgpg check`."""

    def make_env(self, config: settings.Config, num_envs: int, device: torch.device, seed: int) -> Env:
        """B environments."""
        return Env(config, num_envs, device, seed)

    def analytical_model(self, config: settings.Config) -> PumpingCost:
        """`example.pumping`."""
        return PumpingCost(config)

    def agent_mapping(self, config: settings.Config) -> Delivering:
        """What actions deliver."""
        return Delivering()

    def baselines(self, config: settings.Config) -> Sequence[Baseline]:
        """Rules with the same information."""
        return [InProportion(config), MeritOrder(config)]

    def training(self, algorithm: str) -> Mapping[str, Any]:
        """Tuned settings."""
        return TUNED if algorithm == "dg-pg" else {}

    def names(self, config: settings.Config) -> Names:
        """Of what a pump sees and does."""
        seen = (
            Feature("size", "1", "less 1"),
            Feature("price", "1", "over the mean, less 1"),
            Feature("demand", "1", "level"),
        )
        return Names(seen, action=(Feature("flow", "volume a step"),))


domain = ExampleDomain()
