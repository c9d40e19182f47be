"""The algorithms: one trainer, different parts. Each is a row, not a loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gymnasium import spaces

from dgpg.actions import ActionKind, default_distribution, kind_of, make_actor
from dgpg.config import CoordinationConfig, RunConfig, TrainConfig, merge, validate
from dgpg.coordination import Rounds, Team
from dgpg.descent import MirrorDescent
from dgpg.errors import ConfigError, unknown
from dgpg.protocols import AgentMapping, AnalyticalModel, Environment, JointMapping
from dgpg.types import Decision

TOGETHER: dict[str, Any] = {"actor_lr": 1.2e-2, "epochs": 1, "minibatches": 16, "alpha": {"start": 1.0, "end": 1.0}}
"""Where agents speak, guidance alone: sixteen steps on a sixteenth of the data each, as many as without rounds."""


@dataclass(frozen=True)
class Algorithm:
    """Which critic, which reward, whether guided; and the settings it was tuned to."""

    name: str
    critic: Literal["central", "local"]
    """`central` sees the whole system (MAPPO), `local` what an agent sees (IPPO)."""
    reward: Literal["shared", "local"] = "shared"
    """`local` pays each agent its own cost, where the domain offers one."""
    guided: bool = False
    actor: Literal["network", "descent"] = "network"
    """`descent` fits two numbers a round instead of a network (`dgpg.descent`)."""
    tuned: Mapping[str, Any] = field(default_factory=dict)
    """Departures from `TrainConfig`'s defaults; the same candidates for each algorithm (benchmarks/tune.py)."""
    independent: Mapping[str, Any] = field(default_factory=dict)
    """Departures on top of these where each agent has a network of its own."""
    rounds: Mapping[str, Any] = field(default_factory=dict)
    """Departures on top of these where agents speak in rounds, found by hand on the cloud domain (docs/results.md)."""


@dataclass(frozen=True)
class Task:
    """What there is to learn: the parts a domain made for one configuration."""

    env: Environment
    model: AnalyticalModel
    mapping: AgentMapping | JointMapping


ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            "dg-pg", critic="central", guided=True, tuned={"actor_lr": 6e-3}, rounds={**TOGETHER, "entropy": 0.0}
        ),
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
    rounds: int = 0,
) -> TrainConfig:  # fmt: skip
    """Tuned settings, the domain's own or else the algorithm's, with the user's on top.

    Args:
        algorithm: says what it needs of them.
        domain: what the domain was tuned to with this algorithm; empty if it was not.
        settings: the user's.
        space: action space, which decides what estimators there are.
        rounds: of intent.

    Raises:
        ConfigError: settings that exclude one another, naming the field.
    """
    independent = {**domain, **settings}.get("parameters") == "independent"
    own = merge(algorithm.tuned, algorithm.independent if independent else {})
    tuned = domain or merge(own, algorithm.rounds if rounds else {})
    config = validate(TrainConfig, merge(tuned, settings), "train")
    alone = algorithm.guided and config.alpha.guidance_alone
    if config.distribution is None:
        chosen = default_distribution(space, alone, config.estimator)
        if algorithm.actor == "descent" and not isinstance(space, spaces.MultiDiscrete):
            chosen = "mean"
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


def make_team(run: RunConfig, algorithm: Algorithm, task: Task, kind: ActionKind, decision: Decision) -> Team:
    """The agents of a run, untrained.

    Args:
        run: its settings.
        algorithm: network or descent.
        task: environment, model and mapping.
        kind: of actions.
        decision: any moment, to see how long messages are; only looked at where there are rounds.
    """
    train, wanted = run.train, run.coordination
    if not wanted.rounds:
        return Team(kind, make_actor(task.env, kind, train.parameters, train.actor_hidden, run.seed))
    rounds = Rounds(wanted.rounds, task.model, task.mapping, wanted.detached)
    size = kind.intents(task.model, task.mapping, decision).size
    if algorithm.actor == "descent":
        numbers = None if isinstance(task.env.action_space, spaces.MultiDiscrete) else kind.DRAWS[0]
        return Team(kind, MirrorDescent(size, wanted.rounds, numbers).to(task.env.device), rounds)
    return Team(kind, make_actor(task.env, kind, train.parameters, train.actor_hidden, run.seed, size), rounds)
