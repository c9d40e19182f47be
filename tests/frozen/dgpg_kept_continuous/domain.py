"""The object that the entry point names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch

from dgpg.domain import Baseline

from . import config as settings
from .baselines import InProportion, MeritOrder
from .env import Env
from .model import Delivering, PumpingCost

TUNED: Mapping[str, Any] = {
    "iterations": 60,
    "train": {"distribution": "mean", "alpha": {"start": 1.0, "end": 1.0}, "entropy": 0.0},
}
"""The model knows the true cost, so guidance alone trains a policy without chance."""


class KeptContinuousDomain:
    """Pumps meet a demand together."""

    api_version = 1
    Config = settings.Config
    default_model = "kept_continuous.pumping"
    small: Mapping[str, Any] = MappingProxyType({"num_agents": 4, "horizon": 8})
    """For `dgpg check`."""

    def make_env(self, config: settings.Config, num_envs: int, device: torch.device, seed: int) -> Env:
        """B environments."""
        return Env(config, num_envs, device, seed)

    def analytical_model(self, config: settings.Config) -> PumpingCost:
        """`kept_continuous.pumping`."""
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


domain = KeptContinuousDomain()
