"""Generated grids of any size: random places joined by short lines, with limits that bind at the optimum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial import Delaunay

from dgpg.domain.random import derive
from dgpg.errors import DataError
from dgpg_power.factors import ptdf
from dgpg_power.network import BoolArray, FloatArray, IntArray, Network, validate

FEWEST = 5
BUSES_PER_UNIT, LINES_PER_BUS = 1.5, 1.4
LOADED = 0.7
"""Share of the buses that have a load."""
DEMAND = 0.6
"""Load over capacity."""
TIGHT = 0.08
"""Share of the lines whose limit the cheapest dispatch may exceed."""
SPREAD = 0.5
"""How far the dispatch that fits the limits lies from the cheapest towards one in proportion to capacity."""


def synthetic(units: int, seed: int = 0) -> Network:
    """A generated grid of `units` units; the same for the same number and seed.

    Energy is cheap on one side of the map, so a dispatch that ignores the lines overloads those that lead
    away from it. For 85 to 100 % of the load and a few percent of noise at each bus some dispatch keeps all
    limits.

    Raises:
        DataError: a number of units that is out of range.
    """
    if units < FEWEST:
        expected = f"expected synthetic-N, N units, {FEWEST} <= N < 10^6, such as synthetic-100"
        raise DataError(f"network 'synthetic-{units}': {expected}")
    rng = np.random.default_rng(derive(seed, "power.synthetic", units))
    network = _unlimited(rng, units)
    note = f"generated grid of {units} units, {network.num_buses} buses and {network.num_lines} lines, seed {seed}"
    limit = _limits(network)
    return validate(replace(network, flow_min=-limit, flow_max=limit, notes=(note,)))


def _unlimited(rng: np.random.Generator, units: int) -> Network:
    """The grid without limits of lines."""
    nb = round(BUSES_PER_UNIT * units)
    place = rng.random((nb, 2))
    ends, length = _lines(rng, place, round(LINES_PER_BUS * nb))
    reactance = 0.05 * np.sqrt(nb) * length * rng.uniform(0.7, 1.3, len(length))
    resistance = reactance / 8
    bus = np.sort(rng.choice(nb, units, replace=False))
    capacity = 100 * rng.lognormal(-0.125, 0.5, units)
    load = rng.lognormal(-0.3, 0.75, nb) * (rng.permutation(nb) < round(LOADED * nb))
    side = max(1, round((units / 25) ** 0.5))
    square = (place * side).astype(np.int64)
    return Network(
        name=f"synthetic-{units}",
        base_mva=100.0,
        bus_number=np.arange(1, nb + 1),
        area=1 + square[:, 0] + side * square[:, 1],
        load=load * DEMAND * capacity.sum() / load.sum(),
        line_from=ends[:, 0],
        line_to=ends[:, 1],
        susceptance=reactance / (resistance**2 + reactance**2),
        resistance=resistance,
        shift_flow=np.zeros(len(length)),
        flow_min=np.full(len(length), -np.inf),
        flow_max=np.full(len(length), np.inf),
        unit_bus=bus,
        unit_name=tuple(f"gen{n + 1}" for n in range(units)),
        unit_kind=("thermal",) * units,
        unit_min=np.zeros(units),
        unit_max=capacity,
        ramp=np.full(units, np.inf),
        cost_constant=np.zeros(units),
        cost_linear=10 + 30 * place[bus, 0] + rng.uniform(-5, 5, units),
        cost_quadratic=rng.uniform(2, 10, units) / (2 * capacity),
        kink=np.zeros((units, 0)),
        kink_slope=np.zeros((units, 0)),
    )


def _lines(rng: np.random.Generator, place: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """Ends `[nl, 2]` and lengths `[nl]`: the shortest tree over all places, and short edges of a triangulation."""
    corner = Delaunay(place).simplices
    pairs = np.concatenate([corner[:, [0, 1]], corner[:, [1, 2]], corner[:, [0, 2]]])
    pairs = np.unique(np.sort(pairs, 1), axis=0).astype(np.int64)
    length = np.linalg.norm(place[pairs[:, 0]] - place[pairs[:, 1]], axis=1)
    graph = coo_array((length, pairs.T), shape=(len(place),) * 2)
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    branch = np.sort(np.stack([tree.row, tree.col], 1), 1) @ (len(place), 1)
    in_tree = np.isin(pairs @ (len(place), 1), branch)
    preference = np.where(in_tree, -1.0, length * rng.uniform(0.5, 1.5, len(length)))
    kept = np.sort(np.argsort(preference)[: max(count, len(branch))])
    return pairs[kept], length[kept]


def cheapest(network: Network, load: float) -> FloatArray:
    """Output `[N]` in MW that covers `load` at the least cost without regard to lines, for quadratic costs above 0."""
    low, high = network.cost_linear.min(), (network.cost_linear + 2 * network.cost_quadratic * network.unit_max).max()
    slope = 2 * network.cost_quadratic
    for _ in range(60):  # bisection over the price
        price = (low + high) / 2
        output = np.clip((price - network.cost_linear) / slope, network.unit_min, network.unit_max)
        low, high = (price, high) if output.sum() < load else (low, price)
    return np.asarray(output)


def _limits(network: Network) -> FloatArray:
    """Limits in MW `[nl]` that a mixed dispatch keeps at any load of the range, and the cheapest does not."""
    factors = ptdf(network)
    total = network.load.sum()
    fits, cheap = np.zeros(network.num_lines), np.zeros(network.num_lines)
    for level in (0.85, 0.925, 1.0):
        output = cheapest(network, level * total)
        mixed = (1 - SPREAD) * output + SPREAD * level * total * network.unit_max / network.unit_max.sum()
        fits = np.maximum(fits, np.abs(_flows(network, factors, mixed, level)))
        cheap = np.maximum(cheap, np.abs(_flows(network, factors, output, level)))
    noise = 0.05 * np.sqrt((factors * network.load) ** 2 @ np.ones(network.num_buses))  # 5 % at each bus
    firm = 1.1 * (fits + 3 * noise)
    gain = cheap - firm
    tight: BoolArray = gain >= np.quantile(gain, 1 - TIGHT)
    limit: FloatArray = np.maximum(np.where(tight, firm, 1.3 * np.maximum(firm, cheap)), 1.0)
    return limit


def _flows(network: Network, factors: FloatArray, output: FloatArray, level: float) -> FloatArray:
    """Flows in MW for an output `[N]` and every load times `level`, `[nl]`."""
    injection = np.bincount(network.unit_bus, output, network.num_buses) - level * network.load
    flow: FloatArray = factors @ injection
    return flow
