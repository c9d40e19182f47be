"""Two bases for analytical models: distance to an efficient state, and the cost of a state.

Both are sums over the blocks of the state, so guidance evaluates them exactly where a choice
touches them. Models are `torch.nn.Module`s: fixed tensors are buffers and move with `.to(device)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from dgpg.domain.types import Context


class CostModel(nn.Module, ABC):
    """A value potential: phi(x; c) = sum_g phi_g(x_g; c), the model's own cost of the state.

    u_i(k) is then the marginal cost of a choice (docs/theory.md section 2). Implement `block_potential`.
    """

    @abstractmethod
    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """phi_g >= 0, `[B, A]`, of the blocks `index` `[B, A]` with coordinates `block` `[B, A, m]`."""

    def potential(self, state: Tensor, context: Context) -> Tensor:
        """phi, `[B]`, of states `[B, G, m]`."""
        index = torch.arange(state.shape[-2], device=state.device).expand(state.shape[:-1])
        return self.block_potential(state, index, context).sum(-1)


class DistanceModel(CostModel):
    """phi(x; c) = 1/2 (x - x~)^T W (x - x~), W diagonal. Implement `reference` and `weight`."""

    @abstractmethod
    def reference(self, context: Context) -> Tensor:
        """x~, `[B, G, m]`: the efficient state for this context, conserving what the system conserves."""

    @abstractmethod
    def weight(self) -> Tensor:
        """Diagonal of W, positive (zero for coordinates that do not count), `[G, m]`."""

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """1/2 sum_j W_j (x_j - x~_j)^2, `[B, A]`, over the coordinates j of each block `[B, A, m]`."""
        reference = self.reference(context).detach()
        at = index.unsqueeze(-1).expand(*index.shape, reference.shape[-1])
        gap = block - reference.gather(-2, at)
        return 0.5 * (self.weight()[index] * gap.square()).sum(-1)
