"""Whether what a solver returned for a convex program is a solution.

Primal feasibility (Boyd and Vandenberghe 2004, section 5.5.3) of every instance, by cvxpy's own violations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dgpg.errors import SolverError

if TYPE_CHECKING:
    import cvxpy as cp


class Check:
    """Faults of a solution, found from the problem's own constraints and objective.

    Args:
        problem: A cvxpy problem; its parameters and variables are given values here.
        parameters: Its parameters, in the order of their values.
        tolerance: Largest violation of a constraint, relative to the largest magnitude among its own
            constants and parameters (at least 1).
    """

    def __init__(self, problem: cp.Problem, parameters: Sequence[cp.Parameter], tolerance: float) -> None:
        self.problem, self.parameters, self.tolerance = problem, tuple(parameters), tolerance
        self.variables: tuple[Any, ...] = tuple(problem.variables())
        attributes = [constraint for variable in self.variables for constraint in variable.domain]
        constraints = [*problem.constraints, *attributes]
        self.constraints = [(c, max([1.0, *(_size(k.value) for k in c.constants())])) for c in constraints]
        self.sign = 1 if problem.objective.NAME == "minimize" else -1
        goal: Any = problem.objective.args[0]
        self.goal, self.bounded = goal, goal.is_nonneg() if self.sign > 0 else goal.is_nonpos()

    def __call__(self, batch: tuple[int, ...], values: Sequence[Any], solutions: Sequence[Any]) -> None:
        """Check n = prod(batch) instances, `[n, ...]` for each parameter and each of `variables`.

        Raises:
            SolverError: the first instance at fault, by its place in the batch, and what its fault is.
        """
        for i in range(math.prod(batch)):
            self._raise(batch, i, self.fault([x[i] for x in values], [x[i] for x in solutions]))

    def parameters_of(self, batch: tuple[int, ...], values: Sequence[Any]) -> None:
        """Check only that the parameters' attributes, such as nonneg=True, allow their values.

        Raises:
            SolverError: the first instance at fault.
        """
        if any(value for parameter in self.parameters for value in parameter.attributes.values()):
            for i in range(math.prod(batch)):
                self._raise(batch, i, self._assign([x[i] for x in values]))

    def fault(self, values: Sequence[Any], solution: Sequence[Any]) -> str | None:
        """What is wrong with a solution, one array for each of `variables`; None if nothing is."""
        if not all(np.isfinite(part).all() for part in solution):
            return "the solver's answer is not finite"
        fault = self._assign(values)
        if fault:
            return fault
        self._set(solution)
        for constraint, fixed in self.constraints:
            scale = max([fixed, *(_size(parameter.value) for parameter in constraint.parameters())])
            violation = _size(constraint.violation())
            if not violation <= self.tolerance * scale:
                return f"constraint '{constraint}' is violated by {violation:.3g}; infeasible or not solved"
        return None if self.bounded else self._ray(solution)

    def _raise(self, batch: tuple[int, ...], i: int, fault: str | None) -> None:
        if fault:
            at = ", ".join(str(k) for k in np.unravel_index(i, batch))
            where = f"instance [{at}] of batch {list(batch)}" if batch else "its only instance"
            raise SolverError(f"convex program, {where}: {fault}")

    def _assign(self, values: Sequence[Any]) -> str | None:
        try:
            for parameter, value in zip(self.parameters, values, strict=True):
                parameter.value = value
        except ValueError as error:  # excluded by an attribute such as nonneg=True
            return f"parameter '{parameter.name()}': {error}"
        return None

    def _ray(self, solution: Sequence[Any]) -> str | None:
        """For an unbounded program a solver returns a ray: twice as far is as feasible, and better."""
        violation, reached = self._violation(), float(self.goal.value)
        self._set([2 * part for part in solution])
        gain = self.sign * (reached - float(self.goal.value))
        slack = 1e-7 * max(_size(part) for part in solution)
        if gain > 1e-3 * max(abs(reached), self.tolerance) and self._violation() <= violation + slack:
            return f"twice the solution is better by {gain:.3g}; unbounded or not solved"
        return None

    def _violation(self) -> float:
        return max((_size(constraint.violation()) for constraint, _ in self.constraints), default=0.0)

    def _set(self, solution: Sequence[Any]) -> None:
        for variable, part in zip(self.variables, solution, strict=True):
            variable.save_value(part)


def _size(values: Any) -> float:
    """Largest magnitude; zero if there are no values. Dense or sparse."""
    return float(abs(values).max()) if np.size(values) else 0.0
