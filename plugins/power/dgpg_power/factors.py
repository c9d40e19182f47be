"""How flows depend on injections, on phase shifts and on outages: factors of a network, dense."""

from __future__ import annotations

import numpy as np

from dgpg.errors import DataError
from dgpg_power.network import BoolArray, FloatArray, Network, island_of

MEANINGLESS = 1e6
"""MW that a MW fed in moves on a line from which on susceptances cancel but for rounding; without series capacitors it
is 1 at most."""


def loop_flows(network: Network, factors: FloatArray) -> FloatArray:
    """Flows that phase shifters drive around loops, MW, `[nl]`: flows are `factors @ injection + loop_flows`.

    c = f - F A' f with f the `shift_flow`, A the incidence of lines and buses and F the `factors`, `ptdf(network)`.
    """
    nb, own = network.num_buses, network.shift_flow
    injection = np.bincount(network.line_from, own, nb) - np.bincount(network.line_to, own, nb)
    result: FloatArray = own - factors @ injection
    return result


def ptdf(network: Network) -> FloatArray:
    """Power transfer distribution factors `[nl, nb]`: how flows in MW change with injections that sum to 0.

    The reference is the load: a bus's column holds the flows when one MW fed in there is taken out at all
    buses in proportion to their load (where positive). Another reference shifts each row by a constant, which
    balanced injections do not see.

    Raises:
        DataError: the susceptance matrix is singular, as islands make it, or reactances that cancel.
    """
    nl, nb = network.num_lines, network.num_buses
    incidence = np.zeros((nl, nb))
    incidence[np.arange(nl), network.line_from] = 1.0
    incidence[np.arange(nl), network.line_to] -= 1.0
    flow = network.susceptance[:, None] * incidence
    factors = np.zeros((nl, nb))
    matrix = (incidence.T @ flow)[1:, 1:]
    try:  # the first bus has angle 0; each other column is a flow from its bus to the first
        factors[:, 1:] = np.linalg.solve(matrix, flow[:, 1:].T).T
    except np.linalg.LinAlgError:
        raise _singular(network, matrix) from None
    if not np.abs(factors).max(initial=0.0) < MEANINGLESS:
        raise _singular(network, matrix)
    demand = np.maximum(network.load, 0.0)
    total = demand.sum()
    share = demand / total if total > 0 else np.full(nb, 1 / nb)
    result: FloatArray = factors - (factors @ share)[:, None]
    return result


def _singular(network: Network, matrix: FloatArray) -> DataError:
    """The error for a matrix of susceptances `[nb - 1, nb - 1]`: which angles cause no flow, and on which line."""
    angle = np.append(0.0, np.linalg.svd(matrix)[2][-1])
    line = network.line_name(int(np.abs(angle[network.line_from] - angle[network.line_to]).argmax()))
    cause = f"reactances at {line} and beside it cancel, so that flows are undefined"
    return DataError(f"{network.name}: the susceptance matrix is singular: {cause}; correct x, or connect islands")


def bridges(network: Network, factors: FloatArray | None = None) -> BoolArray:
    """Which lines split the grid when they fail, `[nl]`; `factors` is `ptdf(network)`, if it is at hand."""
    own = _own_transfer(network, ptdf(network) if factors is None else factors)
    bridge = np.zeros(network.num_lines, bool)
    # A bridge carries all of a transfer between its ends; near 1 the graph decides, not the rounding.
    for line in np.flatnonzero(np.abs(1.0 - own) < 1e-6):
        kept = np.arange(network.num_lines) != line
        bridge[line] = island_of(network, kept).max() > 0
    return bridge


def lodf(network: Network, line: int, factors: FloatArray | None = None) -> FloatArray:
    """Line outage distribution factors `[nl]`: when `line` fails, flows become flow + lodf * flow[line].

    Args:
        network: the grid.
        line: position of the line that fails; its own factor is -1.
        factors: `ptdf(network)`, if it is at hand.

    Raises:
        DataError: the line is a bridge.
    """
    factors = ptdf(network) if factors is None else factors
    own = _own_transfer(network, factors)[line]
    if abs(1.0 - own) < 1e-6 and bridges(network)[line]:
        message = "is a bridge: its outage splits the grid, expected a line of a loop"
        raise DataError(f"{network.name}: {network.line_name(line)} {message}: see bridges(network)")
    transfer = factors[:, network.line_from[line]] - factors[:, network.line_to[line]]
    result: FloatArray = transfer / (1.0 - own)
    result[line] = -1.0
    return result


def _own_transfer(network: Network, factors: FloatArray) -> FloatArray:
    """What each line carries of one MW sent from its first bus to its last, `[nl]`."""
    rows = np.arange(network.num_lines)
    own: FloatArray = factors[rows, network.line_from] - factors[rows, network.line_to]
    return own
