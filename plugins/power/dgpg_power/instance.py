"""What a configuration stands for: a grid, its factors, prices and the scales of features. Built once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from dgpg.domain import random
from dgpg.errors import ConfigError
from dgpg_power.config import Config
from dgpg_power.dynamics import losses
from dgpg_power.grid import Grid, make_grid
from dgpg_power.load import draw, tape
from dgpg_power.network import FloatArray, IntArray, Network
from dgpg_power.programs import opf
from dgpg_power.programs.cause import most_over
from dgpg_power.system import LEAST_PRICE, System, configured

SAMPLES = 64
"""Episodes whose optima give prices and scales; their moments are the sample."""
FEWER = 16
"""Episodes that do on a large grid: a moment takes a second there, and so many lines vary less in the mean."""
MOMENTS = 8
"""Moments of each of them."""
OWN_LINES = 8
BROADCAST_LINES = 20
TYPICAL = 0.97
"""Share of the sampled moments whose dearest line decides the overload price: prices run away near infeasibility."""
TIMES, SAFE_TIMES = 2.0, 20.0
"""Overload price over the dearest line's, without a margin and with one: a policy that does not know its flows
exactly is over a limit in line price over overload price of the steps, half of them or one in twenty."""
STEADY = 0.05
"""Least deviation of a line's loading that features are scaled by: a line that always binds hardly varies."""
LOSSY = 0.5
"""Share of the load that no grid loses; beyond it losses, which are demand of the next step, grow without end."""
NEAR = 0.9
"""Loading at some sampled optimum from which a line is one to watch."""


@dataclass(frozen=True)
class Scales:
    """Mean and deviation of what agents see, over optimal operation; deviations are positive."""

    load: FloatArray
    """Of each bus, `[2, nb]`."""
    total: FloatArray
    """Of the total forecast, `[2]`."""
    loading: FloatArray
    """Of each line, see `Grid.loading`, `[2, L]`."""
    base_loading: FloatArray
    """The same of the flow that loads alone cause, `[2, L]`."""


@dataclass(frozen=True, eq=False)
class Instance(System):
    """A power system and what agents see of it."""

    scales: Scales
    own_lines: IntArray
    """Lines that each unit sees, `[N, 8]`: those it moves most for their limit."""
    broadcast: IntArray
    """Lines whose base flow the operator broadcasts, `[20]`: those that bind most."""
    notes: tuple[str, ...]


@lru_cache(maxsize=8)
def build(config: Config) -> Instance:
    """The instance of a configuration.

    Raises:
        DataError: the network or series is missing or unusable.
        ConfigError: demand cannot be met, or settings exclude each other.
    """
    system, notes = configured(config)
    if config.margin is not None:
        system, notes = _narrowed(system, notes)
    return _measured(system, notes) if config.trained is None else _kept(system, build(config.trained), notes)


def _narrowed(system: System, notes: tuple[str, ...]) -> tuple[System, tuple[str, ...]]:
    """With the margin that settings ask for: that of the training, if it asked for the same."""
    config = system.config
    assert config.margin is not None
    if config.trained is not None and config.trained.margin == config.margin:
        taken, notes = build(config.trained).margin, (*notes, "margin: that of the training's settings")
    else:
        from dgpg_power.margin import judged  # PYPOWER takes long to import, and few settings need it

        found = judged(system, config.margin)
        taken, notes = found.taken, (*notes, *found.notes)
    return replace(system, network=system.network.narrowed(taken), margin=taken), notes


def _own_lines(network: Network, factors: FloatArray, loading: FloatArray) -> IntArray:
    """The lines that a unit's whole range moves most, for their limit; those that come near it (`[L]`) first."""
    moved = np.abs(factors[:, network.unit_bus]) * (network.unit_max - network.unit_min)
    share = (moved / network.reach[:, None]).T + 1e6 * (loading > NEAR)
    return np.argsort(-share, axis=1, kind="stable")[:, : min(OWN_LINES, network.num_lines)]


