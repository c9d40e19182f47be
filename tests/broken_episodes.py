"""Mistakes in episodes, chance and saved states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dgpg.domain import Decision, Observation, Step
from dgpg.domain.types import Features

from . import toy
from .planted import broken, observing, returning

# --- episodes ----------------------------------------------------------------------------------

broken("finite", "a logarithm of zero", "step.reward", "-inf", "logarithm",
       env=returning(lambda env, s: replace(s, reward=(s.reward * 0).log())))  # fmt: skip


class OneMore(toy.Env):
    """The clock is compared with horizon + 1."""

    def step(self, actions: Tensor) -> Step:
        self.horizon += 1
        step = super().step(actions)
        self.horizon -= 1
        return step


class IdleAct(toy.Env):
    def step(self, actions: Tensor) -> Step:
        seen = self.decision.observation
        idle = ~seen.active
        step = super().step(actions)
        extra = torch.nn.functional.one_hot(actions, 3) * idle.unsqueeze(-1) * self.weight.unsqueeze(-1)
        return replace(step, state=step.state + extra.sum(1).unsqueeze(-1))


class Overwrites(toy.Env):
    def step(self, actions: Tensor) -> Step:
        step = super().step(actions)
        actions.add_(1)
        return step


class Reuses(toy.Env):
    def step(self, actions: Tensor) -> Step:
        step = super().step(actions)
        if not hasattr(self, "buffer"):
            self.buffer = torch.empty_like(step.state)
        return replace(step, state=self.buffer.copy_(step.state))


class ReadsLater(toy.Env):
    """Features on request, of a clock that has gone on when they are asked for."""

    def _decide(self) -> Decision:
        now = super()._decide()
        seen = now.observation

        def features() -> Features:
            clock = (self.t / self.horizon).view(-1, 1, 1).expand_as(seen.agent[..., :1])
            return torch.cat([seen.agent[..., :-1], clock], -1), seen.choices, seen.central

        return replace(now, observation=Observation.on_request(seen.mask, features))


class FinalReadsLater(toy.Env):
    """The same of final observations alone, whose value stands for what was cut off."""

    def step(self, actions: Tensor) -> Step:
        step = super().step(actions)
        if step.final is None:
            return step
        seen = step.final.observation
        late = Observation.on_request(
            seen.mask, lambda: (seen.agent + self.t.view(-1, 1, 1), seen.choices, seen.central)
        )
        return replace(step, final=replace(step.final, observation=late))


broken("horizon", "off by one", "truncated", "no end", "clock", env=OneMore, settings={"still": True})
broken("new_episode", "observed before the reset", "Step.decision", "Step.final", "reset",
       env=returning(lambda env, s: replace(s, decision=s.final or s.decision)))  # fmt: skip
broken("someone_acts", "an empty mask", "mask", "inverted", env=observing(mask=lambda env, x: x & False))
broken("idle_agents", "everybody acts", "agents", "active", "state", env=IdleAct)
broken("action_matters", "x_0 for x_t", "same state", "before the actions",
       env=returning(lambda env, s: replace(s, state=torch.ones_like(s.state))))  # fmt: skip
broken("actions_kept", "changed in place", "actions", "in-place", "clone", env=Overwrites)
broken("outputs_kept", "one buffer for all steps", "step.state", "shares memory", "clone", env=Reuses)
broken("late_features", "of a clock that goes on", "at once and at the end", "agent", "gone on", env=ReadsLater)
broken("late_features", "of a final clock", "features of Step.final", "agent", "gone on", env=FinalReadsLater)


# --- batches -----------------------------------------------------------------------------------


class Counts(toy.Parted):
    """A number that counts through the batch is saved as it is."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "row": torch.arange(self.num_envs)}

    def apart(self, state: Mapping[str, Any], sizes: Sequence[int]) -> list[dict[str, Any]]:
        rows = state["row"].split(list(sizes))
        return [{**one, "row": row} for one, row in zip(super().apart(state, sizes), rows, strict=True)]


