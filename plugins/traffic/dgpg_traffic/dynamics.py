"""What happens to vehicles between periods: pure functions, vehicles a period throughout."""

from __future__ import annotations

import torch
from torch import Tensor


def residual_queue(flow: Tensor, capacity: Tensor, share: float, threshold: float) -> Tensor:
    """r' = rho (x - kappa capacity)+, what a period leaves on links for the next, `[..., L]`.

    A rough memory of congestion, not a queue: the excess stays on its link while the same vehicles are counted
    downstream. With kappa = 1 and rho = 1 it explodes: the published optimum of Sioux Falls has 62 of 76 links over
    capacity. rho < 1 bounds it: r never exceeds rho / (1 - rho) times the largest excess of what enters.

    Args:
        flow: x, what was carried over included, `[..., L]`.
        capacity: `[..., L]`.
        share: rho, in [0, 1).
        threshold: kappa, at least 1.
    """
    return share * (flow - threshold * capacity).clamp(min=0)


def own_time(demand: Tensor, splits: Tensor, route_time: Tensor) -> Tensor:
    """Travel time of each agent's vehicles, `[B, N]`.

    Args:
        demand: vehicles, `[B, N]`.
        splits: `[B, N, K]`.
        route_time: `[B, N, K]`.
    """
    time: Tensor = demand * torch.einsum("bnk,bnk->bn", splits, route_time)
    return time
