"""The algorithms: one trainer, different parts. Each is a row, not a loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dgpg.config import TrainConfig, merge, validate
from dgpg.errors import ConfigError, unknown


@dataclass(frozen=True)
class Algorithm:
    """Which critic, which reward, whether guided; and the settings it was tuned to."""

    name: str
    critic: Literal["central", "local"]
    """`central` sees the whole system (MAPPO), `local` what an agent sees (IPPO)."""
    reward: Literal["shared", "local"] = "shared"
    """`local` pays each agent its own cost, where the domain offers one."""
    guided: bool = False
    tuned: Mapping[str, Any] = field(default_factory=dict)
    """Departures from `TrainConfig`'s defaults; the same candidates for each algorithm (benchmarks/tune.py)."""
    independent: Mapping[str, Any] = field(default_factory=dict)
    """Departures on top of these where each agent has a network of its own."""


ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("dg-pg", critic="central", guided=True, tuned={"actor_lr": 6e-3}),
        Algorithm(
            "mappo",
            critic="central",
            tuned={"actor_lr": 6e-3, "gamma": 0.9},
            independent={"gamma": 0.95, "lambda_": 0.5},
        ),
        Algorithm("ippo", critic="local", tuned={"actor_lr": 1e-2}, independent={"actor_lr": 3e-3}),
        Algorithm(
            "ippo-local",
            critic="local",
            reward="local",
            tuned={"actor_lr": 1e-2, "gamma": 0.9, "lambda_": 0.5},
        ),
    )
}


def find(name: str) -> Algorithm:
    """The algorithm of that name; a wrong one shows the nearest."""
    if name not in ALGORITHMS:
        raise ConfigError(unknown("algorithm", name, ALGORITHMS))
    return ALGORITHMS[name]


def train_config(algorithm: Algorithm, settings: Mapping[str, Any], estimators: tuple[str, ...]) -> TrainConfig:
    """The algorithm's tuned settings with the user's on top."""
    tuned = merge(algorithm.tuned, algorithm.independent if settings.get("parameters") == "independent" else {})
    config = validate(TrainConfig, merge(tuned, settings), "train")
    if config.estimator not in estimators:
        raise ConfigError("train.estimator: " + unknown("estimator", config.estimator, estimators))
    if config.estimator not in ("all_action", "exact") and config.guidance_scale != "none":
        raise ConfigError(f"train.guidance_scale = influence: the estimator {config.estimator} has no scale; use none")
    return config