def _measured(system: System, notes: tuple[str, ...]) -> Instance:
    """Prices, scales and lines to watch from the optimum of sampled moments."""
    grid = make_grid(system, torch.device("cpu"))
    load, best, share = _optima(system, grid)
    fine, price = best.solved, _overload_price(system.config, best)
    _check_losses(system, losses(best.flow[fine], grid.resistance), load[fine])
    base = grid.loop_flow - load[fine] @ grid.bus_factors.mT
    loading, base = grid.loading(best.flow[fine]), grid.loading(base)
    scales = Scales(
        _moments(load), _moments(load.sum(-1, keepdim=True)), *(_moments(x, STEADY) for x in (loading, base))
    )
    binding = (best.line_price[fine].abs() > 1e-3 * price).float().mean(0)
    order = torch.argsort(binding + 1e-3 * loading.abs().mean(0), descending=True, stable=True)
    known = (binding > 0) & (system.network.num_buses > opf.LARGE)
    times = f"{_times(system.config):g} times the dearest line's in 97 % of sampled moments"
    origin = "" if system.config.prices.overload else f", {times}"
    more = (
        f"overload price {price:g} $ per MWh{origin}",
        _congestion(int((binding > 0).sum()), share),
    )
    return Instance(
        **vars(system) | {"tariff": replace(system.tariff, overload=price), "binding": known.numpy()},
        scales=scales,
        own_lines=_own_lines(system.network, system.bus_factors, loading.abs().amax(0).numpy()),
        broadcast=order[:BROADCAST_LINES].numpy(),
        notes=(*notes, *more),
    )


@dataclass(frozen=True)
class _Unserved:
    """Shares of the sampled moments that have no dispatch within all limits, by cause."""

    low: float
    """They ask for less than units give at least."""
    high: float
    """They ask for more than units give at most."""
    lines: float
    """Units could, lines could not."""


def _optima(system: System, grid: Grid) -> tuple[torch.Tensor, opf.Optimum, _Unserved]:
    """Loads `[S, nb]` of sampled moments, the optimum of each, and why some have none; ConfigError if all."""
    seed = random.derive(system.config.seed, "statistics")
    count = FEWER if system.network.num_buses > opf.LARGE else SAMPLES
    episodes = tape([draw(np.random.default_rng(seed + e), system) for e in range(count)], torch.device("cpu"))
    every = torch.linspace(0, system.config.horizon, min(MOMENTS, system.config.horizon + 1)).long()
    load, least, most = (x[every].flatten(0, 1) for x in (episodes.forecast, episodes.least, episodes.most))
    best = opf.optimum(grid, load, load.sum(-1), least, most, None, opf.HARD)
    asked, low, high = (x.sum(-1) for x in (load, least, most))
    causes = (asked < low, asked > high, ~best.solved & (asked >= low) & (asked <= high))
    if not bool(best.solved.any()):
        raise ConfigError(
            f"{system.network.name}: no sampled demand can be served {_cure(system, grid, load, least, most)}"
        )
    return load, best, _Unserved(*(float(cause.float().mean()) for cause in causes))


def _cure(system: System, grid: Grid, load: torch.Tensor, least: torch.Tensor, most: torch.Tensor) -> str:
    """Why demand `[S, nb]` cannot be served by units from `least` to `most`, `[S, n]` in MW, and what to change."""
    asked, low, high = (x.sum(-1) for x in (load, least, most))
    within = (asked >= low) & (asked <= high)
    if not bool(within.any()):
        if bool((asked < low).float().mean() >= 0.5):
            lower = ", or let units go below their minimum with commitment=relaxed" if bool((least > 0).any()) else ""
            ends = f"{float(low.min()):.0f} MW: it is at most {float(asked.max()):.0f} MW"
            return f"by units that give at least {ends}; raise load.scale or load.low{lower}"
        return (
            f"by units that give at most {float(high.max()):.0f} MW: it is at least {float(asked.min()):.0f} MW; lower "
            "load.scale or load.high"
        )
    load, least, most = load[within], least[within], most[within]
    easiest = int(load.sum(-1).argmin())
    over = most_over(system, *(x[easiest].double().numpy() for x in (load, least, most)))
    line = ""
    if over is not None:
        line = f": where overloads are least, {system.network.line_name(over[0])} is over by {over[1]:.3g} MW"

    def served(load: torch.Tensor, least: torch.Tensor) -> bool:
        return bool(opf.optimum(grid, load, load.sum(-1), least, most, None, opf.HARD).solved.any())

    relaxed = least.clamp(max=0)
    if bool((least > 0).any()) and served(load, relaxed):
        return (
            f"within the line limits while every unit stays above its minimum output{line}; let units go below it with "
            "commitment=relaxed, or raise limit_scale"
        )
    lower = " or lower load.scale" if served(0.1 * load, relaxed) else ""
    return f"within the line limits{line}; raise limit_scale{lower}"


