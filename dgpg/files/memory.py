"""What is made once and used again: parts for each device, and solutions for each context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from dgpg.domain import Context

Part = TypeVar("Part")
CONTEXTS = 65536
"""Contexts to remember; beyond it everything is forgotten."""


class PerDevice(Generic[Part]):
    """Parts made of one thing, once for each device and type that a tensor comes with.

    Args:
        make: the part for a device and a floating type.
    """

    def __init__(self, make: Callable[[torch.device, torch.dtype], Part]) -> None:
        self.make = make
        self._made: dict[tuple[torch.device, torch.dtype], Part] = {}

    def like(self, tensor: Tensor) -> Part:
        """The part where `tensor`, of any shape, is, in its type."""
        key = (tensor.device, tensor.dtype)
        if key not in self._made:
            self._made[key] = self.make(*key)
        return self._made[key]


class Recall:
    """A function of a context's rows that remembers: a row that was seen is not computed again.

    Args:
        told: names in the context of all that the result depends on.
        compute: `[B, ...]` of those tensors, float32 on the CPU, one row for each of theirs.
        size: rows to remember.
    """

    def __init__(self, told: tuple[str, ...], compute: Callable[..., Tensor], size: int = CONTEXTS) -> None:
        self.told, self.compute, self.size = told, compute, size
        self._known: dict[bytes, Tensor] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __call__(self, context: Context) -> Tensor:
        """`[B, ...]` for every row of a context, on the CPU."""
        told = [context[name].detach().float().cpu() for name in self.told]
        rows = torch.cat([x.reshape(len(x), -1) for x in told], -1)
        keys = [row.numpy().tobytes() for row in rows]
        new = list({key: b for b, key in enumerate(keys) if key not in self._known}.values())
        if new:
            if len(self._known) + len(new) > self.size:
                new = list({key: b for b, key in enumerate(keys)}.values())
                self._known.clear()
            found = self.compute(*(x[new] for x in told))
            self._known |= {keys[b]: one for b, one in zip(new, found, strict=True)}
        return torch.stack([self._known[key] for key in keys])
