"""A power system as configured: what dynamics, noise and optima compute with, whatever agents see of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import laplacian

from dgpg.errors import ConfigError
from dgpg_power.config import Config
from dgpg_power.data.load import load_network
from dgpg_power.data.rts import load_rts
from dgpg_power.network import FloatArray, IntArray, Network, bridges, ptdf
from dgpg_power.recorded import Recorded, folder_of, recorded
from dgpg_power.reward import Tariff

NAMED = {"case24-tight": ("case24_ieee_rts", 0.6)}
"""Networks of this plugin's own: another one with its line limits scaled, so that lines bind."""
LEAST_PRICE = 10.0
"""Overload price where no line binds, $ per MWh."""


@dataclass(frozen=True, eq=False)
class System:
    """Positions count from 0."""

    config: Config
    network: Network
    bus_factors: FloatArray
    """PTDF, `[L, nb]`."""
    outage_factors: FloatArray
    """LODF, `[L, L]`; the column of a bridge is zero."""
    trippable: IntArray
    """Lines that may trip: not the bridges."""
    noise_factor: FloatArray
    """`[nb, nb]`, see `noise_factor`."""
    series: Recorded | None
    """Demand, limits and commitment by the hour, where there is a series."""
    tariff: Tariff

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
    factors = ptdf(network)
    system = System(
        config=config,
        network=network,
        bus_factors=factors,
        outage_factors=_outage_factors(network, factors),
        trippable=np.flatnonzero(~bridges(network)),
        noise_factor=noise_factor(network, config.load.reach),
        series=series,
        tariff=Tariff(config.prices.overload or LEAST_PRICE, config.prices.imbalance, config.prices.curtailment),
    )
    return system, notes


def grid_of(config: Config) -> tuple[str, Path | None]:
    """What decides on buses, lines and units, whatever their limits and demand: a series has units of its own."""
    name, _ = NAMED.get(config.network, (config.network, 1.0))
    return name, folder_of(config)


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
