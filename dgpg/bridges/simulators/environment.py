"""Simulators as a batched environment of dgpg: torch in front, worker processes behind."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from dgpg.bridges.simulators.crew import Crew
from dgpg.bridges.simulators.settings import Simulation, Workers
from dgpg.bridges.simulators.story import Story
from dgpg.bridges.simulators.view import CONTEXT, CUT, ENDED, GOES_ON, MEASURES, Array
from dgpg.domain import AgentMapping, Decision, JointMapping, Observation, Simplex, Step, observations, random
from dgpg.domain.expected import state_of
from dgpg.errors import PluginError, SimulatorError

SEEDS = 2**31
"""Seeds of simulators are below it: some take no more."""


class Simulators:
    """B simulators, stepped together in worker processes; see `dgpg.domain.Environment`.

    Environment b is made with a seed of `seed + b`, and each of its episodes is reset with one of that and its number.
    Its saved state is those seeds and the actions of the episode so far, which a restore replays, and a digest of all
    that was seen, which tells where a replay goes another way. A worker that dies is replaced in the same way.

    Args:
        simulation: one of them.
        num_envs: B.
        device: where tensors are.
        seed: of everything random.
        mapping: says which state a joint action is expected to lead to. `Step.state` is that; what `View.state`
            measured is `Step.measured`. Without a mapping `Step.state` is `View.state`.
        workers: the processes.

    Raises:
        PluginError: an argument is of another kind.
    """

    num_blocks: int

    def __init__(
        self, simulation: Simulation, num_envs: int, device: torch.device, seed: int,
        mapping: AgentMapping | JointMapping | None = None, workers: Workers | None = None,
    ) -> None:  # fmt: skip
        if workers is not None and not isinstance(workers, Workers):
            raise PluginError(f"Simulators: expected workers=Workers(count={workers!r:.20}), got {workers!r:.80}")
        if num_envs < 1:
            raise PluginError(f"Simulators: expected num_envs of at least 1, got {num_envs}")
        self.simulation, self.mapping, self.num_envs, self.device = simulation, mapping, num_envs, device
        sizes = simulation.sizes
        self.num_agents, self.horizon, self.cost_unit = sizes.agents, sizes.horizon, simulation.cost_unit
        self.action_space = simulation.action_space
        chosen = sizes.choices if isinstance(self.action_space, spaces.MultiDiscrete) else 0
        self._numbered = torch.eye(sizes.choices, chosen, device=device)
        """`[K, C]`, of choices that views tell nothing of: their numbers, or a policy could not tell them apart."""
        self.observation_space = observations(
            sizes.agents, sizes.choices, sizes.features, sizes.of_choices or chosen, sizes.central
        )
        if simulation.num_blocks is not None:
            self.num_blocks = simulation.num_blocks
        self._sizes, self._rehearsed = sizes, False
        self._seeds = [seed + b for b in range(num_envs)]
        self._crew = Crew(simulation, workers or Workers(), [_seed(own, "make") for own in self._seeds])
        self._now: Decision | None = None

    def reset(self) -> Decision:
        """Start new episodes everywhere."""
        self._crew.reset([self._episode_seed(b, 1) for b in range(self.num_envs)])
        return self._moved(self._decision(self._crew.shown()))

    def step(self, actions: Tensor) -> Step:
        """Take the joint action `[B, N]`, `[B, N, A]` or splits `[B, N, K]`.

        Raises:
            SimulatorError: a simulator failed; names environment, episode and step.
            PluginError: nothing was reset or restored before.
        """
        if self._now is None:
            raise PluginError("Simulators.step: call reset or load_state_dict first")
        before, taken = self._now, self._taken(actions.to(self.device))
        self._crew.step(taken.cpu().numpy(), [self._episode_seed(b, 1) for b in range(self.num_envs)])
        over, now = self._crew.overs(), self._crew.shown()
        outcome, ended = now, over != GOES_ON
        if ended.any():
            final = self._crew.shown("final")
            outcome = {name: np.where(_along(ended, column), final[name], column) for name, column in now.items()}
        expected = None if self.mapping is None else state_of(self.mapping, before, taken).detach()
        decision = self._moved(self._decision(now))
        return self._step(outcome, over, expected, decision)

    def state_dict(self) -> dict[str, Any]:
        """Seeds, actions and digests of each environment's episode, and what simulators saved of themselves.

        Raises:
            SimulatorError: they do not repeat themselves, so none of that would lead back.
        """
        if not self.simulation.repeats:
            raise SimulatorError("the simulator is declared not to repeat itself (Simulation.repeats)")
        saved = self._crew.save() if self._now is not None else [None] * self.num_envs
        if not self._rehearsed and any(s.actions for s in self._crew.stories) and all(x is None for x in saved):
            self._crew.rehearse()
            self._rehearsed = True
        return {
            "seeds": list(self._seeds),
            "stories": [_stored(story) for story in self._crew.stories],
            "saved": [None if one is None else torch.frombuffer(bytearray(one), dtype=torch.uint8) for one in saved],
        }

    def load_state_dict(self, state: dict[str, Any]) -> Decision:
        """Restore what `state_dict` returned, by replay.

        Raises:
            SimulatorError: a simulator goes another way than it did when it was saved.
        """
        self._seeds = list(state["seeds"])
        saved = [None if one is None else one.numpy().tobytes() for one in state["saved"]]
        self._crew.restore([_story(one) for one in state["stories"]], saved)
        return self._moved(self._decision(self._crew.shown()))

    @property
    def pids(self) -> list[int]:
        """Of the worker processes that run now, none before the first reset."""
        return self._crew.pids

    def _episode_seed(self, b: int, ahead: int) -> int:
        return _seed(self._seeds[b], "episode", self._crew.stories[b].episode + ahead)

    def _moved(self, decision: Decision) -> Decision:
        self._now = decision
        return decision

    def _taken(self, actions: Tensor) -> Tensor:
        """What simulators are given: nothing of agents that have nothing to decide."""
        assert self._now is not None
        active, space = self._now.observation.active, self.action_space
        if isinstance(space, spaces.MultiDiscrete):
            return torch.where(active, actions.long(), 0)
        idle = torch.zeros((), device=self.device)
        if not isinstance(space, Simplex):
            low, high = (torch.as_tensor(end, device=self.device) for end in (space.low, space.high))  # type: ignore[attr-defined]
            idle = idle.clamp(low, high)
        return torch.where(active.unsqueeze(-1), actions.float(), idle)

    def _tensor(self, column: Array, dtype: torch.dtype | None = None) -> Tensor:
        return torch.from_numpy(column).to(self.device, dtype)

    def _decision(self, now: dict[str, Array]) -> Decision:
        mask = self._tensor(now["mask"])
        numbered = self._numbered.repeat(*mask.shape[:2], 1, 1)
        seen = Observation(
            agent=self._tensor(now["agent"]),
            choices=self._tensor(now["choices"]) if "choices" in now else numbered,
            mask=mask,
            central=self._tensor(now["central"]),
        )
        context = {name[len(CONTEXT) :]: self._tensor(now[name]) for name in now if name.startswith(CONTEXT)}
        return Decision(seen, context)

    def _step(self, outcome: dict[str, Array], over: Array, expected: Tensor | None, decision: Decision) -> Step:
        measured = self._tensor(outcome["state"]) if "state" in outcome else None
        state = measured if expected is None else expected
        if state is None:
            raise PluginError("View.state is missing: give it, or give Simulators a mapping that says what to expect")
        return Step(
            reward=self._tensor(-outcome["cost"], torch.float32),
            state=state,
            terminated=self._tensor(over == ENDED),
            truncated=self._tensor(over == CUT),
            decision=decision,
            final=self._decision(outcome) if (over != GOES_ON).any() else None,
            local_reward=self._tensor(outcome["local_reward"]) if "local_reward" in outcome else None,
            block_cost=self._tensor(outcome["block_cost"]) if "block_cost" in outcome else None,
            measures={n[len(MEASURES) :]: self._tensor(outcome[n]) for n in outcome if n.startswith(MEASURES)},
            measured=None if expected is None else measured,
        )


def _along(ended: Array, column: Array) -> Array:
    """Which environments ended, with as many axes as a column."""
    return ended.reshape(-1, *[1] * (column.ndim - 1))


@lru_cache(1 << 14)
def _seed(seed: int, *keys: str | int) -> int:
    """Asked for at each step, in case that an episode ends there."""
    return random.derive(seed, *keys) % SEEDS


def _stored(story: Story) -> dict[str, Any]:
    actions = torch.from_numpy(np.array(story.actions)) if story.actions else torch.zeros(0)
    whose = {"make_seed": story.make_seed, "episode": story.episode, "episode_seed": story.episode_seed}
    return {**whose, "actions": actions, "digests": list(story.digests)}


def _story(stored: dict[str, Any]) -> Story:
    actions = list(stored["actions"].numpy())
    return Story(stored["make_seed"], stored["episode"], stored["episode_seed"], actions, list(stored["digests"]))
