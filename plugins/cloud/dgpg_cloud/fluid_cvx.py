"""`cloud.fluid-cvx`: the fluid optimum as a convex program. Needs the extra: pip install 'dgpg-plugin-cloud[convex]'."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgpg.convex import ConvexLayer, require
from dgpg_cloud.config import Config
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.models import WaterFilling
from dgpg.types import Context


class FluidProgram(WaterFilling):
    """The reference of `cloud.fluid` as a convex program (dgpg.convex), where that one has a closed form.

    min sum_m x_m^2 / (2 C_m) subject to sum_m x_m = total, x_m >= x0_m, for each resource. Its two uses: an
    independent check of the closed form, and a pattern for models that have none. Thousands of times slower.
    """
