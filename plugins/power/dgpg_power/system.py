"""A power system as configured: what dynamics, noise and optima compute with, whatever agents see of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import laplacian

from dgpg.errors import ConfigError
from dgpg_power.config import Config, Flow
from dgpg_power.data.load import load_network
from dgpg_power.data.rts import load_rts
from dgpg_power.factors import bridges, loop_flows, ptdf
from dgpg_power.network import BoolArray, FloatArray, IntArray, Network
from dgpg_power.recorded import Recorded, folder_of, recorded
from dgpg_power.reward import Tariff


@dataclass(frozen=True)
class Source:
    """Where a network comes from."""

    name: str
    """Of a file or case."""
    limit: float
    """Every line limit times this."""
    flow: Flow | None
    """Convention of the DC approximation; the source's own if None."""
    bus: int | None = None
    """Number of a bus of the island that is taken; the case is one if None."""


NAMED: Mapping[str, Source] = MappingProxyType({"case24-tight": Source("case24_ieee_rts", 0.6, "pglib")})
"""Networks of this plugin's own."""
LEAST_PRICE = 10.0
"""Overload price where no line binds, $ per MWh."""


@dataclass(frozen=True, eq=False)
class System:
    """Positions count from 0."""

    config: Config
    network: Network
    bus_factors: FloatArray
    """PTDF, `[L, nb]`."""
    loop_flow: FloatArray
    """What phase shifters drive around loops, MW, `[L]`."""
    outage_factors: FloatArray
    """LODF, `[L, L]`; the column of a bridge is zero."""
    trippable: IntArray
    """Lines that may trip: not the bridges."""
    noise_factor: FloatArray
    """`[nb, nb]`, see `noise_factor`."""
    series: Recorded | None
    """Demand, limits and commitment by the hour, where there is a series."""
    tariff: Tariff
    margin: FloatArray
    """MW that limits are narrower by than the network's own, `[L]`; 0 before a margin is measured."""
    binding: BoolArray
    """Lines whose limit has a price in some sampled moment, `[L]`; none before there is a sample."""

    @property
    def num_agents(self) -> int:
        """N."""
        return self.network.num_units


def configured(config: Config) -> tuple[System, tuple[str, ...]]:
    """The system that settings ask for, before its overload price is measured, and notes for the user.

    Raises:
        DataError: the network or series is missing or unusable.
        ConfigError: demand cannot be met, or settings exclude each other.
    """
    network, series, notes = _network(config)
    return made_of(config, network, series), notes


def made_of(config: Config, network: Network, series: Recorded | None = None) -> System:
    """The system of a network."""
    factors = ptdf(network)
    bridge = bridges(network, factors)
    return System(
        config=config,
        network=network,
        bus_factors=factors,
        loop_flow=loop_flows(network, factors),
        outage_factors=_outage_factors(network, factors, bridge),
        trippable=np.flatnonzero(~bridge),
        noise_factor=noise_factor(network, config.load.reach),
        series=series,
        tariff=Tariff(config.prices.overload or LEAST_PRICE, config.prices.imbalance, config.prices.curtailment),
        margin=np.zeros(network.num_lines),
        binding=np.zeros(network.num_lines, bool),
    )


def grid_of(config: Config) -> tuple[str, int | None, Path | None]:
    """What decides on buses, lines and units, whatever their limits and demand: a series has units of its own."""
    return source_of(config).name, config.island, folder_of(config)


def source_of(config: Config) -> Source:
    """What the configured network is made of, with the limits and the convention that settings ask for."""
    named = NAMED.get(config.network, Source(config.network, 1.0, None))
    return Source(named.name, named.limit * config.limit_scale, config.flow or named.flow, config.island)


def noise_factor(network: Network, reach: float) -> FloatArray:
    """Triangular S, `[nb, nb]`, such that S e has unit variances and buses near each other alike.

    The correlation is (1 + reach L)^-1, L the graph's Laplacian, scaled to ones on its diagonal.
    """
    ends = (network.line_from, network.line_to)
    graph = coo_array((np.ones(network.num_lines), ends), shape=(network.num_buses,) * 2)
    joined = ((graph + graph.T) > 0).astype(np.float64).toarray()
    covariance: FloatArray = np.linalg.inv(np.eye(network.num_buses) + reach * laplacian(joined))
    size = np.sqrt(np.diag(covariance))
    factor: FloatArray = np.linalg.cholesky(covariance / np.outer(size, size))
    return factor


def _network(config: Config) -> tuple[Network, Recorded | None, tuple[str, ...]]:
    folder, series = folder_of(config), None
    commitment = config.commitment or ("relaxed" if folder else "all-on")
    if config.island is not None and (folder or config.network.startswith("synthetic-")):
        raise ConfigError(f"island = {config.island}: {config.network} is one connected grid; leave island out")
    if folder:
        if commitment == "all-on":
            raise ConfigError("commitment = all-on: minimum outputs exceed demand in this series; use relaxed")
        network, series = recorded(config, load_rts(folder, config.flow))
        network = network.scaled(limit=config.limit_scale)
    else:
        if commitment == "committed":
            raise ConfigError("commitment = committed: on and off are solved for a recorded series only; use all-on")
        source = source_of(config)
        if source.name.startswith("synthetic-") and source.flow == "matpower":
            raise ConfigError(f"flow = matpower: {source.name} is generated for flow = pglib; leave flow out")
        network = load_network(source.name, NAMED, source.flow, source.bus)
        network = network.scaled(load=config.load.scale, limit=source.limit)
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


def _outage_factors(network: Network, factors: FloatArray, bridge: BoolArray) -> FloatArray:
    """Columns of LODF for every line at once, see `dgpg_power.factors.lodf`."""
    transfer = factors[:, network.line_from] - factors[:, network.line_to]
    own = np.diag(transfer)
    result: FloatArray = transfer / np.where(bridge, np.inf, 1 - own)
    result[np.diag_indices(len(own))] = np.where(bridge, 0.0, -1.0)
    return result
