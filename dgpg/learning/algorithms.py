"""The algorithms: one trainer, different parts. Each is a row, not a loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from gymnasium import spaces
from torch import Tensor

from dgpg.domain import (
    AgentMapping,
    AnalyticalModel,
    Context,
    Decision,
    Environment,
    JointMapping,
    Simplex,
    SupportsBlockCost,
    SupportsBlockPotential,
    merge,
    random,
    validate,
)
from dgpg.errors import ConfigError, unknown
from dgpg.learning.actions import ActionKind, kind_of, make_actor
from dgpg.learning.blocks import BlockLearner, Correction, Memory, looks
from dgpg.learning.config import CoordinationConfig, RunConfig, TrainConfig
from dgpg.learning.estimators import Estimator, Unguided, find_estimator, offered
from dgpg.learning.rounds import MirrorDescent, Rounds, Team
from dgpg.learning.rounds.intents import intents_of

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


@dataclass(frozen=True)
class Task:
    """What there is to learn: the parts a domain made for one configuration."""

    env: Environment
    """Environments of the (first) shard, or of all that this process holds."""
    model: AnalyticalModel
    mapping: AgentMapping | JointMapping
    more: tuple[Environment, ...] = ()
    """Environments of further shards that this process holds, see `dgpg.learning.shards`."""

    @property
    def envs(self) -> tuple[Environment, ...]:
        """Of each shard that this process holds, or one of all."""
        return (self.env, *self.more)


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


def make_estimator(run: RunConfig, algorithm: Algorithm, kind: ActionKind) -> tuple[Estimator, Estimator]:
    """What enters learning where alpha is above zero, and where it is not.

    Args:
        run: its settings.
        algorithm: guided or not.
        kind: of actions.
    """
    train, unguided = run.train, Unguided(kind, run.train.gamma, False)
    if not algorithm.guided:
        return unguided, unguided
    found = find_estimator(kind, train.estimator or next(iter(offered(kind))))
    return found(kind, train.gamma, train.guidance_scale == "influence"), unguided


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
    size = intents_of(kind, task.model, task.mapping, decision).size
    if algorithm.actor == "descent":
        numbers = None if isinstance(task.env.action_space, spaces.MultiDiscrete) else kind.DRAWS[0]
        return Team(kind, MirrorDescent(size, wanted.rounds, numbers).to(task.env.device), rounds)
    return Team(kind, make_actor(task.env, kind, train.parameters, train.actor_hidden, run.seed, size), rounds)


def values_blocks(env: Environment, model: AnalyticalModel) -> bool:
    """Whether costs of blocks are known, and the model is a sum over blocks."""
    return isinstance(env, SupportsBlockCost) and isinstance(model, SupportsBlockPotential)


def attributes(env: Environment) -> bool:
    """Whether agents choose, and the environment says what blocks cost."""
    return isinstance(env.action_space, spaces.MultiDiscrete) and isinstance(env, SupportsBlockCost)


def make_blocks(
    run: RunConfig, algorithm: Algorithm, task: Task, estimator: Estimator, decision: Decision
) -> BlockLearner | None:
    """What learns the values of blocks; None where the run does not, or the domain does not say what blocks cost.

    Args:
        run: its settings.
        algorithm: guided by a network, or not.
        task: environment, model and mapping.
        estimator: that guides.
        decision: any moment, to see how many numbers describe a block.
    """
    config = run.train.blocks
    guided = algorithm.guided and run.train.alpha.ever and estimator.LEARNS
    asked = config.use and (config.numbers or isinstance(task.env.action_space, spaces.MultiDiscrete))
    wanted = guided and algorithm.actor == "network" and asked
    if not (wanted and values_blocks(task.env, task.model)):
        return None
    model, mapping = cast(SupportsBlockPotential, task.model), task.mapping
    correction = make_correction(run, task.env, model, mapping, decision)
    horizon = min(run.train.horizon or task.env.horizon, task.env.horizon)
    return BlockLearner(model, mapping, correction, config, horizon)


def make_memory(run: RunConfig, shard: int) -> Memory:
    """What a shard will remember of blocks: nothing yet."""
    return Memory(run.train.blocks.keep, run.train.shards, random.derive(run.seed, "blocks") + shard)


def make_correction(
    run: RunConfig, env: Environment, model: SupportsBlockPotential, mapping: AgentMapping | JointMapping,
    decision: Decision,
) -> Correction:  # fmt: skip
    """The network of block values of a run, untrained."""
    context, config = decision.context, run.train.blocks
    state = _some_state(env, mapping, context)
    blocks = state.shape[1]
    index = torch.arange(blocks, device=env.device).expand(len(state), -1)
    shown = looks(mapping, state, index, context, model.block_potential(state, index, context))
    init = random.generator(random.derive(run.seed, "block values"))
    return Correction(shown.shape[-1], blocks, config.hidden, init).to(env.device)


def _some_state(env: Environment, mapping: AgentMapping | JointMapping, context: Context) -> Tensor:
    """A state of a moment, `[B, G, m]`, for its shape: of nobody's choices, or of zeros for numbers and splits."""
    if isinstance(mapping, AgentMapping):
        return mapping.base_state(context)
    assert env.action_space.shape is not None
    nothing = torch.zeros(env.num_envs, *env.action_space.shape, device=env.device)
    return mapping.state(nothing, context)
