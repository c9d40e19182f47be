"""Convex programs as differentiable functions of their parameters.

`solve` takes a batch of linear or quadratic programs and needs torch only. `ConvexLayer` takes any convex program
written in cvxpy (extra "convex").
"""

from dgpg.convex.layer import ConvexLayer, require
from dgpg.convex.program import QuadraticProgram, Solution, Status, require_optimal
from dgpg.convex.solver import solve

__all__ = ["ConvexLayer", "QuadraticProgram", "Solution", "Status", "require", "require_optimal", "solve"]
