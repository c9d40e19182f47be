"""Independent answers to hold the plugin's against: bus angles instead of PTDF, and the DC optimum by HiGHS."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from dgpg_power.factors import loop_flows, ptdf
from dgpg_power.network import Network

FloatArray = NDArray[np.float64]


def angle_flows(network: Network, injection: FloatArray) -> FloatArray:
    """Flows in MW of a balanced injection, from the angles of the buses."""
    nb = network.num_buses
    matrix = np.zeros((nb, nb))
    for a, b, s in zip(network.line_from, network.line_to, network.susceptance, strict=True):
        matrix[a, a] += s
        matrix[b, b] += s
        matrix[a, b] -= s
        matrix[b, a] -= s
    shifted = np.zeros(nb)  # what phase shifters take out at one end and put in at the other
    np.add.at(shifted, network.line_from, network.shift_flow)
    np.add.at(shifted, network.line_to, -network.shift_flow)
    angle = np.linalg.lstsq(matrix, injection - shifted, rcond=1e-14)[0]
    return np.asarray(network.susceptance * (angle[network.line_from] - angle[network.line_to]) + network.shift_flow)


def dc_optimum(network: Network, lines: bool = True, rounds: int = 60) -> tuple[float, FloatArray] | None:
    """Least cost and output `[N]` by linear programs, convex costs by their tangents; None if infeasible."""
    n = network.num_units
    own = ptdf(network)[:, network.unit_bus] if lines else np.zeros((0, n))
    factors = ptdf(network)
    base = factors @ network.load - loop_flows(network, factors)
    kept = np.isfinite(network.reach) if lines else np.zeros(0, bool)
    most, least, base = (x[: len(kept)][kept] for x in (network.flow_max, network.flow_min, base))
    own = own[kept]
    flows = np.concatenate([own, -own]), np.concatenate([most + base, -least - base])
    rows, right = [np.hstack([flows[0], np.zeros((len(flows[0]), n))])], [flows[1]]
    point, best = (network.unit_min + network.unit_max) / 2, np.inf
    output = point
    for _ in range(rounds):
        step = 1e-6 * np.maximum(network.unit_max - network.unit_min, 1.0)
        slope = (network.cost(point + step) - network.cost(point - step)) / (2 * step)  # exact for quadratics
        rows.append(np.hstack([np.diag(slope), -np.eye(n)]))  # slope (p - point) + cost(point) <= t
        right.append(slope * point - network.cost(point))
        result = linprog(
            np.concatenate([np.zeros(n), np.ones(n)]),
            A_ub=np.concatenate(rows),
            b_ub=np.concatenate(right),
            A_eq=np.concatenate([np.ones(n), np.zeros(n)])[None],
            b_eq=[network.load.sum()],
            bounds=[*zip(network.unit_min, network.unit_max, strict=True), *[(None, None)] * n],
        )
        if result.status == 2:
            return None
        assert result.status == 0, result.message
        point = result.x[:n]
        cost = float(network.cost(point).sum())
        if cost < best:
            best, output = cost, point
        if best - result.fun <= 1e-6 * abs(best):
            return best, output
    raise AssertionError(f"tangents left a gap of {best - result.fun}")
