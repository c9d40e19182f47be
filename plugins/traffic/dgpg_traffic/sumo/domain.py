"""The domain object that the entry point `sumo` names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from dgpg.bridges.simulators import Simulation, Simulators
from dgpg.domain import Baseline, Feature, Names, Policy
from dgpg_traffic.sumo import config as settings
from dgpg_traffic.sumo.baselines import baselines
from dgpg_traffic.sumo.cells import make
from dgpg_traffic.sumo.instance import Instance, build
from dgpg_traffic.sumo.mapping import RouteMapping
from dgpg_traffic.sumo.model import FittedTimes, fitted_times
from dgpg_traffic.sumo.network import Floats
from dgpg_traffic.sumo.simulator import Plan, Town, read

ALIKE: dict[str, Any] = {
    "parameters": "independent", "horizon": 1, "epochs": 16, "minibatches": 1, "actor_hidden": 16, "lr_end": 0.5,
    "entropy": 0.0, "max_grad_norm": 10.0, "gamma": 0.0, "lambda_": 0.0, "threads": 1, "checkpoint_every": 10,
}  # fmt: skip
"""An iteration is a day; each driver has a network of its own, as nothing that it sees says what it met."""
TUNED: dict[str, Any] = {
    "iterations": 40,
    "num_envs": 1,
    "train": ALIKE | {
        "estimator": "mirror", "actor_lr": 3e-3, "clip": 0.5, "alpha": {"start": 1.0, "end": 1.0},
        "blocks": {"use": False},
    },
}  # fmt: skip
"""dg-pg: benchmarks/sumo_tune.py, as of `SAMPLED`."""
SAMPLED: dict[str, Any] = {"iterations": 300, "num_envs": 1, "train": ALIKE | {"actor_lr": 3e-3, "clip": 0.2}}
OWN: Mapping[str, Mapping[str, Any]] = MappingProxyType({"dg-pg": TUNED})


class SumoDomain:
    """Drivers of a fleet choose routes in SUMO, once a day."""

    api_version = 1
    Config = settings.Config
    default_model = "sumo.fitted-times"
    small: Mapping[str, Any] = MappingProxyType({"scale": 0.25, "humans": {"days": 2}, "workers": {"count": 0}})
    """For `dgpg check`, which plays days at the ends of every setting's range; processes for each took longer."""

    def make_env(self, config: settings.Config, num_envs: int, device: torch.device, seed: int) -> Simulators:
        """B towns, a day each, in worker processes."""
        instance = build(config)
        plan = _plan(config, instance)
        simulation = Simulation(
            make=partial(Town, plan),
            read=read,
            action_space=spaces.MultiDiscrete([config.routes.most] * len(instance.fleet)),
            names=_names(config),
            horizon=1,
            cost_unit="minutes on the road, of all who count",
            central=1,
            num_blocks=plan.num_blocks,
        )
        return Simulators(simulation, num_envs, device, seed, self.agent_mapping(config), config.workers)

    def analytical_model(self, config: settings.Config) -> FittedTimes:
        """`sumo.fitted-times`."""
        return fitted_times(config)

    def agent_mapping(self, config: settings.Config) -> RouteMapping:
        """What routes add to the load of edges."""
        return RouteMapping(make(build(config), config.fit.window_s))

    def baselines(self, config: settings.Config) -> Sequence[Baseline]:
        """As people drive, on the fastest route without traffic, at random."""
        return baselines(config)

    def figures(
        self, config: settings.Config, policies: Mapping[str, Policy], folder: Path, seed: int
    ) -> Sequence[Path]:
        """What edges cost everybody, under people and the first policy, and trips of the fleet over the day."""
        from dgpg_traffic.sumo.figures import draw  # dgpg.showing stands above all that training needs

        here = config.model_copy(update={"workers": config.workers.model_copy(update={"count": 0})})
        return draw(here, self.make_env(here, 1, torch.device("cpu"), seed), policies, folder, seed)

    def training(self, algorithm: str) -> Mapping[str, Any]:
        """Tuned settings."""
        return OWN.get(algorithm, SAMPLED)

    def names(self, config: settings.Config) -> Names:
        """Of what a driver sees."""
        return _names(config)

    def describe(self, config: settings.Config) -> Sequence[str]:
        """Sizes, routes, what was left out, and how people drive."""
        return build(config).notes


def _names(config: settings.Config) -> Names:
    return Names(
        (
            Feature("departure", "1", "when this driver departs, of all departures"),
            Feature("length of trip", "10 minutes", "on the fastest route without traffic"),
        ),
        (
            Feature("detour", "1", "time without traffic over that of the fastest route, less one"),
            Feature("detour in minutes", "minutes", "time without traffic above that of the fastest route"),
            *(Feature(f"route {k}", "1", "whether it is the one of this number") for k in range(config.routes.most)),
        ),
        (Feature("route", "", "that the driver takes"),),
    )


def _plan(config: settings.Config, instance: Instance) -> Plan:
    cells = make(instance, config.fit.window_s)
    agent, choices = _features(instance)
    return Plan(
        instance.days, instance.humans.choice, instance.fleet, instance.counted, cells.of, cells.num_blocks,
        config.day.sumo_seed, agent, choices, instance.mask,
    )  # fmt: skip


def _features(instance: Instance) -> tuple[Floats, Floats]:
    """Of drivers `[N, 2]` and of routes `[N, K, 2 + K]`."""
    free = instance.free_minutes[instance.fleet]
    fastest = free.min(-1, keepdims=True)
    depart = instance.days.depart
    share = np.searchsorted(depart, depart[instance.fleet]) / len(depart)
    above = np.where(instance.mask, free, fastest) - fastest
    slots = np.broadcast_to(np.eye(free.shape[1]), (*free.shape, free.shape[1]))
    choices = np.concatenate([np.stack([above / fastest, above], -1), slots], -1)
    return np.stack([share, fastest[:, 0] / 10], -1), choices


domain = SumoDomain()
