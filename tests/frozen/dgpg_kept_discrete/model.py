"""What is known of the system: what work at a server costs, and what a choice adds to it."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain import Context, CostModel, Influence, Observation

from .config import Config
from .env import service


class WaitingCost(CostModel):
    """phi(x) = sum_m x_m^2 / (2 v_m), the cost of a step; knows nothing of the steps after it."""

    service: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.register_buffer("service", service(config))

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """phi_m, `[B, A]`, of servers `index` `[B, A]` with work `block` `[B, A, 1]`."""
        cost: Tensor = block[..., 0].square() / (2 * self.service[index])
        return cost


class Sending:
    """State `[B, K, 1]`: work at each server. Choice k of client i adds its job to server k."""

    def base_state(self, context: Context) -> Tensor:
        """x_0: the backlog."""
        return context["backlog"].unsqueeze(-1)

    def influence(self, observation: Observation, context: Context) -> Influence:
        """One block a choice."""
        shape = observation.mask.shape
        servers = torch.arange(shape[-1], device=observation.mask.device)
        return Influence(
            index=servers.view(1, 1, -1, 1).expand(*shape, 1),
            value=context["size"][..., None, None, None].expand(*shape, 1, 1),
        )
