"""What days said of the time that an edge takes: linear in the cars that are on it and that cross at its junction.

    t_e = a_e + s_e * (others on e in the window) + q_e * (cars on other edges to its junction in the window)

By least squares on sums that are kept, older days weighing less; an edge's slopes are drawn towards those of all edges
together, as far as it has seen too little itself (ridge), and are not negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SLOPE = 2.0
"""Largest slope, minutes a car: a queue moves up faster."""
OWN = 1.0
"""Cars that the time without traffic counts as."""


@dataclass(frozen=True)
class Seen:
    """R cells that somebody passed."""

    edge: Tensor
    """`[R]`."""
    load: Tensor
    """One, other cars, crossing cars, `[R, 3]`."""
    minutes: Tensor
    """Mean of who passed, `[R]`."""
    cars: Tensor
    """How many passed, `[R]`."""


def sums(seen: Seen, edges: int) -> tuple[Tensor, Tensor]:
    """Weighted moments of the loads, `[E, 3, 3]`, and of loads and times, `[E, 3]`."""
    square = seen.load.new_zeros(edges, 3, 3)
    product = seen.load.new_zeros(edges, 3)
    weighted = seen.load * seen.cars.unsqueeze(-1)
    square.index_add_(0, seen.edge, weighted.unsqueeze(-1) * seen.load.unsqueeze(-2))
    product.index_add_(0, seen.edge, weighted * seen.minutes.unsqueeze(-1))
    return square, product


def solve(square: Tensor, product: Tensor, free: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Coefficients a, s, q of every edge, `[E, 3]`, and the slopes of all edges together, `[2]`.

    Args:
        square: as of `sums`.
        product: as of `sums`.
        free: minutes without traffic, `[E]`.
        ridge: cars for which an edge's own slopes are worth as much as all edges'.
    """
    cars = square[:, 0, 0]
    some = cars.clamp(min=1e-9)
    mean = square[:, 0, 1:] / some.unsqueeze(-1)
    within = square[:, 1:, 1:] - some[:, None, None] * mean.unsqueeze(-1) * mean.unsqueeze(-2)
    shared = product[:, 1:] - mean * product[:, :1]
    variance = within.sum(0).diagonal() / cars.sum().clamp(min=1e-9)
    pull = torch.diag(ridge * variance + 1e-9)
    together = torch.linalg.solve(within.sum(0) + pull, shared.sum(0)).clamp(0, SLOPE)
    slopes = torch.linalg.solve(within + pull, (shared + pull @ together).unsqueeze(-1)).squeeze(-1).clamp(0, SLOPE)
    alone = product[:, 0] - (slopes * square[:, 0, 1:]).sum(-1)
    base = ((alone + OWN * free) / (cars + OWN)).clamp(min=free / 2)
    return torch.cat([base.unsqueeze(-1), slopes], -1), together
