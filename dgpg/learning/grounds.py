"""Where the shards of a process act: in environments of their own, or in a batch of them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from dgpg.domain import Decision, Environment, Step, SupportsParts
from dgpg.domain.types import Record, map_tensors
from dgpg.learning.networks import placed
from dgpg.learning.rounds import Team
from dgpg.learning.shards import Shard

Move = tuple[Tensor, Tensor, Step]
"""Policies and actions of a moment, as of the action kind, and what followed."""


class Grounds(Protocol):
    """Environments of some shards, of which `at` says which."""

    def reset(self) -> list[Decision]:
        """New episodes; the first moment of each shard."""
        ...

    def move(self, at: int, team: Team, decision: Decision, noise: Tensor, shard: Shard) -> Move:
        """What a team does in one shard, by `noise` `[B, N, *DRAWS]`; in all it moves at the same time."""
        ...

    def steps(self, actions: Sequence[Tensor]) -> list[Step]:
        """What follows in each, of actions `[B, N, ...]` in units of the environment."""
        ...

    def state_dicts(self) -> list[Mapping[str, Any]]:
        """Of each shard, what environments of its own would save."""
        ...

    def load_state_dicts(self, states: Sequence[Mapping[str, Any]]) -> list[Decision]:
        """Go on from there; the moment of each."""
        ...


class Apart:
    """Each shard has environments of its own."""

    def __init__(self, envs: Sequence[Environment]) -> None:
        self.envs = envs

    def reset(self) -> list[Decision]:
        """Of each."""
        return [env.reset() for env in self.envs]

    def move(self, at: int, team: Team, decision: Decision, noise: Tensor, shard: Shard) -> Move:
        """In its own."""
        policy, actions = _decided(team, decision, noise)
        return policy, actions, self.envs[at].step(team.kind.to_env(actions))

    def steps(self, actions: Sequence[Tensor]) -> list[Step]:
        """Of each, `[B, N, ...]`."""
        return [env.step(x) for env, x in zip(self.envs, actions, strict=True)]

    def state_dicts(self) -> list[Mapping[str, Any]]:
        """Of each."""
        return [env.state_dict() for env in self.envs]

    def load_state_dicts(self, states: Sequence[Mapping[str, Any]]) -> list[Decision]:
        """Of each."""
        return [env.load_state_dict(dict(state)) for env, state in zip(self.envs, states, strict=True)]


class Together:
    """One batch of all of them, where that changes nothing (`dgpg.domain.SupportsParts`).

    Args:
        env: of all shards.
        sizes: how many environments of it belong to each, in their order.
    """

    def __init__(self, env: Environment, sizes: Sequence[int]) -> None:
        self.env, self.sizes, self.parts = env, list(sizes), cast(SupportsParts, env)

    def reset(self) -> list[Decision]:
        """Of all."""
        self.whole = self.env.reset()
        return self._cut(self.whole)

    def move(self, at: int, team: Team, decision: Decision, noise: Tensor, shard: Shard) -> Move:
        """In all, when each shard has come so far; policies too, where that changes none of them."""
        if team.by_rows:
            return shard.within(noise, lambda every: self._moves(team, torch.cat(every)))
        policy, actions = _decided(team, decision, noise)
        return policy, actions, shard.within(team.kind.to_env(actions), self.steps)

    def _moves(self, team: Team, noise: Tensor) -> list[Move]:
        policy = team.policies(self.whole, self.sizes)
        actions = team.kind.sample(policy, noise)
        each = (torch.split(x, self.sizes) for x in (policy, actions))
        return list(zip(*each, self._step(team.kind.to_env(actions)), strict=True))

    def steps(self, actions: Sequence[Tensor]) -> list[Step]:
        """Of all, `[B, N, ...]` each."""
        return self._step(torch.cat(list(actions)))

    def _step(self, actions: Tensor) -> list[Step]:
        """Without measures, which learning does not look at."""
        step = self.env.step(actions)
        self.whole = step.decision
        return self._cut(replace(step, measures={}))

    def state_dicts(self) -> list[Mapping[str, Any]]:
        """Taken apart."""
        return list(self.parts.apart(self.env.state_dict(), self.sizes))

    def load_state_dicts(self, states: Sequence[Mapping[str, Any]]) -> list[Decision]:
        """Put together."""
        self.whole = self.env.load_state_dict(dict(self.parts.joined(states)))
        return self._cut(self.whole)

    def _cut(self, record: Record) -> list[Record]:
        columns: list[Sequence[Tensor]] = []

        def cut(x: Tensor) -> Tensor:
            columns.append(torch.split(x, self.sizes))
            return x

        map_tensors(cut, record)
        return [_filled(record, iter(row)) for row in zip(*columns, strict=True)]


def grounds(envs: Sequence[Environment], sizes: Sequence[int]) -> Grounds:
    """Those of a process: objects of each shard, or one of them all.

    Args:
        envs: as many as shards, or one.
        sizes: environments of each shard.
    """
    return Apart(envs) if len(envs) == len(sizes) else Together(envs[0], sizes)


def _decided(team: Team, decision: Decision, noise: Tensor) -> tuple[Tensor, Tensor]:
    policy = team.policy(decision)
    return policy, team.kind.sample(policy, noise)


def _filled(record: Record, tensors: Iterator[Tensor]) -> Record:
    return map_tensors(lambda x: placed(next(tensors)), record)