def _check_losses(system: System, lost: torch.Tensor, load: torch.Tensor) -> None:
    """ConfigError where lines lose more than a grid can, MW, `[S]`, of loads `[S, nb]`: losses are demand again."""
    share = float((lost / load.clamp(min=0).sum(-1)).median())
    if system.config.mismatch.losses and share > LOSSY:
        raise ConfigError(
            f"{system.network.name}: lines lose {share:.0%} of the load at the optimum; r and baseMVA "
            f"({system.network.base_mva:g}) do not fit: correct them, or leave losses out with mismatch.losses=false"
        )


def _overload_price(config: Config, best: opf.Optimum) -> float:
    """As configured, or some times the dearest line's in all but the dearest moments, two digits."""
    if config.prices.overload is not None:
        return config.prices.overload
    if not best.line_price.shape[-1]:
        return LEAST_PRICE
    dearest = best.line_price[best.solved].abs().amax(-1)
    return max(float(f"{_times(config) * float(dearest.quantile(TYPICAL)):.2g}"), LEAST_PRICE)


def _times(config: Config) -> float:
    return TIMES if config.margin is None else SAFE_TIMES


def _kept(system: System, trained: Instance, notes: tuple[str, ...]) -> Instance:
    """What would be measured is taken from the instance that a policy was trained in."""
    counts = [(x.num_units, x.num_buses, x.num_lines) for x in (system.network, trained.network)]
    if counts[0] != counts[1]:
        here, there = ("{} units, {} buses and {} lines".format(*count) for count in counts)
        raise ConfigError(
            f"trained: {trained.network.name} has {there}, {system.network.name} has {here}; features are scaled bus "
            "by bus and line by line, so name the same network, or leave trained out"
        )
    price = system.config.prices.overload or trained.tariff.overload
    more = f"overload price {price:g} $ per MWh; feature scales and lines to watch are those of the training's settings"
    return Instance(
        **vars(system) | {"tariff": replace(system.tariff, overload=price), "binding": trained.binding},
        scales=trained.scales,
        own_lines=trained.own_lines,
        broadcast=trained.broadcast,
        notes=(*notes, more),
    )


def _congestion(binding: int, unserved: _Unserved) -> str:
    """A note on how many lines bind, and in what share of the moments limits cannot be kept, and which."""
    if not (binding or unserved.lines):
        lines = "no line ever binds: merit order is optimal here; lower limit_scale for congestion"
    else:
        often = "1 line binds" if binding == 1 else f"{binding} lines bind"
        lines = f"{often} at times; {unserved.lines:.1%} of sampled moments cannot keep all limits"
    if unserved.low:
        lines += f"; {unserved.low:.1%} ask for less than the units give at least (commitment=relaxed takes that as 0)"
    if unserved.high:
        lines += f"; {unserved.high:.1%} ask for more than the units give at most"
    return lines


def _moments(x: torch.Tensor, least: float = 0.0) -> FloatArray:
    """Mean and deviation, at least `least`, of `[S, n]`, `[2, n]`; where nothing varies the deviation is one."""
    deviation = x.std(0).clamp(min=least)
    size = torch.where(deviation > 1e-6 * x.abs().amax(0).clamp(min=1e-6), deviation, torch.ones_like(deviation))
    found: FloatArray = torch.stack([x.mean(0), size]).double().numpy()
    return found
