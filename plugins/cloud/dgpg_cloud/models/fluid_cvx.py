"""`cloud.fluid-cvx`: the fluid optimum as a convex program; needs pip install 'dgpg-plugin-cloud[convex]'."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.convex import ConvexLayer, require
from dgpg.domain import Context
from dgpg_cloud.config import Config
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.models.potentials import WaterFilling


class FluidProgram(WaterFilling):
    """The reference of `cloud.fluid` from a convex program (`dgpg.convex`) where that one has a closed form.

    An independent check of it, and a pattern for models that have none; milliseconds an instance and
    resource. For each resource, over the machines that have any of it,

        min sum_m x_m^2 / (2 C_m)   subject to   sum_m x_m = total,   x_m >= x0_m.

    Solved for y = x / (l sqrt(C_m sum C)), with l = total / sum C the mean level: then the curvature is the
    same in all directions, whatever the capacities, and an instance's size does not matter. The solver looks
    for the increment over y0, which exists exactly if the new jobs' work is not negative.
    """

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance, instance.capacity.shape[1])
        self.programs = [_program(c[c > 0]) for c in self.capacity.double().unbind(-1)]

    def reference(self, context: Context) -> Tensor:
        """x~ `[B, M, 2 R]`, as of `WaterFilling`; with gradients towards a context that requires them.

        Raises:
            SolverError: an environment's context holds negative new work.
        """
        # Sums in float64: in float32 the total could fall below what is there already.
        wide = {name: x.double() if x.is_floating_point() else x for name, x in context.items()}
        base, total = self.parameters_of(wide)
        parts = [self.fill(r, base[..., r], total[..., r]) for r in range(self.resources)]
        spread = torch.stack(parts, -1).to(context["work"].dtype)
        return torch.cat([torch.zeros_like(spread), spread], -1)

    def fill(self, resource: int, base: Tensor, total: Tensor) -> Tensor:
        """What `water_fill` returns, `[..., M]`, for base `[..., M]` and total `[...]` in float64."""
        capacity = self.capacity[:, resource].double()
        has = capacity > 0
        free, left = base[..., has], total - base[..., ~has].sum(-1)
        # Where there is no work at all any positive scale will do; x is zero.
        scale = (capacity[has] / capacity.sum()).sqrt() * left.clamp(min=1e-12).unsqueeze(-1)
        new = (left - free.sum(-1)) / left.clamp(min=1e-12)
        (more,) = self.programs[resource](free / scale, new)
        return base.index_add(-1, has.nonzero().squeeze(-1), more * scale)


def _program(capacity: Tensor) -> ConvexLayer:
    cp = require("cvxpy")
    weight = (capacity / capacity.sum()).sqrt().numpy()
    start, new = cp.Parameter(len(weight), name="start"), cp.Parameter(name="new")
    more = cp.Variable(len(weight), name="more")
    objective = cp.Minimize(cp.sum_squares(start + more))
    return ConvexLayer(cp.Problem(objective, [weight @ more == new, more >= 0]), [start, new], [more])


def fluid_cvx(config: Config) -> FluidProgram:
    """`cloud.fluid-cvx`: `cloud.fluid`, by cvxpylayers."""
    return FluidProgram(build(config))
