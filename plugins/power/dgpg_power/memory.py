"""What was solved for a context, by what the context says: one that was seen is not solved again."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dgpg.types import Context

TOLD = ("load", "demand", "low", "high")
"""What the model is told of a moment, and all that its optimum depends on."""
SIZE = 65536
"""Contexts to remember; beyond it everything is forgotten."""
Solver = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""`[B, *]` of load `[B, nb]`, demand `[B]`, low and high `[B, N]`, float32 on the CPU."""


def recall(known: dict[bytes, Tensor], size: int, context: Context, compute: Solver) -> Tensor:
    """`[B, *]` for every row of a context, on the CPU; rows that are not in `known` are computed and added to it."""
    told = [context[name].detach().float().cpu() for name in TOLD]
    rows = torch.cat([x.view(len(x), -1) for x in told], -1)
    keys = [row.numpy().tobytes() for row in rows]
    new = list({key: b for b, key in enumerate(keys) if key not in known}.values())
    if new:
        if len(known) + len(new) > size:
            new = list({key: b for b, key in enumerate(keys)}.values())
            known.clear()
        load, demand, low, high = (x[new] for x in told)
        known |= {keys[b]: found for b, found in zip(new, compute(load, demand, low, high), strict=True)}
    return torch.stack([known[key] for key in keys])
