"""What a configuration stands for: a grid, its factors, prices and the scales of features. Built once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dgpg import random
from dgpg.errors import ConfigError
from dgpg_power import opf
from dgpg_power.config import Config
from dgpg_power.data.load import load_network
from dgpg_power.data.rts import load_rts
from dgpg_power.grid import Grid, make_grid
from dgpg_power.load import draw, noise_factor, tape
from dgpg_power.network import FloatArray, Network, bridges, ptdf
from dgpg_power.recorded import Recorded, folder_of, recorded
from dgpg_power.reward import Tariff

SAMPLES = 64
"""Episodes whose optima give prices and scales; their moments are the sample."""
MOMENTS = 8
"""Moments of each of them."""
OWN_LINES = 8
BROADCAST_LINES = 20
NAMED = {"case24-tight": ("case24_ieee_rts", 0.6)}
"""Networks of this plugin's own: another one with its line limits scaled, so that lines bind."""
TYPICAL = 0.97
"""Share of the sampled moments whose dearest line decides the overload price: prices run away near infeasibility."""
STEADY = 0.05
"""Least deviation of a line's loading that features are scaled by: a line that always binds hardly varies."""
NEAR = 0.9
"""Loading at some sampled optimum from which a line is one to watch."""
LEAST_PRICE = 10.0
"""Overload price where no line binds, $ per MWh."""
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Scales:
    """Mean and deviation of what agents see, over optimal operation; deviations are positive."""

    load: FloatArray
    """Of each bus, `[2, nb]`."""
    total: FloatArray
    """Of the total forecast, `[2]`."""
    loading: FloatArray
    """Flow of each line over its limit, `[2, L]`."""
    base_loading: FloatArray
    """The same of the flow that loads alone cause, `[2, L]`."""


@dataclass(frozen=True, eq=False)
class Instance:
    """A configured grid; positions count from 0."""

    config: Config
    network: Network
    bus_factors: FloatArray
    """PTDF, `[L, nb]`."""
    outage_factors: FloatArray
    """LODF, `[L, L]`; the column of a bridge is zero."""
    trippable: IntArray
    """Lines that may trip: not the bridges."""
    noise_factor: FloatArray
    """`[nb, nb]`, see `dgpg_power.load.noise_factor`."""
    series: Recorded | None
    """Demand, limits and commitment by the hour, where there is a series."""
    tariff: Tariff
    scales: Scales
    own_lines: IntArray
    """Lines that each unit sees, `[N, 8]`: those it moves most for their limit."""
    broadcast: IntArray
    """Lines whose base flow the operator broadcasts, `[20]`: those that bind most."""
    notes: tuple[str, ...]

    @property
    def num_agents(self) -> int:
        """N."""
        return self.network.num_units


@lru_cache(maxsize=8)
def build(config: Config) -> Instance:
    """The instance of a configuration.

    Raises:
        DataError: the network or series is missing or unusable.
        ConfigError: demand cannot be met, or settings exclude each other.
    """
    network, series, notes = _grid(config)
    factors = ptdf(network)
    first = Instance(
        config=config,
        network=network,
        bus_factors=factors,
        outage_factors=_outage_factors(network, factors),
        trippable=np.flatnonzero(~bridges(network)),
        noise_factor=noise_factor(network, config.load.reach),
        series=series,
        tariff=Tariff(config.prices.overload or LEAST_PRICE, config.prices.imbalance, config.prices.curtailment),
        scales=Scales(*(np.zeros((2, n)) for n in (network.num_buses, 1, network.num_lines, network.num_lines))),
        own_lines=np.zeros((network.num_units, 0), np.int64),
        broadcast=np.arange(min(BROADCAST_LINES, network.num_lines)),
        notes=(),
    )
    return _measured(first, notes) if config.trained is None else _kept(first, build(config.trained), notes)


def grid_of(config: Config) -> tuple[str, Path | None]:
    """What decides on buses, lines and units, whatever their limits and demand: a series has units of its own."""
    name, _ = NAMED.get(config.network, (config.network, 1.0))
    return name, folder_of(config)


def _grid(config: Config) -> tuple[Network, Recorded | None, tuple[str, ...]]:
    folder, series = folder_of(config), None
    commitment = config.commitment or ("relaxed" if folder else "all-on")
    if folder:
        if commitment == "all-on":
            raise ConfigError("commitment = all-on: minimum outputs exceed demand in this series; use relaxed")
        network, series = recorded(config, load_rts(folder))
        network = network.scaled(limit=config.limit_scale)
    else:
        if commitment == "committed":
            raise ConfigError("commitment = committed: on and off are solved for a recorded series only; use all-on")
        name, tight = NAMED.get(config.network, (config.network, 1.0))
        network = load_network(name, NAMED).scaled(load=config.load.scale, limit=tight * config.limit_scale)
    if commitment == "relaxed":
        network = network.relaxed()
    if config.ramp is not None:
        network = replace(network, ramp=config.ramp * np.maximum(network.unit_max, 1e-9))
    peak, capacity = network.load.sum() * config.load.high, network.unit_max.sum()
    if series is None and peak > capacity:
        raise ConfigError(
            f"load.scale x load.high asks for {peak:.0f} MW, the units of {network.name} give at most "
            f"{capacity:.0f} MW; lower load.scale ({config.load.scale:g}) or load.high ({config.load.high:g})"
        )
    size = f"{network.name}: {network.num_units} units, {network.num_buses} buses, {network.num_lines} lines"
    said = {
        "all-on": "every unit is on and stays above its minimum output",
        "relaxed": "RELAXED: the minimum output of every unit is taken as 0",
        "committed": "committed: on and off are solved ahead, day by day",
    }[commitment]
    return network, series, (size, said, *network.notes, *(series.notes if series else ()))


