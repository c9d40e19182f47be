"""What is known of the system: what work at a server costs, and what a choice is expected to add to it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgpg.domain import Context, CostModel, Influence, Observation

from .config import Config


class WaitingCost(CostModel):
    """phi(x) = sum_m x_m^2 / (2 v_m): work waits for half of what is there, if nothing more comes."""

    service: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.register_buffer("service", torch.tensor(config.service))

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """phi_m, `[B, A]`, of servers `index` `[B, A]` with work `block` `[B, A, 1]`."""
        cost: Tensor = block[..., 0].square() / (2 * self.service[index])
        return cost


class Sending(nn.Module):
    """State `[B, K, 1]`: work at each server, as expected. Choice k of client i adds its job to server k.

    The last two members are optional, as is what the simulator says of each server's cost: with them `dg-pg` learns
    what the model does not know of later steps.
    """

    service: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.register_buffer("service", torch.tensor(config.service))

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

    def block_features(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """How a server looks to a network, `[B, A, 2]`: its time to drain, and its speed."""
        speed = self.service[index].unsqueeze(-1)
        return torch.cat([block / speed, speed], -1)

    def block_work(self, change: Tensor, gamma: float) -> Tensor:
        """Work that jobs bring to each server, `[B, K]`: it pays for what later jobs cost."""
        return change[..., 0]
