"""What a domain may say of the blocks of its state, so that their values are learned: docs/theory.md section 6.

None of it is required. Where an environment says what each block cost, `dg-pg` learns what a block's state leads to.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from dgpg.domain.types import Context


@runtime_checkable
class SupportsBlockCost(Protocol):
    """An environment whose every `Step` has a `block_cost`."""

    num_blocks: int
    """G, blocks of the state."""


@runtime_checkable
class SupportsBlockFeatures(Protocol):
    """A mapping that says how a block looks to a network; the coordinates themselves are looked at otherwise."""

    def block_features(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """Numbers of order one, `[B, A, F]`, of blocks `index` `[B, A]` with coordinates `block` `[B, A, m]`.

        Differentiable in the coordinates, and of what is fixed before a_t is drawn apart from them. What distinguishes
        blocks (a price, a speed) belongs here: all blocks share one network.
        """
        ...


@runtime_checkable
class SupportsBlockWork(Protocol):
    """A mapping of choices that says how much work a choice brings to a block: what is to come then pays for itself."""

    def block_work(self, change: Tensor, gamma: float) -> Tensor:
        """Work, `[B, G]`, that changes `[B, G, m]` of all blocks bring, by gamma a step until it is done.

        All of it counts alike at gamma = 1. Not negative, and twice as much for twice the change.
        """
        ...


def block_looks(mapping: object, block: Tensor, index: Tensor, context: Context) -> Tensor:
    """How blocks look to a network, `[B, A, F]`: their features, or coordinates where the mapping does not say.

    Args:
        mapping: may be a `SupportsBlockFeatures`.
        block: coordinates, `[B, A, m]`.
        index: which blocks these are, `[B, A]`.
        context: c_t.
    """
    return mapping.block_features(block, index, context) if isinstance(mapping, SupportsBlockFeatures) else block
