"""The mixed-integer program of unit commitment: its variables, costs and rows.

T hours, N units, of which K have a minimum output above 0 and are switched; G segments of output. Variables, in
this order: on `[T, K]`, started `[T, K]`, stopped `[T, K]`, output of segments in MW `[T, G]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import block_array, coo_array, csr_array, eye_array, hstack, kron, vstack

from dgpg_power.factors import loop_flows, ptdf
from dgpg_power.network import BoolArray, FloatArray, IntArray, Network

PIECES = 4
"""Straight pieces that stand for a quadratic cost."""


@dataclass(frozen=True, eq=False)
class StartRules:
    """What a start costs and how long it holds, `[N]` each.

    Attributes:
        min_up: hours that a unit stays on after a start, at least 0.
        min_down: hours that a unit stays off after a stop, at least 0.
        cost: $ per start.
    """

    min_up: IntArray
    min_down: IntArray
    cost: FloatArray


@dataclass(frozen=True, eq=False)
class Program:
    """min cost · x subject to low <= rows x <= high and 0 <= x <= bound; whole where `whole`."""

    cost: FloatArray
    constant: float
    """$ that no choice changes: units that are not switched, at their minimum."""
    bound: FloatArray
    whole: BoolArray
    rows: csr_array
    low: FloatArray
    high: FloatArray
    output: csr_array
    """Output in MW of every unit above `base`, as a function of x, `[T N, variables]`."""
    base: FloatArray
    """Minimum output of units that are not switched, else 0, MW, `[N]`."""
    switched: IntArray
    """Units that are switched, `[K]`."""


@dataclass(frozen=True, eq=False)
class _Segments:
    """Pieces of output of constant marginal cost, in rising order for each unit, `[G]` each."""

    unit: IntArray
    start: FloatArray
    width: FloatArray
    price: FloatArray


def build(network: Network, rules: StartRules, load: FloatArray, available: FloatArray) -> Program:
    """The program without lines, for loads `[T, nb]` and largest outputs `[T, N]` of units that are not switched."""
    hours, switched = len(load), np.flatnonzero(network.unit_min > 0)
    parts = _segments(network)
    on_base = coo_array(
        (network.unit_min[switched], (switched, np.arange(len(switched)))), shape=(network.num_units, len(switched))
    )
    count = len(parts.unit)
    on_parts = coo_array((np.ones(count), (parts.unit, np.arange(count))), shape=(network.num_units, count))
    nothing = csr_array((hours * network.num_units, 2 * hours * len(switched)))
    every = eye_array(hours)
    output = hstack([kron(every, on_base), nothing, kron(every, on_parts)], format="csr")
    base = np.where(network.unit_min > 0, 0.0, network.unit_min)
    least = network.cost(network.unit_min)
    constant = hours * float(np.delete(least, switched).sum())
    states = hours * len(switched)
    least_on, starts = np.tile(least[switched], hours), np.tile(rules.cost[switched], hours)
    rows, low, high = _rows(rules, switched, parts, hours)
    balance = kron(every, np.ones((1, network.num_units))) @ output
    demand = load.sum(1) - base.sum()
    return Program(
        cost=np.concatenate([least_on, starts, np.zeros(states), np.tile(parts.price, hours)]),
        constant=constant,
        bound=np.concatenate([np.ones(3 * states), _room(network, parts, available).ravel()]),
        whole=np.concatenate([np.ones(states, bool), np.zeros(output.shape[1] - states, bool)]),
        rows=vstack([balance, rows], format="csr"),
        low=np.concatenate([demand, low]),
        high=np.concatenate([demand, high]),
        output=output,
        base=base,
        switched=switched,
    )


def flow_rows(
    program: Program, network: Network, load: FloatArray, at: tuple[IntArray, IntArray]
) -> tuple[csr_array, FloatArray]:
    """Flows of lines in hours, `at` = (hours, lines), as rows of x and a constant in MW: flow = rows x + constant."""
    hour, line = at
    factors = ptdf(network)
    own = factors[:, network.unit_bus]
    units = own.shape[1]
    column = (hour[:, None] * units + np.arange(units)).ravel()
    pick = csr_array((own[line].ravel(), column, np.arange(len(line) + 1) * units), (len(line), len(load) * units))
    constant = own[line] @ program.base - (factors[line] * load[hour]).sum(1) + loop_flows(network, factors)[line]
    return pick @ program.output, constant


def _segments(network: Network) -> _Segments:
    """Every unit's cost between its limits in straight pieces."""
    span = network.unit_max - network.unit_min
    inner = np.clip(network.kink, network.unit_min[:, None], network.unit_max[:, None])
    steps = np.linspace(0, 1, PIECES + 1) if network.cost_quadratic.any() else np.array([0.0, 1.0])
    even = network.unit_min[:, None] + span[:, None] * steps
    points = np.sort(np.concatenate([even, inner], 1), 1)
    value = network.cost(points.T).T
    width = np.diff(points, axis=1)
    unit, piece = np.nonzero(width > 1e-6)  # a shorter one has no reliable price
    size = width[unit, piece]
    return _Segments(unit, points[unit, piece], size, np.diff(value, axis=1)[unit, piece] / size)


def _room(network: Network, parts: _Segments, available: FloatArray) -> FloatArray:
    """Largest output of each segment, MW, `[T, G]`; units that are switched are not limited further."""
    limited = np.minimum(np.maximum(available[:, parts.unit] - parts.start, 0.0), parts.width)
    return np.where(network.unit_min[parts.unit] > 0, parts.width, limited)


def _rows(
    rules: StartRules, switched: IntArray, parts: _Segments, hours: int
) -> tuple[csr_array, FloatArray, FloatArray]:
    """Rows that tie states to each other and segments to states, with their limits."""
    states, count = hours * len(switched), len(parts.unit)
    one, none = eye_array(states, format="csr"), None
    before = kron(coo_array(np.roll(np.eye(hours), -1, 1)), eye_array(len(switched)), format="csr")
    up = _window(rules.min_up[switched], hours)
    down = _window(rules.min_down[switched], hours)
    own = np.flatnonzero(np.isin(parts.unit, switched))
    at = np.arange(len(own))
    state = np.searchsorted(switched, parts.unit[own])
    full = coo_array((-parts.width[own], (at, state)), shape=(len(own), len(switched)))
    pick = coo_array((np.ones(len(own)), (at, own)), shape=(len(own), count))
    every = eye_array(hours)
    rows = block_array(
        [
            [one - before, -one, one, none],
            [-one, up, none, none],
            [one, none, down, none],
            [kron(every, full), none, none, kron(every, pick)],
        ],
        format="csr",
    )
    high = np.concatenate([np.zeros(states), np.zeros(states), np.ones(states), np.zeros(hours * len(own))])
    low = np.concatenate([np.zeros(states), np.full(2 * states + hours * len(own), -np.inf)])
    return rows, low, high


def _window(length: IntArray, hours: int) -> csr_array:
    """Sum of a state over the last `length` hours (at least 1), around the day, `[T K, T K]`."""
    units = len(length)
    hour, unit, back = np.nonzero(
        np.broadcast_to(np.arange(hours) < np.maximum(length, 1)[:, None], (hours, units, hours))
    )
    cells = (np.ones(len(hour)), (hour * units + unit, (hour - back) % hours * units + unit))
    return csr_array(cells, shape=(hours * units,) * 2)
