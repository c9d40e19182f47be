"""The algorithms: one trainer, different parts. Each is a row, not a loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gymnasium import spaces

from dgpg.actions import default_distribution, kind_of
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


def train_config(
    algorithm: Algorithm, domain: Mapping[str, Any], settings: Mapping[str, Any], space: spaces.Space[Any]
) -> TrainConfig:
    """Tuned settings, the domain's own or else the algorithm's, with the user's on top.

    Args:
        algorithm: says what it needs of them.
        domain: what the domain was tuned to with this algorithm; empty if it was not.
        settings: the user's.
        space: action space, which decides what estimators there are.
    """
    independent = {**domain, **settings}.get("parameters") == "independent"
    tuned = domain or merge(algorithm.tuned, algorithm.independent if independent else {})
    config = validate(TrainConfig, merge(tuned, settings), "train")
    alone = algorithm.guided and config.alpha.guidance_alone
    if config.distribution is None:
        chosen = default_distribution(space, alone, config.estimator)
        config = config.model_copy(update={"distribution": chosen})
    estimators = kind_of(space, config.distribution).ESTIMATORS
    if config.estimator is None:
        config = config.model_copy(update={"estimator": estimators[0]})
    if config.estimator not in estimators:
        raise ConfigError("train.estimator: " + unknown("estimator", str(config.estimator), estimators))
    if config.distribution == "mean" and not alone:
        raise ConfigError(
            "train.distribution = mean: a policy without chance has no score function, so only guidance can train it; "
            "use algorithm dg-pg with train.alpha.start=1 and train.alpha.end=1, or train.distribution=gaussian"
        )
    if config.estimator not in ("all_action", "exact") and config.guidance_scale != "none":
        raise ConfigError(f"train.guidance_scale = influence: the estimator {config.estimator} has no scale; use none")
    return config
