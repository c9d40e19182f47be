"""`power.dcopf-cvx`: DC optimal power flow by cvxpylayers; needs pip install 'dgpg-plugin-power[convex]'."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.convex import ConvexLayer, require
from dgpg.files import CONTEXTS
from dgpg_power.config import Config
from dgpg_power.grid import Grid
from dgpg_power.instance import Instance, build
from dgpg_power.models.potentials import OptimumDistance
from dgpg_power.programs.program import PRICED, Problem, pose

OPEN = 3.0
"""Times all that units can give: a limit that no flow reaches, where a line has one in the other direction alone."""


class ProgramDistance(OptimumDistance):
    """`power.dcopf` with its reference from a program written in cvxpy.

    An independent check of it, and a pattern for models that have more to say: add a constraint to `dispatch_layer`.
    Slower; see docs/adr/0013.
    """

    def __init__(self, instance: Instance, memory: int = CONTEXTS) -> None:
        super().__init__(instance, memory)
        self.layer = dispatch_layer(self.grid)

    def solve(self, load: Tensor, demand: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Outputs `[B, N]`, as of `OptimumDistance`.

        Raises:
            SolverError: an instance, named by its place in the batch, was not solved.
        """
        problem = pose(self.grid, load, demand, low, high, None, PRICED)
        with torch.no_grad():
            (x,) = self.layer(*parameters_of(problem))
        return problem.output(x).float()


def parameters_of(problem: Problem) -> tuple[Tensor, ...]:
    """Values of the layer's parameters: slope and width `[B, S]`, upper and lower limits `[B, m]`, demand `[B]`.

    A grid without limits has no parameters for them.
    """
    program, count = problem.program, len(problem.owner)
    assert program.upper is not None and program.inequality_bound is not None and program.equality_vector is not None
    open_ = OPEN * program.upper[:, :count].sum(-1, keepdim=True)
    bound = torch.where(program.inequality_bound.isinf(), open_, program.inequality_bound)
    limits = bound.chunk(2, -1) if len(problem.lines) else ()
    return program.linear[:, :count], program.upper[:, :count], *limits, program.equality_vector[:, 0]


def dispatch_layer(grid: Grid) -> ConvexLayer:
    """Segments x `[*, S]` of the least-cost dispatch, limits and demand priced, of what `parameters_of` returns.

    min slope'x + 1/2 x' diag(curve) x + overload sum(over) + imbalance (missing + excess), x within 0 and its width,
    Hx <= above + over, -Hx <= below + over, sum(x) + missing - excess = demand.
    """
    cp = require("cvxpy")
    problem = _any_problem(grid)
    program, count, lines = problem.program, len(problem.owner), len(problem.lines)
    assert program.quadratic is not None
    curve = program.quadratic.diagonal()[:count].numpy()
    matrix = problem.units[problem.lines][:, problem.owner].numpy()
    x, off = cp.Variable(count, name="x"), cp.Variable(2, name="off")
    slope, width = cp.Parameter(count, name="slope"), cp.Parameter(count, name="width")
    demand = cp.Parameter(name="demand")
    cost = slope @ x + cp.sum_squares(cp.multiply((curve / 2) ** 0.5, x)) + grid.tariff.imbalance * cp.sum(off)
    given, limits = [slope, width], [x >= 0, x <= width, off >= 0, cp.sum(x) + off[0] - off[1] == demand]
    if lines:
        over = cp.Variable(lines, name="over")
        above, below = cp.Parameter(lines, name="above"), cp.Parameter(lines, name="below")
        cost = cost + grid.tariff.overload * cp.sum(over)
        limits += [matrix @ x <= above + over, -matrix @ x <= below + over, over >= 0]
        given += [above, below]
    given.append(demand)
    return ConvexLayer(cp.Problem(cp.Minimize(cost), limits), given, [x], solver="interior-point")


def _any_problem(grid: Grid) -> Problem:
    """A program of the grid, for what is the same in all of them."""
    none, one = torch.zeros(1, grid.bus_factors.shape[-1]), torch.ones(1)
    return pose(grid, none, one, grid.unit_min[None], grid.unit_max[None], None, PRICED)


def dcopf_cvx(config: Config) -> ProgramDistance:
    """`power.dcopf-cvx`: `power.dcopf`, by cvxpylayers."""
    return ProgramDistance(build(config))
