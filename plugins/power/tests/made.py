"""Instances that the tests of this folder share, and the settings that make the analytical model exact."""

from typing import Any

import torch

from dgpg_power.config import Config
from dgpg_power.env import PowerEnv
from dgpg_power.instance import Instance, build

CPU = torch.device("cpu")
EXACT = {"losses": False, "forecast_error": 0.0, "outages": 0.0}
"""What `mismatch` is where agents and model know all there is."""


def built(**values: Any) -> Instance:
    """An instance from settings; case9 unless they say otherwise."""
    return build(Config.model_validate({"network": "case9", "horizon": 6} | values))


def environment(num_envs: int = 3, seed: int = 0, **values: Any) -> PowerEnv:
    """Environments of such an instance, not yet reset."""
    return PowerEnv(built(**values), num_envs, CPU, seed)


def random_actions(env: PowerEnv, draw: torch.Generator) -> torch.Tensor:
    """Actions within the bounds, `[B, N, A]`."""
    low, high = (torch.from_numpy(x) for x in (env.action_space.low, env.action_space.high))  # type: ignore[attr-defined]
    return low + (high - low) * torch.rand(env.num_envs, *low.shape, generator=draw)
