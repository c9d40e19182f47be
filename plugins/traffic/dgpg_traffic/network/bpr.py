"""Link times by the function of the Bureau of Public Roads, t(x) = t0 (1 + b (x / capacity)^power), and what follows.

Pure functions of flows `[..., L]`, at least 0, in the unit of capacity; times are in the unit of the network's
free-flow times. Differentiable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dgpg_traffic.arrays import FloatArray
from dgpg_traffic.network.network import Network


@dataclass(frozen=True, eq=False)
class Bpr:
    """Parameters of the links, each `[L]` or `[..., L]` where they differ between instances.

    Attributes:
        free_time: t0.
        capacity: above 0.
        b: at least 0.
        power: at least 1.
    """

    free_time: Tensor
    capacity: Tensor
    b: Tensor
    power: Tensor

    @classmethod
    def of(cls, network: Network, device: torch.device | None = None, dtype: torch.dtype = torch.float64) -> Bpr:
        """The parameters of a network."""

        def tensor(values: FloatArray) -> Tensor:
            return torch.as_tensor(np.array(values), dtype=dtype, device=device)

        return cls(tensor(network.free_time), tensor(network.capacity), tensor(network.b), tensor(network.power))


def link_time(links: Bpr, flow: Tensor) -> Tensor:
    """t(x): `[..., L]` -> `[..., L]`."""
    return links.free_time * (1 + links.b * (flow / links.capacity) ** links.power)


def marginal(links: Bpr, flow: Tensor) -> Tensor:
    """d (x t(x)) / dx = t(x) + x t'(x), time plus toll: `[..., L]` -> `[..., L]`."""
    return links.free_time * (1 + links.b * (links.power + 1) * (flow / links.capacity) ** links.power)


def implied_marginal(links: Bpr, time: Tensor) -> Tensor:
    """The marginal of a flow that takes so long, t0 + (power + 1) (t - t0): `[..., L]` -> `[..., L]`."""
    return links.free_time + (links.power + 1) * (time - links.free_time)


def link_time_slope(links: Bpr, flow: Tensor) -> Tensor:
    """t'(x): `[..., L]` -> `[..., L]`."""
    load = (flow / links.capacity) ** (links.power - 1)
    return links.free_time * links.b * links.power / links.capacity * load


def marginal_slope(links: Bpr, flow: Tensor) -> Tensor:
    """d marginal / dx = (power + 1) t'(x): `[..., L]` -> `[..., L]`."""
    return (links.power + 1) * link_time_slope(links, flow)


def beckmann(links: Bpr, flow: Tensor) -> Tensor:
    """The integral of t from 0 to x, which user equilibrium minimises: `[..., L]` -> `[...]`.

    M. Beckmann, C. B. McGuire and C. B. Winsten, Studies in the Economics of Transportation, 1956.
    """
    load = links.b / (links.power + 1) * (flow / links.capacity) ** links.power
    return (links.free_time * flow * (1 + load)).sum(-1)


def total_time(links: Bpr, flow: Tensor) -> Tensor:
    """Total travel time x t(x), which system optimum minimises: `[..., L]` -> `[...]`."""
    return (flow * link_time(links, flow)).sum(-1)


def slowness(time: Tensor, free_time: Tensor) -> Tensor:
    """Time over free-flow time, mean over links, `[...]`, of times `[..., L]`; 1 on links that take none."""
    return (time / free_time.clamp(min=1e-9)).where(free_time > 0, 1.0).mean(-1)
