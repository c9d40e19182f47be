"""Where the shards of a process act: in environments of their own, or in a batch of them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from dgpg.domain import Decision, Environment, Step, SupportsParts
from dgpg.domain.types import Record, map_tensors
from dgpg.learning.shards import Shard

LINE = 64
"""Bytes at a multiple of which torch puts tensors: kernels may add up otherwise from elsewhere."""


class Grounds(Protocol):
    """Environments of some shards, of which `at` says which."""

    def reset(self) -> list[Decision]:
        """New episodes; the first moment of each shard."""
        ...

    def step(self, at: int, actions: Tensor, shard: Shard) -> Step:
        """What follows in one shard; all take a step at the same time."""
        ...

    def steps(self, actions: Sequence[Tensor]) -> list[Step]:
        """What follows in each."""
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

    def step(self, at: int, actions: Tensor, shard: Shard) -> Step:
        """Of its own."""
        return self.envs[at].step(actions)

    def steps(self, actions: Sequence[Tensor]) -> list[Step]:
        """Of each."""
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
        return self._cut(self.env.reset())

    def step(self, at: int, actions: Tensor, shard: Shard) -> Step:
        """Of all, when each shard has said its actions."""
        return shard.within(actions, self.steps)

    def steps(self, actions: Sequence[Tensor]) -> list[Step]:
        """Of all, without measures, which learning does not look at."""
        return self._cut(replace(self.env.step(torch.cat(list(actions))), measures={}))

    def state_dicts(self) -> list[Mapping[str, Any]]:
        """Taken apart."""
        return list(self.parts.apart(self.env.state_dict(), self.sizes))

    def load_state_dicts(self, states: Sequence[Mapping[str, Any]]) -> list[Decision]:
        """Put together."""
        return self._cut(self.env.load_state_dict(dict(self.parts.joined(states))))

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


def _filled(record: Record, tensors: Iterator[Tensor]) -> Record:
    return map_tensors(lambda x: _placed(next(tensors)), record)


def _placed(x: Tensor) -> Tensor:
    return x if x.data_ptr() % LINE == 0 else x.clone()