class Swaps(toy.Parted):
    def joined(self, states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return super().joined(list(states)[::-1])


class Averages(toy.Parted):
    """By less than the check of batches minds."""

    def step(self, actions: Tensor) -> Step:
        step = super().step(actions)
        return replace(step, reward=step.reward * (1 + 1e-6 * step.reward.mean()))


broken("parts", "a number that is not made anew", "saved", "count through the batch", env=Counts)
broken("parts", "in another order", "put together", "in the order of the states", env=Swaps)
broken("parts", "a mean over the batch", "bit for bit", "by itself", env=Averages)

# --- chance ------------------------------------------------------------------------------------


class Unseeded(toy.Env):
    def _draw(self) -> Tensor:
        return super()._draw() + 0.01 * float(np.random.default_rng().random())


class SameForAll(toy.Env):
    def __init__(self, num_envs: int, seed: int, *args: Any) -> None:
        super().__init__(num_envs, 0, *args)


class OneStream(toy.Env):
    def _draw(self) -> Tensor:
        first = self.streams.generators[0]
        return torch.from_numpy(first.random((self.num_envs, self.num_agents + 1, 3), dtype=np.float32))


class Forgets(toy.Env):
    """The random streams are not saved."""

    def load_state_dict(self, state: dict[str, Any]) -> Decision:
        return super().load_state_dict({**state, "streams": self.streams.state_dict()})


class SeedInside(toy.Env):
    """Something drawn in __init__ is not saved."""

    def __init__(self, num_envs: int, seed: int, *args: Any) -> None:
        super().__init__(num_envs, seed, *args)
        self.slopes = self.slopes + 0.1 * torch.arange(seed, seed + 1)


class Shares(toy.Env):
    """The clock is saved as it is and moves in place."""

    def step(self, actions: Tensor) -> Step:
        step, clock = super().step(actions), self.shared
        self.shared = clock.add_(1)
        return step

    def reset(self) -> Decision:
        self.shared = torch.zeros(self.num_envs)
        return super().reset()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "shared": self.shared}

    def load_state_dict(self, state: dict[str, Any]) -> Decision:
        self.shared = state["shared"]
        return super().load_state_dict(state)


class Pickles(toy.Env):
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "generators": self.streams.generators}


class Global(toy.Env):
    def _draw(self) -> Tensor:
        return super()._draw() + 1e-3 * torch.rand(())


class Seeds(toy.Env):
    def __init__(self, num_envs: int, seed: int, *args: Any) -> None:
        super().__init__(num_envs, seed, *args)
        np.random.seed(seed)


class Remembers(toy.Env):
    """Reads a global seed without drawing."""

    def _draw(self) -> Tensor:
        return super()._draw() + 1e-3 * torch.initial_seed()


broken("determinism", "a generator without seed", "seed 0", "bit for bit", "unseeded", env=Unseeded)
broken("seeds", "the seed is ignored", "seeds 0 and 1000", "make_env", "deterministic", env=SameForAll)
broken("batch", "one stream for all", "environment 0", "alone", "one stream", env=OneStream)
broken("batch", "a mean over the batch", "environment 0", "averaged",
       env=returning(lambda env, s: replace(s, reward=s.reward.mean().expand_as(s.reward))))  # fmt: skip
broken("restore", "streams left out", "load_state_dict in the same environment", "random stream", env=Forgets)
broken(
    "restore_elsewhere", "drawn in __init__, not saved", "a fresh environment", "leaves something out", env=SeedInside
)
broken("saved_state_kept", "the environment's own tensor", "shared", "clone", env=Shares)
broken("saved_to_a_file", "a generator object", "weights_only", "object", "Streams", env=Pickles)
broken("global_generators", "torch.rand", "global generator of torch", "Streams", env=Global)
broken("global_generators", "np.random.seed", "global generator of numpy", "seeds them", env=Seeds)
broken("global_generators", "a global seed that is read", "other global seeds", env=Remembers)
