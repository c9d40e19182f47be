"""The domain object that the entry point `traffic` names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from dgpg.domain import Baseline, Names, Policy
from dgpg_traffic import config as settings
from dgpg_traffic.baselines import baselines
from dgpg_traffic.env import TrafficEnv
from dgpg_traffic.instance import SAME, build
from dgpg_traffic.mapping import FlowMapping
from dgpg_traffic.models.potentials import TotalTime, marginal_cost
from dgpg_traffic.observation import NAMES, plain

TUNED: dict[str, Any] = {
    "iterations": 2000,
    "num_envs": 64,
    "train": {
        "estimator": "pathwise_plain", "horizon": 1, "parameters": "independent", "distribution": "mean",
        "alpha": {"start": 1.0, "end": 1.0}, "epochs": 1, "minibatches": 1, "actor_hidden": 32, "actor_lr": 3e-3,
        "lr_end": 0.02, "entropy": 0.0, "max_grad_norm": 10.0, "checkpoint_every": 500, "threads": 1,
        "blocks": {"gamma": 0.0, "steps": 6},
    },
}  # fmt: skip
"""What dg-pg was tuned to, on demand that varies: from splits that are nearly right the plain gradient ends lower than
the natural one, which is for starts far off (docs/results/traffic.md).

Where values of links are asked for, they are of the period alone: demand lasts, so that who meets much of it on a link
meets much later too, whatever anybody does (docs/adr/0039)."""
DESCENT: dict[str, Any] = TUNED | {"train": TUNED["train"] | {"actor_lr": 3e-2}}
"""A descent has a handful of numbers to fit, not a network."""
SAMPLED: dict[str, Any] = {
    "iterations": 2000,
    "num_envs": 64,
    "train": {
        "horizon": 1, "parameters": "independent", "epochs": 2, "minibatches": 2, "actor_hidden": 32, "actor_lr": 3e-3,
        "lr_end": 0.02, "gamma": 0.0, "lambda_": 0.0, "checkpoint_every": 500, "threads": 1,
    },
}  # fmt: skip
"""What the algorithms without guidance were tuned to: ten candidates each on `grid`, benchmarks/tune_sampled.py."""
OWN: Mapping[str, Mapping[str, Any]] = MappingProxyType({"dg-pg": TUNED, "mirror-descent": DESCENT})
"""By algorithm; all others are sampled."""


class TrafficDomain:
    """Pairs of zones split their vehicles over routes."""

    api_version = 1
    Config = settings.Config
    default_model = "traffic.marginal-cost"
    small: Mapping[str, Any] = MappingProxyType({"network": "braess", "agents_per_pair": 3, "horizon": 6})
    """For `dgpg check`."""

    def make_env(self, config: settings.Config, num_envs: int, device: torch.device, seed: int) -> TrafficEnv:
        """B environments; environment b depends on `seed + b` alone."""
        return TrafficEnv(build(config), num_envs, device, seed)

    def analytical_model(self, config: settings.Config) -> TotalTime:
        """`traffic.marginal-cost`."""
        return marginal_cost(config)

    def agent_mapping(self, config: settings.Config) -> FlowMapping:
        """What splits do to flows."""
        return FlowMapping(build(config))

    def baselines(self, config: settings.Config) -> Sequence[Baseline]:
        """Rules of drivers and operators, and equilibrium and optimum with full information."""
        return baselines(config)

    def judge(
        self, config: settings.Config, policies: Mapping[str, Policy], episodes: int, seed: int
    ) -> Sequence[Mapping[str, float | str]]:
        """Trips of the busiest period in UXsim, whose queues are physical."""
        from dgpg_traffic.judge.judge import judge  # needed by few

        return judge(config, policies, episodes, seed)

    def figures(
        self, config: settings.Config, policies: Mapping[str, Policy], folder: Path, seed: int
    ) -> Sequence[Path]:
        """Loading of the roads and travel times over the day, of the first policy and the optimum."""
        from dgpg_traffic.figures import draw  # dgpg.showing stands above all that training needs

        return draw(config, policies, folder, seed)

    def transfer(self, trained: settings.Config, wished: settings.Config) -> settings.Config:
        """`wished` with the first splits and scales of the training, where its network is the same."""
        if any(getattr(trained, name) != getattr(wished, name) for name in SAME):
            return wished
        return wished.model_copy(update={"trained": trained.trained or trained})

    def training(self, algorithm: str) -> Mapping[str, Any]:
        """Tuned settings."""
        return OWN.get(algorithm, SAMPLED)

    def names(self, config: settings.Config) -> Names:
        """Of what a pair sees."""
        return NAMES

    def agent_names(self, config: settings.Config) -> Sequence[str]:
        """Pairs by their nodes, "1-24"; with a number behind it where agents share a pair, "1-24/2"."""
        network, each = build(config).network, config.agents_per_pair
        number = network.node_number
        pairs = [f"{number[a]}-{number[b]}" for a, b in zip(network.origin, network.destination, strict=True)]
        return pairs if each == 1 else [f"{pair}/{n + 1}" for pair in pairs for n in range(each)]

    def plain(self, config: settings.Config) -> Mapping[str, Any]:
        """Scales, routes and links of the network, for `dgpg_traffic.deploy`."""
        return plain(build(config)).json()

    def describe(self, config: settings.Config) -> Sequence[str]:
        """Sizes, routes, how long a period is, and what was left out of the network."""
        return build(config).notes


domain = TrafficDomain()
