"""Action kinds, one module each: how to sample, score and guide. Nothing else in the core asks."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from gymnasium import spaces

from dgpg import random
from dgpg.actions import categorical
from dgpg.actions.box import Box
from dgpg.actions.distributions import DISTRIBUTIONS
from dgpg.actions.kind import ActionKind
from dgpg.errors import ConfigError, PluginError
from dgpg.networks import Actor, sharing_of, sizes
from dgpg.protocols import Environment
from dgpg.sharing import Parameters

__all__ = ["ActionKind", "kind_of", "make_actor"]


def kind_of(space: spaces.Space[Any], distribution: str | None = None) -> ActionKind:
    """The kind for an action space.

    Args:
        space: of one environment, `MultiDiscrete([K] * N)` or a bounded `Box` `[N, A]`.
        distribution: of continuous actions, one of `DISTRIBUTIONS`; None is "gaussian".

    Raises:
        PluginError: a space of no known kind.
        ConfigError: a distribution for choices.
    """
    if isinstance(space, spaces.MultiDiscrete):
        if distribution is not None:
            raise ConfigError(f"train.distribution = {distribution}: agents of this domain choose, leave it out")
        return cast(ActionKind, categorical)
    if isinstance(space, spaces.Box) and len(space.shape) == 2 and np.isfinite([space.low, space.high]).all():
        return Box.of(space.low, space.high, DISTRIBUTIONS[distribution or "gaussian"])
    raise PluginError(
        f"action space {space} is of no known kind: expected MultiDiscrete([K] * N), one choice of K an agent, "
        "or a Box [N, A] with finite bounds, A numbers an agent"
    )


def make_actor(env: Environment, kind: ActionKind, parameters: Parameters, hidden: int, seed: int) -> Actor:
    """The policy network for an environment's observations; the same seed gives the same weights."""
    init = random.generator(random.derive(seed, "actor"))
    return kind.make_actor(sizes(env), hidden, sharing_of(env, parameters), init).to(env.device)
