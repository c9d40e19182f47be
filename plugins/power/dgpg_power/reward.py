"""What a step costs, $ per hour: generation, overload, imbalance, curtailment. Pure and differentiable."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class CostCurves:
    """Convex costs of N units: c0 + c1 p + c2 p^2 + sum_s s_s max(p - k_s, 0)."""

    constant: Tensor
    """c0, $ per hour, `[N]`."""
    linear: Tensor
    """c1, $ per MWh, `[N]`."""
    quadratic: Tensor
    """c2, $ per MW^2 h, `[N]`."""
    kink: Tensor
    """k, MW, `[N, S]`."""
    kink_slope: Tensor
    """s, $ per MWh, `[N, S]`."""


def generation(output: Tensor, curves: CostCurves) -> Tensor:
    """Cost of each unit, `[B, N]`."""
    cost = curves.constant + (curves.linear + curves.quadratic * output) * output
    if curves.kink.shape[-1] == 0:
        return cost
    return cost + (curves.kink_slope * (output.unsqueeze(-1) - curves.kink).clamp(min=0)).sum(-1)


def marginal(output: Tensor, curves: CostCurves) -> Tensor:
    """Slope of each unit's cost from the right, $ per MWh, `[B, N]`."""
    slope = curves.linear + 2 * curves.quadratic * output
    if curves.kink.shape[-1] == 0:
        return slope
    return slope + (curves.kink_slope * (output.unsqueeze(-1) >= curves.kink)).sum(-1)


def overload(flow: Tensor, flow_min: Tensor, flow_max: Tensor) -> Tensor:
    """MW beyond the limits of each line, `[B, L]`."""
    return torch.maximum(flow - flow_max, flow_min - flow).clamp(min=0)


@dataclass(frozen=True)
class Tariff:
    """Prices, $ per MWh."""

    overload: float
    imbalance: float
    curtailment: float


def step_cost(
    output: Tensor, flow: Tensor, demand: Tensor, available: Tensor,
    curves: CostCurves, limits: tuple[Tensor, Tensor], renewable: Tensor, tariff: Tariff,
) -> Tensor:  # fmt: skip
    """Shared cost of a step, `[B]`.

    Args:
        output: p, `[B, N]`.
        flow: f, `[B, L]`.
        demand: what had to be generated, `[B]`.
        available: what weather and limits offered, `[B, N]`.
        curves: costs of generation.
        limits: least and largest flow of each line, `[L]` each.
        renewable: True for units that run on wind or sun, `[N]`.
        tariff: prices of the rest.
    """
    cost = generation(output, curves).sum(-1) + tariff.overload * overload(flow, *limits).sum(-1)
    cost = cost + tariff.imbalance * (demand - output.sum(-1)).abs()
    spilled = torch.where(renewable, available - output, torch.zeros_like(output)).clamp(min=0)
    return cost + tariff.curtailment * spilled.sum(-1)
