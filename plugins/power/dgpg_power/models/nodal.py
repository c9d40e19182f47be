"""`power.nodal-price`: what it costs to put a dispatch right, whose gradient is prices at the units' buses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dgpg.convex import QuadraticProgram, Solution, Status, require_optimal, solve
from dgpg.domain import Context
from dgpg.files import CONTEXTS, Recall
from dgpg_power.config import Config
from dgpg_power.grid import Grids
from dgpg_power.instance import Instance, build
from dgpg_power.programs.program import PRICED, TOLD, Problem, pose

TOLERANCE = 1e-7
"""Largest relative residual. These programs are degenerate: at 1e-8 one in two hundred on case24-tight did not get
there, at 1e-7 none of 3072 random states on four grids failed."""

CLOSE = 1e-4
"""Residual at which a program that got no further counts as solved: prices are then known to about that share, which is
better than to end a run for one state in thousands."""


class NodalPrice(nn.Module):
    """phi(p; c) = min over p' of [ F(p'; c) + premium sum_n |p'_n - p_n| ] - min F, $ per hour.

    F is the model's own cost of a dispatch p' within its limits: generation, overloads and imbalance at the tariff's
    prices, so that there always is one. A move is paid its true difference in cost, F(p') - F(p), and a premium a MWh
    on top. Without one phi would be the same everywhere, for every dispatch could be made the best at no loss; with one
    phi is F with its slopes bounded by the premium. It is convex, and zero at the optimum of F alone.

    d phi / d p_n is what a unit's energy is worth elsewhere: its marginal cost less the price at its bus where it does
    not pay to move it, the premium with its sign where it does. Two units at one bus see the same price.
    """

    def __init__(self, instance: Instance, memory: int = CONTEXTS) -> None:
        super().__init__()
        self.grids, self.premium = Grids(instance), instance.config.models.premium
        self.best = Recall(TOLD, self.least, memory)

    def potential(self, state: Tensor, context: Context) -> Tensor:
        """phi, `[B]`, of outputs `[B, N, 1]`.

        Raises:
            SolverError: the program of a state was not solved.
        """
        load, demand, low, high = (context[name].detach() for name in TOLD)
        problem = pose(self.grids.like(state), load, demand, low, high, None, PRICED)
        value: Tensor = _Value.apply(state[..., 0].double(), problem, self.premium)  # type: ignore[no-untyped-call]
        least = self.best(context)
        return (value - least.to(value)).clamp(min=0).to(state)

    def least(self, load: Tensor, demand: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """min F, `[B]`, of load `[B, nb]`, demand `[B]`, low and high `[B, N]`, MW."""
        problem = pose(self.grids.like(demand), load, demand, low, high, None, PRICED)
        with torch.no_grad():
            return _solved(problem.program).objective


class _Value(torch.autograd.Function):
    """min of F and the premium, `[B]`, of outputs `[B, N]`. Its gradient is multipliers (envelope theorem)."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, problem: Problem, premium: float) -> Tensor:
        found = _solved(redispatch(problem, output, premium))
        rise, fall = found.inequality_dual[:, -2 * output.shape[-1] :].chunk(2, -1)
        ctx.save_for_backward(fall - rise)
        return found.objective

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor, None, None]:
        (price,) = ctx.saved_tensors
        return incoming.unsqueeze(-1) * price, None, None


def _solved(program: QuadraticProgram) -> Solution:
    """Its solution, to `TOLERANCE` or at least `CLOSE`."""
    found = solve(program, tolerance=TOLERANCE)
    status = found.status.masked_fill(found.residual <= CLOSE, Status.OPTIMAL)
    return require_optimal(replace(found, status=status))


def redispatch(problem: Problem, output: Tensor, premium: float) -> QuadraticProgram:
    """The program of p', `premium` a MWh away from outputs p `[B, N]`: rows p' <= p, then p' >= p, both priced."""
    program, start = problem.program, output - problem.low
    assert program.inequality_matrix is not None and program.inequality_bound is not None
    assert program.penalty is not None
    sums = start.new_zeros(start.shape[-1], program.linear.shape[-1])
    sums[problem.owner, torch.arange(len(problem.owner), device=start.device)] = 1.0
    moves = torch.cat([sums, -sums])
    bound = program.inequality_bound
    return replace(
        program,
        inequality_matrix=torch.cat([program.inequality_matrix, moves.to(bound)], -2),
        inequality_bound=torch.cat([bound, start, -start], -1),
        penalty=torch.cat([program.penalty, program.penalty.new_full((len(moves),), premium)], -1),
    )


def nodal_price(config: Config) -> NodalPrice:
    """`power.nodal-price`: cost of redispatch with a premium on moves."""
    return NodalPrice(build(config))
