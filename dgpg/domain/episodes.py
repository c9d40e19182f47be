"""A base for environments whose episodes all have the same length: what is left to write is the system itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from dgpg.domain.random import Streams
from dgpg.domain.types import Decision, Step

Memory = dict[str, Tensor]
"""Everything that the rest of an episode depends on, by name, `[B, ...]`; never changed in place."""


@dataclass(frozen=True)
class Outcome:
    """What a joint action brought about, before the clock moves on."""

    reward: Tensor
    """Shared reward r_t = -cost of the step, `[B]`."""
    state: Tensor
    """x_t, `[B, G, m]`."""
    memory: Memory
    """What the next step starts from."""
    local_reward: Tensor | None = None
    """Each agent's own share, `[B, N]`, where there is one."""
    block_cost: Tensor | None = None
    """What each block of the state cost, `[B, G]`, where the environment has `num_blocks`, G."""
    measures: Mapping[str, Tensor] = field(default_factory=dict)
    """What to report beside the cost, by name, `[B]`."""


class Episodes(ABC):
    """B environments in step, each drawing from a stream of its own; see `dgpg.domain.Environment`.

    Implement `begin`, `observe` and `advance`; clock, restarts and saved states are done here. Episodes are cut at the
    horizon, never ended: their value goes on in the final moment. Environments look at `self.memory`, `self.t` (the
    step, a number) and what does not change; chance comes from `self.streams` in `begin`, once an episode, so that no
    policy changes what is drawn.

    Args:
        num_envs: B.
        num_agents: N.
        horizon: steps of an episode.
        device: where tensors are.
        seed: environment b draws from `seed + b`.
        observation_space: of one environment, see `observations`.
        action_space: of one environment.
        cost_unit: of -reward.
    """

    def __init__(
        self, *, num_envs: int, num_agents: int, horizon: int, device: torch.device, seed: int,
        observation_space: spaces.Dict, action_space: spaces.Space[Any], cost_unit: str,
    ) -> None:  # fmt: skip
        self.num_envs, self.num_agents, self.horizon, self.device = num_envs, num_agents, horizon, device
        self.observation_space, self.action_space, self.cost_unit = observation_space, action_space, cost_unit
        self.streams = Streams(seed, num_envs)
        self.t, self.memory = 0, Memory()

    @abstractmethod
    def begin(self) -> Memory:
        """What a new episode starts from, all that is random in it included."""

    @abstractmethod
    def observe(self) -> Decision:
        """The moment of decision that `memory` and `t` describe."""

    @abstractmethod
    def advance(self, actions: Tensor) -> Outcome:
        """Take the joint action `[B, N]` (`[B, N, A]`) in the moment of `memory` and `t`; change neither."""

    def reset(self) -> Decision:
        """Start new episodes everywhere."""
        self.t, self.memory = 0, self.begin()
        return self.observe()

    def step(self, actions: Tensor) -> Step:
        """Take the joint action `[B, N]` (`[B, N, A]`); start again where that was the last."""
        found = self.advance(actions.to(self.device))
        self.t, self.memory = self.t + 1, found.memory
        decision = final = self.observe()
        over = self.t == self.horizon
        if over:
            decision = self.reset()
        never = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        return Step(
            reward=found.reward,
            state=found.state,
            terminated=never,
            truncated=never | over,
            decision=decision,
            final=final if over else None,
            local_reward=found.local_reward,
            block_cost=found.block_cost,
            measures=found.measures,
        )

    def state_dict(self) -> dict[str, Any]:
        """Clock, memory and random streams."""
        memory = {name: x.clone() for name, x in self.memory.items()}
        return {"t": self.t, "memory": memory, "streams": self.streams.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> Decision:
        """Restore what `state_dict` returned."""
        self.t = state["t"]
        self.memory = {name: x.to(self.device, copy=True) for name, x in state["memory"].items()}
        self.streams.load_state_dict(state["streams"])
        return self.observe()


def observations(agents: int, choices: int, features: int, of_choices: int, central: int) -> spaces.Dict:
    """The space of observations without bounds: N agents of F features, K choices of C, S central ones."""

    def box(*shape: int) -> spaces.Box:
        return spaces.Box(-np.inf, np.inf, shape, np.float32)

    return spaces.Dict(
        {
            "agent": box(agents, features),
            "choices": box(agents, choices, of_choices),
            "mask": spaces.MultiBinary([agents, choices]),
            "central": box(central),
        }
    )
