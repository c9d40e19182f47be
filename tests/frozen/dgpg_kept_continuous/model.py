"""What is known of the system: what deliveries cost, and what an action delivers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgpg.domain import Context

from .config import Config


def capacity(config: Config) -> Tensor:
    """Most that each pump can deliver in a step, `[N]`, mean 1."""
    size = torch.linspace(0.5, 1.5, config.num_agents)
    return size / size.mean()


def price(config: Config) -> Tensor:
    """Of the first unit, `[N]`: large pumps are not the cheap ones."""
    order = torch.arange(config.num_agents) * 7 % config.num_agents / max(config.num_agents - 1, 1)
    return config.cheapest + (config.dearest - config.cheapest) * order


class PumpingCost(nn.Module):
    """phi(x) = sum_i price_i (x_i + x_i^2 / (2 capacity_i)) + shortage / (2 N) (demand - sum_i x_i)^2.

    Energy rises faster than volume; what is missing or too much costs the more, the more it is.
    """

    capacity: Tensor
    price: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.shortage = config.shortage / config.num_agents
        self.register_buffer("capacity", capacity(config))
        self.register_buffer("price", price(config))

    def potential(self, state: Tensor, context: Context) -> Tensor:
        """phi, `[B]`, of deliveries `[B, N, 1]`."""
        x = state[..., 0]
        energy = (self.price * (x + x.square() / (2 * self.capacity))).sum(-1)
        missing = context["demand"] - x.sum(-1)
        return energy + self.shortage / 2 * missing.square()


class Delivering:
    """State `[B, N, 1]`: what each pump delivers, which is what it was told."""

    def state(self, actions: Tensor, context: Context) -> Tensor:
        """x of actions `[B, N, 1]`."""
        return actions
