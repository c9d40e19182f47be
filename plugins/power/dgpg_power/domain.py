"""The domain object that the entry point `power` names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from dgpg.domain import Baseline, Names, Policy
from dgpg_power import config as settings
from dgpg_power.baselines import baselines
from dgpg_power.bound import BoundEnv
from dgpg_power.calibration.calibrate import calibrate
from dgpg_power.env import PowerEnv
from dgpg_power.instance import build
from dgpg_power.mapping import DispatchMapping
from dgpg_power.models.potentials import CostPotential
from dgpg_power.observation import names, plain
from dgpg_power.system import grid_of

TUNED: dict[str, Any] = {
    "iterations": 8000,
    "num_envs": 256,
    "train": {
        "horizon": 1, "parameters": "independent", "distribution": "mean", "alpha": {"start": 1.0, "end": 1.0},
        "epochs": 1, "minibatches": 1, "actor_hidden": 64, "actor_lr": 2e-3, "lr_end": 0.02, "entropy": 0.0,
        "checkpoint_every": 500,
    },
}  # fmt: skip
"""What dg-pg was tuned to: many small steps, each on moments of other days; two minutes on 118 buses."""
DESCENT: dict[str, Any] = TUNED | {"iterations": 3000, "train": TUNED["train"] | {"actor_lr": 3e-2}}
"""A descent has a handful of numbers to fit, not a network."""
SAMPLED: dict[str, Any] = {
    "iterations": 300,
    "num_envs": 32,
    "train": {
        "parameters": "independent", "distribution": "beta", "actor_hidden": 64, "actor_lr": 3e-3, "lr_end": 0.02,
        "gamma": 0.0, "lambda_": 0.0,
    },
}  # fmt: skip
"""What the algorithms without guidance were tuned to: fifteen candidates each on case118, benchmarks/tune_sampled.py.

A dispatch hardly changes what comes after it, so a return beyond its own step is noise."""
LOCAL: dict[str, Any] = SAMPLED | {
    "train": SAMPLED["train"] | {"distribution": "gaussian", "actor_lr": 1e-3, "gamma": 0.5, "lambda_": 0.9},
}
"""The same for agents paid their own cost, who diverge with more."""
OWN: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"dg-pg": TUNED, "mirror-descent": DESCENT, "ippo-local": LOCAL}
)
"""By algorithm; all others are sampled."""


class PowerDomain:
    """Units of a grid choose their output."""

    api_version = 1
    Config = settings.Config
    default_model = "power.cost"
    views: Sequence[str] = ("observation",)
    small: Mapping[str, Any] = MappingProxyType({"network": "case9", "horizon": 6})
    """For `dgpg check`."""

    def make_env(
        self, config: settings.Config | settings.Bounded, num_envs: int, device: torch.device, seed: int
    ) -> PowerEnv | BoundEnv:
        """B environments; environment b depends on `seed + b` alone."""
        if isinstance(config, settings.Bounded):
            return BoundEnv(PowerEnv(build(config.of), num_envs, device, seed))
        return PowerEnv(build(config), num_envs, device, seed)

    def analytical_model(self, config: settings.Config) -> CostPotential:
        """`power.cost`."""
        return CostPotential(build(config))

    def agent_mapping(self, config: settings.Config) -> DispatchMapping:
        """What set-points do to the outputs."""
        return DispatchMapping(build(config))

    def baselines(self, config: settings.Config) -> Sequence[Baseline]:
        """Rules an operator would use, and the optimum with full information."""
        return baselines(config)

    def judge(
        self, config: settings.Config, policies: Mapping[str, Policy], episodes: int, seed: int
    ) -> Sequence[Mapping[str, float | str]]:
        """AC power flow of what policies dispatch."""
        from dgpg_power.judge.judge import judge  # PYPOWER takes long to import, and training does not need it

        return judge(config, policies, episodes, seed)

    def figures(
        self, config: settings.Config, policies: Mapping[str, Policy], folder: Path, seed: int
    ) -> Sequence[Path]:
        """Dispatch over a day and line loading, of the first policy and the optimum."""
        from dgpg_power.figures import draw  # dgpg.showing stands above all that training needs

        return draw(config, policies, folder, seed)

    def calibrate(
        self, config: settings.Config, data: Path, out: Path | None, iterations: int
    ) -> Sequence[Mapping[str, float | str]]:
        """Costs and binding line limits from a log of loads and outputs."""
        return calibrate(config, data, out, iterations)

    def transfer(self, trained: settings.Config, wished: settings.Config) -> settings.Config:
        """With the feature scales, lines to watch and overload price of the run, where the grid is the same."""
        if wished.trained != trained.trained:
            return wished  # the user has chosen
        same = grid_of(trained) == grid_of(wished)
        return wished.model_copy(update={"trained": (trained.trained or trained) if same else None})

    def training(self, algorithm: str) -> Mapping[str, Any]:
        """Tuned settings."""
        return OWN.get(algorithm, SAMPLED)

    def names(self, config: settings.Config) -> Names:
        """Of what a unit sees at its level."""
        return names(build(config))

    def agent_names(self, config: settings.Config) -> Sequence[str]:
        """Of units."""
        return build(config).network.unit_name

    def plain(self, config: settings.Config) -> Mapping[str, Any]:
        """Scales of the grid, for `dgpg_power.deploy`."""
        return plain(build(config)).json()

    def describe(self, config: settings.Config) -> Sequence[str]:
        """Sizes, prices, and what was left out of the network."""
        return build(config).notes


domain = PowerDomain()
