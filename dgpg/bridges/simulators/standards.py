"""Environments of Gymnasium and PettingZoo, described as simulators: sizes and names from their spaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from dgpg.bridges.simulators.adapters import MASK, SEEN, Contexts, Making, Parallel, ReadParallel, ReadSingle, Single
from dgpg.bridges.simulators.settings import Simulation
from dgpg.domain.names import Names, numbered
from dgpg.errors import PluginError


def from_gymnasium(
    make: Callable[[], gymnasium.Env[Any, Any]], context: Contexts, horizon: int, cost_unit: str = "minus the reward",
    names: Names | None = None,
) -> Simulation:  # fmt: skip
    """One `gymnasium.Env` whose action is joint: MultiDiscrete([K] * N), or a Box `[N, A]`.

    Args:
        make: makes it; `functools.partial(gymnasium.make, "...")`, say.
        context: called with the environment without its wrappers.
        horizon: steps after which an episode is cut, if it was not before.
        cost_unit: of minus the reward.
        names: of features and actions; numbered if None.

    Raises:
        PluginError: an environment of another kind.
    """
    env = make()
    space: Any = env.observation_space
    shape = tuple(space.shape or ())
    env.close()
    if isinstance(env, gymnasium.vector.VectorEnv):
        raise PluginError(
            "from_gymnasium: expected one environment, got a VectorEnv, which restarts episodes with seeds that nobody "
            "is told; give what it is made of, and num_envs and workers to Simulators"
        )
    if not isinstance(space, spaces.Box) or len(shape) not in (1, 2):
        raise PluginError(
            f"from_gymnasium: expected an observation space Box [N, F] or [D], got {space}; wrap it with "
            "gymnasium.wrappers.FlattenObservation"
        )
    action: Any = env.action_space
    if len(action.shape or ()) not in (1, 2):
        raise PluginError(
            f"from_gymnasium: expected a joint action, MultiDiscrete([K] * N) or a Box [N, A], got {action}"
        )
    agents = action.shape[0]
    if len(shape) == 2 and shape[0] != agents:
        raise PluginError(
            f"from_gymnasium: {agents} agents act and rows of {shape[0]} are observed; give a row to each agent"
        )
    size = int(np.prod(shape))
    return Simulation(
        make=Making(Single, make),
        read=ReadSingle(agents, context),
        action_space=action,
        names=names or _numbered(shape[-1], action),
        horizon=horizon,
        cost_unit=cost_unit,
        central=size,
    )


def from_parallel_env(
    make: Callable[[], Any], context: Contexts, horizon: int, cost_unit: str = "minus the sum of rewards",
    names: Names | None = None,
) -> Simulation:  # fmt: skip
    """A PettingZoo `ParallelEnv` whose agents all choose, or all act in a Box of as many numbers.

    Args:
        make: makes it; the function `parallel_env` of its module, say.
        context: called with the environment without its wrappers.
        horizon: steps after which an episode is cut, if it was not before.
        cost_unit: of minus the sum of rewards.
        names: of features and actions; numbered if None.

    Raises:
        PluginError: agents of several kinds, or spaces that dgpg has no agents for.
    """
    env = make()
    agents = list(env.possible_agents)
    actions = [env.action_space(name) for name in agents]
    features = max(_size(name, env.observation_space(name)) for name in agents)
    env.close()
    choices, action = _joint(agents, actions)
    return Simulation(
        make=Making(Parallel, make),
        read=ReadParallel(features, choices, context),
        action_space=action,
        names=names or _numbered(features, action),
        horizon=horizon,
        cost_unit=cost_unit,
    )


def _joint(agents: list[str], actions: list[Any]) -> tuple[int, spaces.Space[Any]]:
    """K and the space of joint actions; where agents have fewer choices than others, the mask says so."""
    if all(isinstance(space, spaces.Discrete) and space.start == 0 for space in actions):
        choices = max(int(space.n) for space in actions)
        return choices, spaces.MultiDiscrete([choices] * len(agents))
    shape = actions[0].shape
    if len(shape or ()) == 1 and all(isinstance(space, spaces.Box) and space.shape == shape for space in actions):
        low, high = (np.stack([getattr(space, end) for space in actions]) for end in ("low", "high"))
        return 1, spaces.Box(low.astype(np.float32), high.astype(np.float32))
    kinds = ", ".join(sorted({str(space) for space in actions})[:4])
    raise PluginError(
        f"from_parallel_env: expected a Discrete(K) from 0 for each agent, or a Box [A] of one shape, got {kinds}"
    )


def _size(name: str, space: Any) -> int:
    """Numbers in an observation."""
    inner = space[SEEN] if isinstance(space, spaces.Dict) and SEEN in space.spaces else space
    if not isinstance(inner, spaces.Box | spaces.MultiBinary):
        raise PluginError(
            f"from_parallel_env: expected a Box as observation of '{name}', or a Dict of '{SEEN}' and '{MASK}', "
            f"got {space}"
        )
    return int(np.prod(inner.shape))


def _numbered(features: int, action: Any) -> Names:
    numbers = action.shape[1] if isinstance(action, spaces.Box) else 1
    return Names(numbered("feature", features), action=numbered("action", numbers))
