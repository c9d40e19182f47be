"""The algorithms: one trainer, different parts. Each is a row, not a loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gymnasium import spaces

from dgpg.domain import Simplex, merge, validate
from dgpg.errors import ConfigError, unknown
from dgpg.learning.actions import kind_of
from dgpg.learning.config import CoordinationConfig, TrainConfig
from dgpg.learning.estimators import find_estimator, offered

TOGETHER: dict[str, Any] = {"actor_lr": 1.2e-2, "epochs": 1, "minibatches": 16, "alpha": {"start": 1.0, "end": 1.0}}
"""Where agents speak, guidance alone: sixteen steps on a sixteenth of the data each, as many as without rounds."""


@dataclass(frozen=True)
class Algorithm:
    """Which critic, which reward, whether guided; and the settings it was tuned to."""

    name: str
    critic: Literal["central", "blocks", "local"]
    """`central` sees the whole system (MAPPO), `blocks` is a sum over its blocks, `local` sees what an agent sees
    (IPPO)."""
    reward: Literal["shared", "local", "blocks"] = "shared"
    """`local` pays each agent its own cost, `blocks` what followed in the blocks that its choice touched, where the
    domain says."""
    guided: bool = False
    actor: Literal["network", "descent"] = "network"
    """`descent` fits two numbers a round instead of a network (`dgpg.learning.rounds.descent`)."""
    tuned: Mapping[str, Any] = field(default_factory=dict)
    """Departures from `TrainConfig`'s defaults; the same candidates for each algorithm (benchmarks/tune.py)."""
    independent: Mapping[str, Any] = field(default_factory=dict)
    """Departures on top of these where each agent has a network of its own."""
    blocks: Mapping[str, Any] = field(default_factory=dict)
    """Departures on top of these where the values of blocks are learned."""
    rounds: Mapping[str, Any] = field(default_factory=dict)
    """Departures on top of these where agents speak in rounds, found by hand (docs/results/coordination.md)."""


ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            "dg-pg",
            critic="central",
            guided=True,
            tuned={"actor_lr": 6e-3},
            blocks={
                "actor_lr": 1e-2,
                "actor_hidden": 48,
                "clip": 0.5,
                "entropy": 0.0,
                "alpha": {"start": 0.9, "end": 0.9},
            },
            rounds={**TOGETHER, "entropy": 0.0},
        ),
        Algorithm(
            "mappo",
            critic="central",
            tuned={"actor_lr": 6e-3, "clip": 0.3},
            independent={"lambda_": 0.5, "clip": 0.2},
        ),
        Algorithm(
            "mappo-blocks",
            critic="blocks",
            tuned={"actor_lr": 6e-3, "actor_hidden": 48, "clip": 0.3, "entropy": 0.0},
        ),
        Algorithm(
            "ippo",
            critic="local",
            tuned={"actor_lr": 6e-3, "actor_hidden": 48, "clip": 0.3, "entropy": 0.0},
            independent={"actor_lr": 3e-3, "actor_hidden": 32, "clip": 0.2, "entropy": 1e-3},
        ),
        Algorithm(
            "ippo-local",
            critic="local",
            reward="local",
            tuned={"actor_lr": 1e-2, "gamma": 0.9, "lambda_": 0.5, "clip": 0.5, "entropy": 0.0},
            independent={"clip": 0.2, "entropy": 1e-3},
        ),
        Algorithm(
            "ippo-blocks",
            critic="local",
            reward="blocks",
            tuned={"actor_lr": 1e-2, "actor_hidden": 48, "gamma": 0.9},
        ),
        Algorithm(
            "mirror-descent",
            critic="central",
            guided=True,
            actor="descent",
            tuned={**TOGETHER, "actor_lr": 3e-2},
        ),
    )
}


def find(name: str) -> Algorithm:
    """The algorithm of that name; a wrong one shows the nearest.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in ALGORITHMS:
        raise ConfigError(unknown("algorithm", name, ALGORITHMS))
    return ALGORITHMS[name]


def train_config(
    algorithm: Algorithm, domain: Mapping[str, Any], settings: Mapping[str, Any], space: spaces.Space[Any],
    rounds: int = 0, valued: bool = False,
) -> TrainConfig:  # fmt: skip
    """Tuned settings, the domain's own or else the algorithm's, with the user's on top.

    Args:
        algorithm: says what it needs of them.
        domain: what the domain was tuned to with this algorithm; empty if it was not.
        settings: the user's.
        space: action space, which decides what estimators there are.
        rounds: of intent.
        valued: whether environment and model let values of blocks be learned.

    Raises:
        ConfigError: settings that exclude one another, naming the field; agents that do not choose, where the
            algorithm is for those that do.
    """
    if "blocks" in (algorithm.critic, algorithm.reward) and not isinstance(space, spaces.MultiDiscrete):
        raise ConfigError(
            f"algorithm {algorithm.name} needs agents that choose, and those of this domain set numbers or splits; "
            "use mappo or ippo"
        )
    independent = {**domain, **settings}.get("parameters") == "independent"
    learned = valued and isinstance(space, spaces.MultiDiscrete) and (settings.get("blocks") or {}).get("use", True)
    if learned and settings.get("estimator") is not None:
        learned = find_estimator(kind_of(space), settings["estimator"]).LEARNS
    own = merge(algorithm.tuned, algorithm.independent if independent else {})
    own = merge(own, algorithm.blocks if learned else {})
    tuned = domain or merge(own, algorithm.rounds if rounds else {})
    config = validate(TrainConfig, merge(tuned, settings), "train")
    alone = algorithm.guided and config.alpha.guidance_alone
    if config.distribution is None:
        chosen = _distribution(algorithm, space, alone, config.estimator)
        config = config.model_copy(update={"distribution": chosen})
    kind = kind_of(space, config.distribution)
    name = config.estimator or next(iter(offered(kind)))
    estimator, config = find_estimator(kind, name), config.model_copy(update={"estimator": name})
    if config.distribution == "mean" and not alone:
        raise ConfigError(
            "train.distribution = mean: a policy without chance has no score function, so only guidance can train it; "
            "use algorithm dg-pg with train.alpha.start=1 and train.alpha.end=1, or train.distribution=gaussian"
        )
    if config.guidance_scale != "none" and not estimator.SCALES:
        raise ConfigError(f"train.guidance_scale = influence: the estimator {name} has no scale; use none")
    return config


def _distribution(
    algorithm: Algorithm, space: spaces.Space[Any], alone: bool, estimator: str | None
) -> Literal["gaussian", "mean"] | None:
    """The distribution where none is named: for splits `mean` if it can be trained, as noise in a split costs."""
    if isinstance(space, spaces.MultiDiscrete):
        return None
    if algorithm.actor == "descent":
        return "mean"
    if not isinstance(space, Simplex):
        return None
    return "mean" if alone and (estimator is None or estimator in offered(kind_of(space, "mean"))) else "gaussian"


def coordination_config(algorithm: Algorithm, settings: Mapping[str, Any]) -> CoordinationConfig:
    """Rounds of intent; none by default, three for an algorithm that is nothing without them.

    Raises:
        ConfigError: an algorithm that is nothing but rounds was given none.
    """
    descends = algorithm.actor == "descent"
    config = validate(CoordinationConfig, merge({"rounds": 3} if descends else {}, settings), "coordination")
    if descends and not config.rounds:
        raise ConfigError(f"coordination.rounds = 0: algorithm {algorithm.name} is nothing but rounds; use at least 1")
    return config
