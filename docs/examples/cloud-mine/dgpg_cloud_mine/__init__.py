"""Our own view of a machine: what it is asked for beyond a margin of safety costs, and the more the dearer it is."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain import Context, CostModel
from dgpg_cloud.config import Config
from dgpg_cloud.instance import build
from dgpg_cloud.plant import make

MARGIN = 0.8
"""Share of a machine that may be asked for without cost."""


# --8<-- [start:model]
class SafeShare(CostModel):
    """phi_m = (1 + price_m) max(s_m - margin, 0)^2 + s_m^2 / 10, s_m the largest requested share of a resource."""

    inverse: Tensor
    price: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        plant = make(build(config), torch.device("cpu"))
        self.register_buffer("inverse", plant.inverse)
        self.register_buffer("price", plant.price)

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """phi_m, `[B, A]`, of machines `index` `[B, A]` with requested resources, then work, `[B, A, 2 R]`."""
        inverse = self.inverse[index]
        share = (block[..., : inverse.shape[-1]] * inverse).amax(-1)
        cost: Tensor = (1 + self.price[index]) * (share - MARGIN).clamp(min=0).square() + share.square() / 10
        return cost


def mine(config: Config) -> SafeShare:
    """`cloud.mine`: a function of the domain's configuration, which the entry point names."""
    return SafeShare(config)


# --8<-- [end:model]
