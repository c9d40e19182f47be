"""Line limits tightened, line by line, by what an AC power flow adds to DC flows: reactive power and losses.

A line whose DC flow is f carries P + jQ at either end, and rate A bounds |P + jQ|. In a moment that loads the line, the
DC flow could have been

    sqrt(rate^2 - Q^2) - (|P| - |f|)

at most, at the worse end. The least of these over sampled moments of optimal operation is the limit that keeps rate A.
Other limits move the optimum, which then loads other lines: hence rounds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from dgpg.domain import random
from dgpg.errors import DataError
from dgpg_power.ac import Moment, Source, read_source, solve_all
from dgpg_power.dynamics import balanced, losses
from dgpg_power.grid import make_grid
from dgpg_power.load import Tape, draw, tape
from dgpg_power.network import FloatArray
from dgpg_power.programs import opf
from dgpg_power.system import System

ROUNDS = 3
MOMENTS = 96
"""Moments of every round, each of another day."""
FEWER = 24
"""Moments on a large grid, where an AC power flow takes a tenth of a second."""
LOADED, KEPT = 0.5, 1.001
"""Loadings between which a moment says something about a line."""
HALF = 0.5
"""Share of a limit that is taken off at most, see `Network.narrowed`."""


@dataclass(frozen=True)
class Margin:
    """What limits are tightened by."""

    taken: FloatArray
    """MW off the limit either way, `[L]`."""
    notes: tuple[str, ...]


def judged(system: System, share: float) -> Margin:
    """The margin of a system whose limits are the network's own, and `share` of every limit besides.

    Raises:
        ConfigError: no source case stands behind the configuration unit by unit.
        DataError: the source case has no single slack unit, or no power flow converged.
    """
    source, days = read_source(system.config, system.network), _days(system)
    own = share * np.where(np.isfinite(system.network.reach), system.network.reach, 0.0)
    taken = np.zeros_like(own)
    for _ in range(ROUNDS):
        tight = replace(system, network=system.network.narrowed(taken + own))
        taken = np.maximum(taken, _lacking(source, system, tight, days))
    return Margin(taken + own, _notes(system, taken, share))


def _days(system: System) -> Tape:
    """A moment of every sampled day, `[1, S, ...]`; drawn from what statistics are drawn from, never evaluated on."""
    seed = random.derive(system.config.seed, "margin")
    count = FEWER if system.network.num_buses > opf.LARGE else MOMENTS
    return tape([draw(np.random.default_rng(seed + s), system) for s in range(count)], torch.device("cpu"))


def _lacking(source: Source, system: System, tight: System, days: Tape) -> FloatArray:
    """MW by which limits of `system` are too wide in sampled moments dispatched within those of `tight`, `[L]`."""
    load, output, flow = _dispatched(tight, days)
    found = solve_all(source, [Moment(*moment, -1) for moment in zip(load, output, strict=True)])
    good = np.array([one is not None for one in found])
    if not good.any():
        raise DataError(
            f"{source.case.where}: none of {len(found)} AC power flows converged, so that margin has nothing to say: "
            "correct voltages, reactive loads or charging, or leave margin out"
        )
    ends = np.stack([one.flow for one in found if one is not None])
    return _beyond(source.rate, ends, flow[good], system, tight)


def _beyond(
    rate: FloatArray, ends: NDArray[np.complex128], flow: FloatArray, system: System, tight: System
) -> FloatArray:
    """The same of AC flows at either end `[S, 2, L]` and DC flows `[S, L]`; rate A `[L]`."""
    network = system.network
    room = np.sqrt(np.maximum(rate**2 - ends.imag**2, 0.0)) - np.abs(ends.real)
    allowed = np.abs(flow) + room.min(1)
    limit = np.where(flow > 0, network.flow_max, -network.flow_min)
    share = tight.network.loading(flow)
    # Beyond a limit that no dispatch keeps, reactive power grows with the square of the flow and says nothing of it.
    telling = (share > LOADED) & (share < KEPT) & np.isfinite(rate) & np.isfinite(limit)
    lacking = np.where(telling, limit, 0.0) - np.where(telling, allowed, 0.0)
    found: FloatArray = lacking.max(0, initial=0.0)
    return found


def _dispatched(system: System, days: Tape) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Loads `[S, nb]`, the outputs that serve them and what is lost at least cost `[S, N]`, and DC flows `[S, L]`."""
    tariff = replace(system.tariff, overload=system.tariff.imbalance)  # the overload's own is measured later
    grid = make_grid(replace(system, tariff=tariff), torch.device("cpu"), torch.float64)
    load, least, most = (x[0].double() for x in (days.forecast, days.least, days.most))
    lost = torch.zeros(len(load), dtype=torch.float64)
    for _ in range(2):  # the second time with the losses of the first
        drawn = balanced(load, load.sum(-1) + lost)
        best = opf.optimum(grid, drawn, drawn.sum(-1), least, most, None, opf.PRICED)
        lost = losses(best.flow.double(), grid.resistance) * system.config.mismatch.losses
    return load.numpy(), best.output.double().numpy(), best.flow.double().numpy()


def _notes(system: System, taken: FloatArray, share: float) -> tuple[str, ...]:
    """How much is taken off, where most, and where it is not enough."""
    network = system.network
    part = np.where(np.isfinite(network.reach), taken / np.where(np.isfinite(network.reach), network.reach, 1.0), 0.0)
    besides = f", and {share:.1%} off every limit" if share else ""
    if not taken.any():
        return (f"margin: AC power flows take nothing off any limit{besides}",)
    most, count = int(part.argmax()), int((taken > 0).sum())
    lines = "1 line" if count == 1 else f"{count} lines"
    said = (
        f"margin: AC power flows of sampled optima take up to {part[most]:.1%} off the limits of "
        f"{lines}, most off {network.line_name(most)}{besides}"
    )
    full = np.flatnonzero(part > HALF)
    if not len(full):
        return (said,)
    lines = network.line_name(int(full[0])) + (f" and {len(full) - 1} more" if len(full) > 1 else "")
    return said, f"margin: reactive power leaves {lines} less than half of rate A, and half is kept"
