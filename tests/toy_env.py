"""What the toys have in common: a clock, chance, the ends of episodes, saved states, and a trainer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, AnalyticalModel, Decision, JointMapping, Step, Streams
from dgpg.learning import RunConfig, Task, Trainer, algorithms


class ToyEnv(ABC):
    """A moment follows from the clock and from uniform numbers; episodes end early by chance, else at the horizon."""

    device = torch.device("cpu")

    def __init__(self, num_envs: int, num_agents: int, seed: int, horizon: int, still: bool) -> None:
        self.num_envs, self.num_agents, self.horizon, self.still = num_envs, num_agents, horizon, still
        self.streams = Streams(seed, num_envs)

    @abstractmethod
    def _draw(self) -> Tensor:
        """The uniform numbers of a moment, `[B, ...]`."""

    @abstractmethod
    def _decide(self) -> Decision:
        """What `t` and `noise` mean to the agents."""

    @abstractmethod
    def _ends(self, noise: Tensor) -> Tensor:
        """Which environments end early, `[B]`, by what was drawn for the moment after."""

    def reset(self) -> Decision:
        self.t = torch.zeros(self.num_envs, dtype=torch.long)
        self.noise = self._draw()
        self.decision = self._decide()
        return self.decision

    def _go_on(
        self, reward: Tensor, state: Tensor, local_reward: Tensor | None = None, block_cost: Tensor | None = None
    ) -> Step:
        """The step with this outcome, and the moment after it."""
        self.t = self.t + 1
        # Drawn whether needed or not: what environment b draws must not depend on the batch around it.
        after, restart = self._draw(), self._draw()
        terminated = self._ends(after) & (not self.still)
        truncated = (self.t == self.horizon) & ~terminated
        done = terminated | truncated
        self.noise = after
        final = self._decide()
        self.t = self.t.where(~done, 0)
        self.noise = after.where(~done.view(-1, *[1] * (after.ndim - 1)), restart)
        self.decision = self._decide()
        return Step(
            reward=reward,
            state=state,
            terminated=terminated,
            truncated=truncated,
            decision=self.decision,
            final=final if bool(done.any()) else None,
            local_reward=local_reward,
            block_cost=block_cost,
        )

    def state_dict(self) -> dict[str, Any]:
        return {"t": self.t.clone(), "noise": self.noise.clone(), "streams": self.streams.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> Decision:
        self.t, self.noise = state["t"].clone(), state["noise"].clone()
        self.streams.load_state_dict(state["streams"])
        self.decision = self._decide()
        return self.decision


def small_trainer(
    name: str, env: Any, model: AnalyticalModel, mapping: AgentMapping | JointMapping, *, seed: int, iterations: int,
    wrap: Callable[[Any], Any], coordination: Mapping[str, Any] | None = None, **settings: Any,
) -> Trainer:  # fmt: skip
    """A trainer on a toy; 5 steps an iteration, so that episodes end in the middle of one."""
    algorithm = replace(algorithms.find(name), tuned={}, rounds={})  # tuning must not move the tests
    small: dict[str, Any] = {"horizon": 5, "minibatches": 2, "actor_hidden": 8, "critic_hidden": 8}
    if algorithm.actor == "descent":
        small["alpha"] = {"start": 1.0, "end": 1.0}
    train = algorithms.train_config(algorithm, {}, small | settings, env.action_space)
    rounds = algorithms.coordination_config(algorithm, coordination or {})
    config = RunConfig(
        domain="toy", algorithm=name, iterations=iterations, num_envs=env.num_envs, seed=seed, train=train,
        coordination=rounds,
    )  # fmt: skip
    return Trainer(config, algorithm, Task(wrap(env), model, mapping))