def _outage_factors(network: Network, factors: FloatArray) -> FloatArray:
    """Columns of LODF for every line at once, see `dgpg_power.network.lodf`."""
    transfer = factors[:, network.line_from] - factors[:, network.line_to]
    own, bridge = np.diag(transfer), bridges(network)
    result: FloatArray = transfer / np.where(bridge, np.inf, 1 - own)
    result[np.diag_indices(len(own))] = np.where(bridge, 0.0, -1.0)
    return result


def _own_lines(network: Network, factors: FloatArray, loading: FloatArray) -> IntArray:
    """The lines that a unit's whole range moves most, for their limit; those that come near it (`[L]`) first."""
    moved = np.abs(factors[:, network.unit_bus]) * (network.unit_max - network.unit_min)
    share = (moved / network.line_limit[:, None]).T + 1e6 * (loading > NEAR)
    return np.argsort(-share, axis=1, kind="stable")[:, : min(OWN_LINES, network.num_lines)]


def _measured(first: Instance, notes: tuple[str, ...]) -> Instance:
    """Prices, scales and lines to watch from the optimum of sampled moments."""
    grid = make_grid(first, torch.device("cpu"))
    load, best = _optima(first, grid)
    fine, price = best.solved, _overload_price(first.config, best)
    limit = torch.tensor(first.network.line_limit).float()
    loading, base = best.flow[fine] / limit, (-load[fine] @ grid.bus_factors.mT) / limit
    scales = Scales(
        _moments(load), _moments(load.sum(-1, keepdim=True)), *(_moments(x, STEADY) for x in (loading, base))
    )
    binding = (best.line_price[fine].abs() > 1e-3 * price).float().mean(0)
    order = torch.argsort(binding + 1e-3 * loading.abs().mean(0), descending=True, stable=True)
    origin = "" if first.config.prices.overload else ", twice the dearest line's in 97 % of sampled moments"
    more = (
        f"overload price {price:g} $ per MWh{origin}",
        _congestion(int((binding > 0).sum()), 1 - float(fine.float().mean())),
    )
    return replace(
        first,
        tariff=replace(first.tariff, overload=price),
        scales=scales,
        own_lines=_own_lines(first.network, first.bus_factors, loading.abs().amax(0).numpy()),
        broadcast=order[:BROADCAST_LINES].numpy(),
        notes=(*notes, *more),
    )


def _optima(first: Instance, grid: Grid) -> tuple[torch.Tensor, opf.Optimum]:
    """Loads `[S, nb]` of sampled moments and the optimum of each; ConfigError if none has one."""
    seed = random.derive(first.config.seed, "statistics")
    episodes = tape([draw(np.random.default_rng(seed + e), first) for e in range(SAMPLES)], torch.device("cpu"))
    every = torch.linspace(0, first.config.horizon, min(MOMENTS, first.config.horizon + 1)).long()
    load, least, most = (x[every].flatten(0, 1) for x in (episodes.forecast, episodes.least, episodes.most))
    best = opf.optimum(grid, load, load.sum(-1), least, most, None, opf.HARD)
    if not bool(best.solved.any()):
        raise ConfigError(
            f"{first.network.name}: no sampled demand can be served within the line limits; raise limit_scale or "
            "lower load.scale"
        )
    return load, best


def _overload_price(config: Config, best: opf.Optimum) -> float:
    """As configured, or twice the dearest line's in all but the dearest moments, two digits."""
    if config.prices.overload is not None:
        return config.prices.overload
    dearest = best.line_price[best.solved].abs().amax(-1)
    return max(float(f"{2 * float(dearest.quantile(TYPICAL)):.2g}"), LEAST_PRICE)


def _kept(first: Instance, trained: Instance, notes: tuple[str, ...]) -> Instance:
    """What would be measured is taken from the instance that a policy was trained in."""
    counts = [(x.num_units, x.num_buses, x.num_lines) for x in (first.network, trained.network)]
    if counts[0] != counts[1]:
        here, there = ("{} units, {} buses and {} lines".format(*count) for count in counts)
        raise ConfigError(
            f"trained: {trained.network.name} has {there}, {first.network.name} has {here}; features are scaled bus by "
            "bus and line by line, so name the same network, or leave trained out"
        )
    price = first.config.prices.overload or trained.tariff.overload
    more = f"overload price {price:g} $ per MWh; feature scales and lines to watch are those of the training's settings"
    return replace(
        first,
        tariff=replace(first.tariff, overload=price),
        scales=trained.scales,
        own_lines=trained.own_lines,
        broadcast=trained.broadcast,
        notes=(*notes, more),
    )


def _congestion(binding: int, broken: float) -> str:
    """A note on how many lines bind, and in what share of the moments limits cannot be kept."""
    if not (binding or broken):
        return "no line ever binds: merit order is optimal here; lower limit_scale for congestion"
    lines = "1 line binds" if binding == 1 else f"{binding} lines bind"
    return f"{lines} at times; {broken:.1%} of sampled moments cannot keep all limits"


def _moments(x: torch.Tensor, least: float = 0.0) -> FloatArray:
    """Mean and deviation, at least `least`, of `[S, n]`, `[2, n]`; where nothing varies the deviation is one."""
    deviation = x.std(0).clamp(min=least)
    size = torch.where(deviation > 1e-6 * x.abs().amax(0).clamp(min=1e-6), deviation, torch.ones_like(deviation))
    found: FloatArray = torch.stack([x.mean(0), size]).double().numpy()
    return found
