"""What the grid does with base points and shares: pure functions, MW throughout."""

from __future__ import annotations

import torch
from torch import Tensor


def dispatch(base: Tensor, share: Tensor, low: Tensor, high: Tensor, demand: Tensor) -> Tensor:
    """Outputs p `[B, N]`: base points, the residual by share, and what is left by headroom.

    As automatic generation control does it: p = clip(base + share R), R = demand - sum of base points. What the
    clipped units leave is taken by those that still can, in proportion to their headroom. Differentiable almost
    everywhere in `base` and `share`.

    Args:
        base: base points, `[B, N]`.
        share: non-negative weights of the residual; only their ratios matter, `[B, N]`.
        low: least outputs that limits and ramps allow, `[B, N]`.
        high: largest outputs, `[B, N]`.
        demand: what has to be generated, `[B]`.
    """
    base = base.clamp(low, high)
    residual = demand - base.sum(-1)
    total = share.sum(-1, keepdim=True)
    even = torch.full_like(share, 1 / share.shape[-1])
    weight = torch.where(total > 0, share / total.clamp(min=1e-9), even)
    output = (base + weight * residual.unsqueeze(-1)).clamp(low, high)
    left = demand - output.sum(-1)
    room = torch.where(left.unsqueeze(-1) > 0, high - output, output - low)
    taken = (left.abs() / room.sum(-1).clamp(min=1e-6)).clamp(max=1.0) * left.sign()
    return output + taken.unsqueeze(-1) * room


def flows(output: Tensor, load: Tensor, unit_factors: Tensor, bus_factors: Tensor, loop_flow: Tensor) -> Tensor:
    """Line flows f = H p - F d + c `[B, L]`.

    Args:
        output: p, `[B, N]`.
        load: d, `[B, nb]`.
        unit_factors: H, the columns of the PTDF matrix at the units' buses, `[L, N]`.
        bus_factors: F, the PTDF matrix, `[L, nb]`. Its reference is the load, so a mismatch of generation and
            load counts as spread over all loads.
        loop_flow: c, what phase shifters drive around loops, `[L]`.
    """
    return output @ unit_factors.mT - load @ bus_factors.mT + loop_flow


def after_outage(flow: Tensor, line: Tensor, factors: Tensor) -> Tensor:
    """Flows when one line is out, f_l + LODF_lk f_k, `[B, L]`.

    Args:
        flow: before, `[B, L]`.
        line: the line k that is out, -1 for none, `[B]`.
        factors: LODF, `[L, L]`, column k for the outage of line k (zero for a bridge). A phase shifter that is out
            takes with it what it drove around its loops: that is in f_k.
    """
    at = line.clamp(min=0)
    moved = factors.mT[at] * flow.gather(-1, at.unsqueeze(-1))
    return torch.where((line >= 0).unsqueeze(-1), flow + moved, flow)


def balanced(load: Tensor, demand: Tensor) -> Tensor:
    """Loads that add up to what is generated, `[B, nb]`: the difference is drawn where loads are, in proportion.

    What is fed in, a load below 0, stays as it is: a share of the net load would grow without bound where feed-ins
    come near the loads.

    Args:
        load: demand at the buses, MW, `[B, nb]`.
        demand: what is generated, MW, `[B]`.
    """
    drawn = load.clamp(min=0)
    ratio = (demand - (load - drawn).sum(-1)).clamp(min=0) / drawn.sum(-1).clamp(min=1e-6)
    return torch.where(load > 0, load * ratio.unsqueeze(-1), load)


def losses(flow: Tensor, resistance: Tensor) -> Tensor:
    """sum of r f^2 / base `[B]`, MW; `resistance` `[L]` is r / base, per MW."""
    return (resistance * flow.square()).sum(-1)


def next_range(output: Tensor, least: Tensor, most: Tensor, ramp: Tensor, available: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs that limits, ramps and the weather allow next, low and high, `[B, N]` each.

    A unit that starts may jump to its minimum, one that stops or loses its wind comes down at once.

    Args:
        output: last outputs, `[B, N]`.
        least: minimum of units that are on, 0 of others, `[B, N]`.
        most: maximum of units that are on, 0 of others, `[B, N]`.
        ramp: largest change, `[N]`.
        available: what the weather offers, `[B, N]`.
    """
    high = torch.minimum(torch.minimum(torch.maximum(output + ramp, least), most), available)
    low = torch.minimum(torch.maximum(output - ramp, least), high)
    return low, high
