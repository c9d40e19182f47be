"""Why there is no dispatch within all limits: the line that must be over its limit most."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from dgpg_power.network import FloatArray
from dgpg_power.system import System


def most_over(system: System, load: FloatArray, low: FloatArray, high: FloatArray) -> tuple[int, float] | None:
    """The line over its limit by most MW where outputs keep the sum of overloads least, and these MW.

    Args:
        system: the grid.
        load: demand at the buses, MW, `[nb]`.
        low: least outputs, MW, `[N]`.
        high: largest outputs, MW, `[N]`.

    Returns:
        None where limits can be kept, or units cannot give what is asked for.
    """
    network, factors = system.network, system.bus_factors
    units, base = factors[:, network.unit_bus], system.loop_flow - factors @ load
    up, down = np.isfinite(network.flow_max), np.isfinite(network.flow_min)
    own = np.eye(network.num_lines)
    rows = np.concatenate([np.hstack([units, -own])[up], np.hstack([-units, -own])[down]])
    found = linprog(
        np.concatenate([np.zeros(network.num_units), np.ones(network.num_lines)]),
        A_ub=rows,
        b_ub=np.concatenate([(network.flow_max - base)[up], (base - network.flow_min)[down]]),
        A_eq=np.concatenate([np.ones(network.num_units), np.zeros(network.num_lines)])[None],
        b_eq=[load.sum()],
        bounds=[*zip(low, high, strict=True), *[(0, None)] * network.num_lines],
    )
    if found.status != 0 or found.fun <= 1e-6 * max(1.0, np.abs(load).sum()):
        return None
    over = found.x[network.num_units :]
    return int(over.argmax()), float(over.max())
