"""What a machine costs where nobody says.

Rounded from EC2 on-demand prices (Linux, us-east-1, price file of 2026-07-20). A least-squares fit of the relative
error over 258 types (families m, c and r of generations 6 to 8 with suffix a, i or g, not metal) gives 0.0346 USD per
vCPU and 0.00334 USD per GiB and hour. A GPU costs what that leaves of the price of g4dn.xlarge (T4: 0.33), g5.xlarge
(A10G: 0.81) and p3dn.24xlarge (8 V100: 3.2 each).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

USD_PER_VCPU = 0.035
USD_PER_GIB = 0.0033
USD_PER_GPU = {"T4": 0.35, "A10": 0.80, "V100M16": 3.00, "V100M32": 3.00}
USD_PER_OTHER_GPU = 1.00
"""USD per hour of a GPU that EC2 does not sell: P100, and G1 to G3, whose names are not disclosed."""


def estimate(vcpu: ArrayLike, gib: ArrayLike, gpu: ArrayLike, models: Sequence[str]) -> NDArray[np.float64]:
    """USD per hour of machines by their size and the model of their GPUs, `[M]` each."""
    rate = np.array([USD_PER_GPU.get(model, USD_PER_OTHER_GPU) for model in models])
    plain = USD_PER_VCPU * np.asarray(vcpu) + USD_PER_GIB * np.asarray(gib)
    return np.asarray(plain + rate * np.asarray(gpu), np.float64)
