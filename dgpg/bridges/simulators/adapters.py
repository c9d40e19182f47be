"""Environments of Gymnasium and PettingZoo as simulators: what runs in worker processes. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from dgpg.bridges.simulators.view import Array, View

Contexts = Callable[[Any], dict[str, Any]]
"""What the analytical model may look at, read of the environment itself."""
MASK, SEEN = "action_mask", "observation"
"""Names that PettingZoo's convention has for what is allowed and, beside it, what is seen."""
Said = tuple[Mapping[str, Any], Mapping[str, float], Mapping[str, bool], Mapping[str, bool], Mapping[str, Any]]
"""Observations, rewards, terminations, truncations and infos, by agent."""


class Making:
    """Makes a simulator of a kind around what `make` makes."""

    def __init__(self, kind: Callable[[Callable[[], Any], int], Any], make: Callable[[], Any]) -> None:
        self.kind, self.make = kind, make

    def __call__(self, seed: int) -> Any:
        """With its seed."""
        return self.kind(self.make, seed)


class Single:
    """The environment with the last that it returned."""

    def __init__(self, make: Callable[[], Any], seed: int) -> None:
        self.env = make()
        self.env.action_space.seed(seed)

    def reset(self, seed: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """A new episode."""
        seen, info = self.env.reset(seed=seed)
        return seen, 0.0, False, False, info

    def step(self, action: Array) -> Any:
        """The joint action."""
        return self.env.step(action.astype(self.env.action_space.dtype))

    def close(self) -> None:
        """End it."""
        self.env.close()


class ReadSingle:
    """Features of agents are the observation's rows `[N, F]`, or all of it for each agent if it is flat."""

    def __init__(self, agents: int, context: Contexts) -> None:
        self.agents, self.context = agents, context

    def __call__(self, simulator: Single, said: tuple[Any, float, bool, bool, dict[str, Any]]) -> View:
        """The cost is minus the reward; the mask is `info["action_mask"]`, as the convention has it."""
        seen, reward, terminated, truncated, info = said
        agent = np.asarray(seen, np.float32)
        return View(
            agent=agent if agent.ndim == 2 else np.tile(agent.ravel(), (self.agents, 1)),
            context=self.context(simulator.env.unwrapped),
            cost=-float(reward),
            mask=info.get("action_mask"),
            central=agent.ravel(),
            terminated=bool(terminated),
            truncated=bool(truncated),
        )


class Parallel:
    """The environment; agents are those of `possible_agents`, in that order, whether they live or not."""

    def __init__(self, make: Callable[[], Any], seed: int) -> None:
        self.env = make()
        self.names = list(self.env.possible_agents)
        self.spaces = [self.env.action_space(name) for name in self.names]

    def reset(self, seed: int) -> Said:
        """A new episode."""
        seen, infos = self.env.reset(seed=seed)
        return seen, {}, {}, {}, infos

    def step(self, action: Array) -> Said:
        """The joint action, of agents that live.

        Raises:
            ValueError: an agent appears that is not one of `possible_agents`.
        """
        living = set(self.env.agents)
        given = {
            name: _native(action[i], space)
            for i, (name, space) in enumerate(zip(self.names, self.spaces, strict=True))
            if name in living
        }
        found: Said = self.env.step(given)
        strange = sorted(set(self.env.agents) - set(self.names))
        if strange:
            raise ValueError(f"agents {', '.join(strange)} are not among possible_agents, which cannot grow")
        return found

    def close(self) -> None:
        """End it."""
        self.env.close()


class ReadParallel:
    """Features of agents are their observations, flat; those of the dead are zero, and nothing is allowed them."""

    def __init__(self, features: int, choices: int, context: Contexts) -> None:
        self.features, self.choices, self.context = features, choices, context

    def __call__(self, simulator: Parallel, said: Said) -> View:
        """The cost is minus the sum of rewards; each agent's own is its local reward."""
        seen, rewards, ended, _, infos = said
        living = set(simulator.env.agents)
        agent = np.zeros((len(simulator.names), self.features), np.float32)
        mask = np.zeros((len(simulator.names), self.choices), bool)
        for i, (name, space) in enumerate(zip(simulator.names, simulator.spaces, strict=True)):
            if name in living:
                found, allowed = _parts(name, seen, infos)
                agent[i, : found.size] = found
                mask[i, : int(getattr(space, "n", 1))] = True if allowed is None else np.asarray(allowed, bool)
        over = bool(rewards) and not living
        terminated = over and any(ended.values())
        return View(
            agent=agent,
            context=self.context(simulator.env.unwrapped),
            cost=-float(sum(rewards.values())),
            mask=mask,
            local_reward=[float(rewards.get(name, 0.0)) for name in simulator.names],
            terminated=terminated,
            truncated=over and not terminated,
        )


def _parts(name: str, seen: Mapping[str, Any], infos: Mapping[str, Any]) -> tuple[Array, Any]:
    """What an agent sees, flat, and what is allowed it, None if nobody says."""
    own, info = seen[name], infos.get(name, {})
    if isinstance(own, Mapping):
        return np.asarray(own[SEEN], np.float32).ravel(), own.get(MASK, info.get(MASK))
    return np.asarray(own, np.float32).ravel(), info.get(MASK)


def _native(action: Any, space: Any) -> Any:
    """As the agent's own space has it."""
    return int(action) if isinstance(space, spaces.Discrete) else action.astype(space.dtype)
