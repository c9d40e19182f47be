"""The parts of a run, made of its settings and its task: agents, estimator, values of blocks; all untrained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

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
    SupportsBlockCost,
    SupportsBlockPotential,
    random,
)
from dgpg.learning.actions import ActionKind, make_actor
from dgpg.learning.algorithms import Algorithm
from dgpg.learning.blocks import BlockLearner, Correction, Memory, looks
from dgpg.learning.config import RunConfig
from dgpg.learning.estimators import Estimator, Unguided, find_estimator, offered
from dgpg.learning.rounds import MirrorDescent, Rounds, Team
from dgpg.learning.rounds.intents import intents_of


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
