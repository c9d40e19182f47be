"""An instance as tensors on a device, in the units that models and features use: vCPU, GiB, GPU, USD per hour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from dgpg_cloud.deploy.scales import LARGE_MACHINE
from dgpg_cloud.dynamics import Hardware
from dgpg_cloud.instance import Instance

UNITS = (1000, 1024, 1000)
"""Whole-number units in one vCPU, one GiB, one GPU."""


@dataclass(frozen=True)
class Plant:
    """Fixed tensors of an instance."""

    hardware: Hardware
    unit: Tensor
    """Multiply whole-number resources by this, `[R]`."""
    capacity: Tensor
    """`[M, R]`."""
    inverse: Tensor
    """1 / capacity, zero where a machine has none of a resource, `[M, R]`."""
    speed: Tensor
    """`[M]`."""
    price: Tensor
    """`[M]`."""
    candidates: Tensor
    """`[N, K]`."""
    near: Tensor
    """The same in one dimension, `[N K]`."""
    near_inverse: Tensor
    """1 / capacity of the candidates, `[N, K, R]`."""
    near_capacity: Tensor
    """`[N, K, R]`."""
    near_speed: Tensor
    """`[N, K]`."""
    near_price: Tensor
    """`[N, K]`."""
    near_type: Tensor
    """What a dispatcher sees of a candidate's type: price, speed, capacity / LARGE_MACHINE, `[N, K, R + 2]`."""
    everywhere: bool
    """Whether all machines, in their order, are candidates of every dispatcher."""
    described: bool
    """Whether candidates have features."""
    allowed: Tensor
    """By kind of job and dispatcher's candidate, `[kinds, M]`."""


@lru_cache(maxsize=8)
def make(instance: Instance, device: torch.device) -> Plant:
    """Tensors of an instance; the environment, the model and the rules share them."""
    whole = torch.from_numpy(instance.capacity).to(device)
    permille = torch.from_numpy(instance.speed_permille).to(device)
    unit = 1.0 / torch.tensor(UNITS[: whole.shape[1]], device=device, dtype=torch.float32)
    capacity = whole * unit
    large = torch.tensor(LARGE_MACHINE[: whole.shape[1]], device=device)
    inverse = torch.where(capacity > 0, 1 / capacity, torch.zeros_like(capacity))
    price = torch.tensor(instance.price, dtype=torch.float32, device=device)
    candidates = torch.from_numpy(instance.candidates).to(device)
    kind = torch.cat([price.unsqueeze(-1), (permille / 1000).unsqueeze(-1), capacity / large], -1)
    return Plant(
        hardware=Hardware(
            capacity=torch.from_numpy(instance.slotted).to(device).int(),
            speed_permille=permille.int(),
            queue_places=instance.config.machines.queue_places,
        ),
        unit=unit,
        capacity=capacity,
        inverse=inverse,
        speed=permille / 1000,
        price=price,
        candidates=candidates,
        near=candidates.flatten(),
        near_inverse=inverse[candidates],
        near_capacity=capacity[candidates],
        near_speed=(permille / 1000)[candidates],
        near_price=price[candidates],
        near_type=kind[candidates],
        everywhere=instance.config.everywhere,
        described=instance.config.DESCRIBED,
        allowed=torch.from_numpy(instance.allowed).to(device),
    )
