"""Duration curves: in what share of the steps a price, or what a policy pays for a MWh, is above a value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from dgpg.domain import Policy
from dgpg.showing import COLOURS, blank, save
from dgpg.showing.figures import Axes
from dgpg_power.baselines import OPTIMUM
from dgpg_power.config import Config
from dgpg_power.figures.lines import shade_of
from dgpg_power.grid import Grids
from dgpg_power.instance import build
from dgpg_power.judge.replay import Replay, moments
from dgpg_power.network import FloatArray
from dgpg_power.programs import opf

TOLD = ("oracle_load", "demand", "low", "high", "oracle_outage")
"""What an optimum depends on."""
STEEP = 10.0
"""Times the median from which on a largest value would flatten the others: the axis is then logarithmic."""


def nodal(config: Config, policy: Policy, episodes: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Prices of the optimum of each step at each bus, $ per MWh, and the load there, MW, `[T E, nb]` both."""
    grid = Grids(build(config)).like(torch.zeros(()))
    told = [[one.context[name] for name in TOLD] for one, _ in moments(config, policy, episodes, seed)]
    load, demand, low, high, outage = (torch.cat(column) for column in zip(*told, strict=True))
    found = opf.optimum(grid, load, demand, low, high, outage.long(), opf.PRICED)
    parts = [torch.arange(first, first + episodes) for first in range(0, len(load), episodes)]  # a step each
    prices = torch.cat([opf.nodal_prices(grid, found, outage.long(), part) for part in parts])
    return prices[found.solved].numpy(), load[found.solved].double().numpy()


def durations(path: Path, prices: FloatArray, loads: FloatArray, replays: Mapping[str, Replay]) -> Path:
    """Left the optimum's prices: mean over load, dearest and cheapest bus; right what each policy pays for a MWh."""
    figure, (price, cost) = blank(11, 4.2, columns=2)
    shade, weight = COLOURS["oracle"], np.maximum(loads, 0.0)
    mean = (prices * weight).sum(-1) / np.maximum(weight.sum(-1), 1e-9)
    low, middle, high = (falling(x) for x in (prices.min(-1), mean, prices.max(-1)))
    price.fill_between(middle[0], low[1], high[1], color=shade, alpha=0.2, linewidth=0, label="cheapest to dearest bus")
    price.plot(*middle, color=shade, label="mean of the load")
    price.set(title=f"nodal prices of {OPTIMUM}", ylabel="$ per MWh")
    for name, shown in replays.items():
        told = falling((shown.cost / np.maximum(shown.demand, 1e-9)).reshape(-1))
        cost.plot(*told, color=shade_of(name), linestyle="--" if name == OPTIMUM else "-", label=name)
    cost.set(title="cost of a MWh, penalties included", ylabel="$ per MWh")
    for axes in (price, cost):
        axes.set(xlabel=f"% of {replays[OPTIMUM].demand.size} steps in which it is at least so high", xlim=(0, 100))
        axes.legend(frameon=False)
        _steep(axes)
    return save(figure, path)


def falling(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shares of the steps in percent, and the values from the largest on, each as long as its step."""
    edges = np.repeat(np.linspace(0, 100, len(values) + 1), 2)[1:-1]
    return edges, np.repeat(np.sort(values)[::-1], 2)


def _steep(axes: Axes) -> None:
    values = np.concatenate([line.get_ydata() for line in axes.lines])
    middle = float(np.median(np.abs(values)))
    if np.abs(values).max() > STEEP * middle > 0:
        axes.set_yscale("symlog", linthresh=middle)
