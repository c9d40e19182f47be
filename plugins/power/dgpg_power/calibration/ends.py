"""Least and largest outputs that a log shows and the network does not know: a unit derated, or one that must run.

An output that stops at a level again and again, whatever is asked for, is at an end of its range there. No cost
explains that, and a limit of a line does by chance at best.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg_power.calibration.repeats import OFTEN, independent
from dgpg_power.grid import Grid

STOP = 5e-3
"""Share of its range by which outputs that stop at one level may differ: what meters are off."""
CLEAR = 2
"""Times as many moments stop at an end as lie in the same width beside it: else the log is dense there."""
SAME = 1e-6
"""Share of a unit's range by which a line's flow may differ from its output to be all that the line carries."""


@dataclass(frozen=True)
class Ends:
    """Limits of outputs, MW, `[N]` each."""

    low: Tensor
    high: Tensor

    def beyond(self, other: Ends) -> Tensor:
        """Which ends lie elsewhere than those of `other`, the least first, `[2, N]`."""
        return torch.stack([self.low != other.low, self.high != other.high])

    def without(self, end: int, unit: int, other: Ends) -> Ends:
        """With one end, 0 the least, of one unit as `other` has it."""
        low, high = self.low.clone(), self.high.clone()
        ends, own = (low, high)[end], (other.low, other.high)[end]
        ends[unit] = own[unit]
        return Ends(low, high)


def own_ends(grid: Grid) -> Ends:
    """The network's own."""
    return Ends(grid.unit_min, grid.unit_max)


def hinted(grid: Grid, load: Tensor, output: Tensor, scheduled: Tensor, told: Tensor) -> Ends:
    """Ends where outputs stop in several independent moments; the network's own elsewhere.

    Args:
        grid: the grid.
        load: MW, `[T, nb]`.
        output: MW, `[T, N]`.
        scheduled: True for units whose outputs are taken as given, `[N]`.
        told: True for units of which a line near its own limit carries all and says the same, `[N]`.
    """
    own, total = own_ends(grid), float(load.sum(-1).max())
    low, high = own.low.clone(), own.high.clone()
    for n in (~scheduled).nonzero().squeeze(-1).tolist():
        width = STOP * float(own.high[n] - own.low[n])
        top, bottom = _stop(output[:, n], load, width, total), _stop(-output[:, n], load, width, total)
        between = (float(own.low[n]) + width, float(own.high[n]) - width)
        if top is not None and not told[n] and between[0] < top < between[1]:
            high[n] = top
        if bottom is not None and between[0] < -bottom < between[1]:
            low[n] = -bottom
    return Ends(low, torch.maximum(high, low))


def told_by_lines(grid: Grid, flow: Tensor, output: Tensor, near: Tensor) -> Tensor:
    """Units whose output is all that one of some lines `near`, `[m]`, carries, `[N]`; sizes of their flows `[T, m]`."""
    apart = (flow[:, near].unsqueeze(-1) - output.abs().unsqueeze(-2)).abs().amax(0)
    return (apart <= SAME * (grid.unit_max - grid.unit_min)).any(0)


def _stop(output: Tensor, load: Tensor, width: float, total: float) -> float | None:
    """The level at which a unit's outputs `[T]` stop at their top; None if they do not."""
    below = output.max() - output
    at = below <= width
    beside = int(((below > width) & (below <= 2 * width)).sum())
    if int(at.sum()) <= CLEAR * beside or independent(load[at], total) < OFTEN:
        return None
    return float(output[at].median())
