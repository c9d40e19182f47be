"""What was seen of blocks in one shard: the moments of the last iterations that values are learned from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from dgpg.domain import random
from dgpg.domain.types import map_tensors

ROWS = 25_600
"""Blocks that an iteration adds to what is remembered, at most, in all shards together."""
BATCH = 6_400
"""Blocks in an Adam step, about."""
LEAST = 8
"""Moments in an Adam step, at least."""


@dataclass(frozen=True)
class Seen:
    """Of S moments, what is learned from; phi and target less the means of blocks and moments (`targets.within`)."""

    inputs: Tensor
    """Standard inputs, float16 `[S, G, F]`."""
    phi: Tensor
    """The model's potential of each block, `[S, G]`."""
    target: Tensor
    """What followed, `[S, G]`."""
    weight: Tensor
    """1 / variance of what followed in that iteration, `[S]`: a poor policy's costs are large, and say the least."""


class Memory:
    """Owns a shard's part of what was seen, and the random numbers that choose from it.

    Args:
        keep: iterations that are remembered.
        shards: that share the bounds above.
        seed: of the choice.
    """

    def __init__(self, keep: int, shards: int, seed: int) -> None:
        self.keep, self.shards = keep, shards
        self.order = random.generator(seed)
        self.seen: list[Seen] = []

    def some(self, seen: Seen) -> Seen:
        """As many moments as make this shard's part of ROWS blocks, drawn at random."""
        moments, blocks = seen.target.shape
        chosen = torch.randperm(moments, generator=self.order)[: max(ROWS // blocks // self.shards, 1)]
        return map_tensors(lambda x: x.index_select(0, chosen.to(x.device)), seen)

    def add(self, new: Seen) -> None:
        """Remember it, and forget the oldest."""
        self.seen = [*self.seen, new][-self.keep :]

    def whole(self) -> Seen:
        """All that is remembered."""
        return Seen(*(torch.cat([getattr(one, f.name) for one in self.seen]) for f in fields(Seen)))

    def batch(self, moments: int, blocks: int) -> int:
        """Moments in this shard's part of an Adam step."""
        return min(max(BATCH // blocks // self.shards, -(-LEAST // self.shards)), moments)

    def drawn(self, moments: int, size: int, steps: int) -> Iterator[Tensor]:
        """Moments of each Adam step, `[size]`: permutations of all, cut in equal parts."""
        left = torch.empty(0, dtype=torch.int64)
        for _ in range(steps):
            if len(left) < size:
                left = torch.randperm(moments, generator=self.order)
            chosen, left = left[:size], left[size:]
            yield chosen

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next iteration depends on."""
        return {
            "order": self.order.get_state(),
            "memory": [{f.name: getattr(one, f.name) for f in fields(Seen)} for one in self.seen],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned, bit for bit."""
        self.order.set_state(state["order"].cpu())
        self.seen = [Seen(**one) for one in state["memory"]]
