"""Instances that the tests of this folder share, and the settings that make the analytical model exact."""

from dataclasses import replace
from typing import Any

import torch

from dgpg_power.config import Config
from dgpg_power.env import PowerEnv
from dgpg_power.grid import Grid
from dgpg_power.instance import Instance, build

CPU = torch.device("cpu")
EXACT = {"losses": False, "forecast_error": 0.0, "outages": 0.0}
"""What `mismatch` is where agents and model know all there is."""

TWO_BUSES = """function mpc = two
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [1 3 0 0 0 0 1 1 0 0 1 1.1 0.9; 2 1 100 0 0 0 1 1 0 0 1 1.1 0.9];
mpc.gen = [1 0 0 0 0 1 100 1 200 0; 2 0 0 0 0 1 100 1 200 0];
mpc.branch = [1 2 0 0.1 0 50 0 0 0 0 1 0 0];
mpc.gencost = [2 0 0 3 0 10 0; 2 0 0 3 0 30 0];
"""
"""Cheap energy (10 $/MWh) at bus 1, dear (30) where the load of 100 MW is; the line between carries 50 MW."""


def built(**values: Any) -> Instance:
    """An instance from settings; case9 unless they say otherwise."""
    return build(Config.model_validate({"network": "case9", "horizon": 6} | values))


def environment(num_envs: int = 3, seed: int = 0, **values: Any) -> PowerEnv:
    """Environments of such an instance, not yet reset."""
    return PowerEnv(built(**values), num_envs, CPU, seed)


def limited(grid: Grid, limit: torch.Tensor) -> Grid:
    """The grid with the same limits both ways, MW, `[L]`."""
    return replace(grid, flow_min=-limit, flow_max=limit, middle=torch.zeros_like(limit), reach=limit)


def random_actions(env: PowerEnv, draw: torch.Generator) -> torch.Tensor:
    """Actions within the bounds, `[B, N, A]`."""
    low, high = (torch.from_numpy(x) for x in (env.action_space.low, env.action_space.high))  # type: ignore[attr-defined]
    return low + (high - low) * torch.rand(env.num_envs, *low.shape, generator=draw)
