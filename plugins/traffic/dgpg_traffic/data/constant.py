"""Links whose time does not depend on flow, which formats write in several ways."""

from __future__ import annotations

import numpy as np

from dgpg_traffic.arrays import FloatArray


def constant_times(
    free_time: FloatArray, b: FloatArray, power: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The same times with b = 0 and power = 1 where b or power is 0, each `[L]` -> `[L]`.

    A power of 0 has the time free_time (1 + b) at any flow, but no slope at flow 0 that formulas give.
    """
    flat = power == 0
    constant = flat | (b == 0)
    time = np.where(flat, free_time * (1 + b), free_time)
    return time, np.where(constant, 0.0, b), np.where(constant, 1.0, power)
