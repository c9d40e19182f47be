"""The DC optimum of a case's own rows by angles of its buses: it shares nothing with the plugin's way there.

A linear program by HiGHS over outputs and angles, from MATPOWER's columns, for costs c1 p.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Angles:
    """Least cost without constants, outputs and flows in MW."""

    cost: float
    output: FloatArray
    flow: FloatArray


def angle_optimum(
    bus: FloatArray, gen: FloatArray, branch: FloatArray, price: FloatArray, base_mva: float, flow: str
) -> Angles | None:
    """The optimum of units in service, or None where there is none.

    `flow` as the setting has it: "matpower" is b = 1 / (x tap) with shifts, "pglib" b = x / (r² + x²) without.
    """
    n, nb, nl = len(gen), len(bus), len(branch)
    place = {int(number): k for k, number in enumerate(bus[:, 0])}
    least, most = np.full(nl, -np.inf), np.full(nl, np.inf)
    flows, fixed, gap = np.zeros((nl, n + nb)), np.zeros(nl), np.zeros((nl, n + nb))
    for k, row in enumerate(branch):
        a, b = place[int(row[0])], place[int(row[1])]
        r, x, tap, shift = row[2], row[3], row[8] if row[8] else 1.0, np.pi * row[9] / 180
        if flow == "pglib":
            size, shift = x / (r * r + x * x), 0.0
        else:
            size = 1.0 / (x * tap)
        flows[k, n + a], flows[k, n + b] = base_mva * size, -base_mva * size
        fixed[k] = -base_mva * size * shift
        gap[k, n + a], gap[k, n + b] = 180 / np.pi, -180 / np.pi
        if (row[11], row[12]) != (0.0, 0.0):
            least[k] = row[11] if row[11] > -360 else -np.inf
            most[k] = row[12] if row[12] < 360 else np.inf
    balance, demand = np.zeros((nb, n + nb)), bus[:, 2] + bus[:, 4]
    for j, row in enumerate(gen):
        balance[place[int(row[0])], j] = 1.0
    for k, row in enumerate(branch):
        for end, sign in ((0, -1.0), (1, 1.0)):
            balance[place[int(row[end])]] += sign * flows[k]
            demand[place[int(row[end])]] -= sign * fixed[k]
    rate = branch[:, 5] > 0
    rows = np.concatenate([flows[rate], -flows[rate], gap[most < np.inf], -gap[least > -np.inf]])
    right = np.concatenate([
        (branch[:, 5] - fixed)[rate], (branch[:, 5] + fixed)[rate], most[most < np.inf], -least[least > -np.inf]
    ])  # fmt: skip
    bounds = [(row[9], row[8]) for row in gen] + [(0.0, 0.0)] + [(None, None)] * (nb - 1)
    found = linprog(
        np.concatenate([price, np.zeros(nb)]), A_ub=rows, b_ub=right, A_eq=balance, b_eq=demand, bounds=bounds
    )  # fmt: skip
    if found.status == 2:
        return None
    assert found.status == 0, found.message
    return Angles(float(found.fun), found.x[:n], flows @ found.x + fixed)
