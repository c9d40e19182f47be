"""Action kinds, one module each: what it is to act, how to sample and score."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from dgpg.domain import Environment, contract, random
from dgpg.domain import Simplex as SimplexSpace
from dgpg.errors import ConfigError, PluginError, unknown
from dgpg.learning.actions.box import Box
from dgpg.learning.actions.categorical import CATEGORICAL, Categorical
from dgpg.learning.actions.distributions import DISTRIBUTIONS
from dgpg.learning.actions.kind import ActionKind
from dgpg.learning.actions.logits import LOGITS
from dgpg.learning.actions.simplex import Simplex
from dgpg.learning.networks import Actor, Parameters, sharing_of, sizes

__all__ = ["CATEGORICAL", "ActionKind", "Box", "Categorical", "Simplex", "kind_of", "make_actor"]


def kind_of(space: spaces.Space[Any], distribution: str | None = None) -> ActionKind:
    """The kind for an action space.

    Args:
        space: of one environment, `MultiDiscrete([K] * N)`, a bounded `Box` `[N, A]` or `dgpg.domain.Simplex(N, K)`.
        distribution: of continuous actions, one of `DISTRIBUTIONS`, or of `LOGITS` for splits; None is "gaussian".

    Raises:
        PluginError: a space of no known kind.
        ConfigError: a distribution that this kind does not have.
    """
    if isinstance(space, spaces.MultiDiscrete):
        if distribution is not None:
            raise ConfigError(f"train.distribution = {distribution}: agents of this domain choose, leave it out")
        return CATEGORICAL
    if isinstance(space, spaces.Box) and len(space.shape) == 2 and np.isfinite([space.low, space.high]).all():
        return Box.of(space.low, space.high, DISTRIBUTIONS[distribution or "gaussian"])
    if isinstance(space, SimplexSpace) and len(space.shape or ()) == 2:
        name = distribution or "gaussian"
        if name not in LOGITS:
            raise ConfigError("train.distribution: " + unknown("distribution of splits", name, LOGITS))
        return Simplex(torch.as_tensor(space.start), LOGITS[name])
    raise PluginError(
        f"action space {space} is of no known kind: expected MultiDiscrete([K] * N), one choice of K an agent, "
        "a Box [N, A] with finite bounds, A numbers an agent, or a dgpg.domain.Simplex(N, K), a split over K an agent"
    )


def make_actor(
    env: Environment, kind: ActionKind, parameters: Parameters, hidden: int, seed: int, messages: int = 0
) -> Actor:
    """The policy network for an environment's observations; the same seed gives the same weights.

    Args:
        env: says what agents see, and how many there are.
        kind: says what outputs there are.
        parameters: whether agents share weights.
        hidden: units of a layer.
        seed: of the weights.
        messages: numbers in a message, M of `dgpg.learning.rounds.intents`; 0 where nobody speaks.

    Raises:
        PluginError: agents choose, and nothing tells their choices apart.
    """
    init = random.generator(random.derive(seed, "actor"))
    inputs = {**sizes(env), "messages": messages}
    if isinstance(kind, Categorical) and not (inputs["choices"] or messages):
        contract.look_at_choices(env)
    return kind.make_actor(inputs, hidden, sharing_of(env, parameters), init).to(env.device)
