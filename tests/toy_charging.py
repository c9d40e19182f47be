"""Cars at chargers, each with a need and a time of departure: what is cheap in a step may be dear at its end.

The action is the energy a charger gives in a step. It costs at once; what a car lacks when it leaves costs ten times as
much, once. `StepCost` is the true cost of a step and nothing else: a model that is right about every step and
ruins who follows it. `Due` counts what a car still lacks as well, by the time that is left.
"""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from dgpg.domain import Context, CostModel, Decision, Observation, Step

from .toy_env import ToyEnv

AGENTS = 6
STAY = 8
"""Steps a car stays; a charger's car leaves, and the next one comes, a step after its neighbour's."""
MOST, NEED = 1.0, 4.0
"""Energy of a step, and mean need of a car."""
PRICE, LACK = 1.0, 10.0
"""Of energy, and of what is lacking at departure."""


def charged(actions: Tensor, context: Context) -> Tensor:
    """Energy given and need left, `[B, N, 2]`."""
    given = torch.minimum(actions[..., 0], context["need"])
    return torch.stack([given, context["need"] - given], -1)


def cost_of(state: Tensor, left: Tensor) -> Tensor:
    """Cost of a step of each charger, `[..., N]`, with `left` steps to departure after this one."""
    return PRICE * state[..., 0] + LACK * state[..., 1] * (left == 0)


class Env(ToyEnv):
    """Episodes of `horizon` steps; a car in each charger at any time."""

    cost_unit = "cost of a step"
    num_blocks = AGENTS

    def __init__(self, num_envs: int = 4, seed: int = 0, horizon: int = 24) -> None:
        super().__init__(num_envs, AGENTS, seed, horizon, False)
        self.observation_space = spaces.Dict(
            {
                "agent": spaces.Box(-np.inf, np.inf, (AGENTS, 2)),
                "choices": spaces.Box(-np.inf, np.inf, (AGENTS, 1, 0)),
                "mask": spaces.MultiBinary([AGENTS, 1]),
                "central": spaces.Box(-np.inf, np.inf, (AGENTS,)),
            }
        )
        self.action_space = spaces.Box(np.zeros((AGENTS, 1), np.float32), np.full((AGENTS, 1), MOST, np.float32))
        self.need = torch.zeros(num_envs, AGENTS)

    def _draw(self) -> Tensor:
        return self.streams.uniform(self.num_agents)

    def _ends(self, noise: Tensor) -> Tensor:
        return torch.zeros(len(noise), dtype=torch.bool)

    def _left(self) -> Tensor:
        """Steps from the end of this one to departure, `[B, N]`."""
        return (STAY - 1 - (self.t.unsqueeze(-1) + torch.arange(AGENTS))) % STAY

    def _new(self) -> Tensor:
        return NEED * (0.5 + self.noise)

    def reset(self) -> Decision:
        self.need = torch.full((self.num_envs, AGENTS), NEED)
        return super().reset()

    def _decide(self) -> Decision:
        left = self._left()
        seen = torch.stack([self.need / NEED, left / STAY], -1)
        observation = Observation(
            agent=seen,
            choices=torch.zeros(self.num_envs, AGENTS, 1, 0),
            mask=torch.ones(self.num_envs, AGENTS, 1, dtype=torch.bool),
            central=self.need,
        )
        return Decision(observation, {"need": self.need, "left": left})

    def step(self, actions: Tensor) -> Step:
        state, left = charged(actions, self.decision.context), self._left()
        self.need = torch.where(left == 0, self._new(), state[..., 1])
        self.need = torch.where((self.t + 1 == self.horizon).unsqueeze(-1), NEED, self.need)
        cost = cost_of(state, left)
        return self._go_on(-cost.sum(-1), state, block_cost=cost)

    def state_dict(self) -> dict[str, object]:
        return super().state_dict() | {"need": self.need.clone()}

    def load_state_dict(self, state: dict[str, object]) -> Decision:
        self.need = state["need"].clone()  # type: ignore[attr-defined]
        return super().load_state_dict(state)


class Chargers:
    """What the environment does with a joint action."""

    def state(self, actions: Tensor, context: Context) -> Tensor:
        return charged(actions, context)


class StepCost(CostModel):
    """The true cost of a step: of a car that does not leave yet, only the energy it takes."""

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return cost_of(block, context["left"].gather(1, index))


class Due(StepCost):
    """The same, and what a car cannot be given any more at the rate there is, or not without haste."""

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        left = context["left"].gather(1, index)
        hurry = block[..., 1] / (left + 1)
        return super().block_potential(block, index, context) + LACK * hurry * (left > 0)


class AtOnce:
    """The rule that charges what it can."""

    name: str = "at once"
    information: str = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        return torch.full_like(noise, MOST)
