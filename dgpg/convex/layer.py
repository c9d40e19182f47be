"""Convex programs written in cvxpy, as differentiable functions: cvxpylayers, with its traps handled.

Needs the optional extra: pip install 'dgpg[convex]'. Nothing is imported before the first use.
"""

from __future__ import annotations

import importlib
import math
import pickle
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor

from dgpg.convex.feasibility import Check
from dgpg.errors import PluginError, unknown

if TYPE_CHECKING:
    import cvxpy as cp

TOLERANCES = dict.fromkeys(("tol_feas", "tol_gap_abs", "tol_gap_rel"), 1e-12)
"""Of Clarabel. Its own, 1e-8, leave errors of 1e-4 in quadratic programs and at times wrong derivatives."""
SOLVERS = ("clarabel", "interior-point")


def require(package: str) -> Any:
    """The module `package` of the extra "convex" (`cvxpy`, `cvxpylayers.torch`), imported now.

    Raises:
        PluginError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise PluginError(f"convex programs need {package} ({error}): pip install 'dgpg[convex]'") from error


class ConvexLayer:
    """The solution of a parametrised convex program, batched and differentiable in its parameters.

    With `solver="clarabel"` it takes any convex program. It solves in float64 on the CPU, one instance after
    another, and checks every solution, for the solver returns numbers, and gradients, for infeasible and
    unbounded programs too. Expect milliseconds an instance: solve ahead and remember. Where the solution map has
    a kink, the derivative is one of its sides'.

    With `solver="interior-point"` it takes linear and quadratic programs and hands the batch to
    `dgpg.convex.solve`, on the parameters' device, which is ten times faster and more and whose statuses tell
    what went wrong. A `QuadraticProgram` built without cvxpy is faster still, and keeps penalised rows small.

    A plain callable, no module: a model's `.to()` and `state_dict()` leave it alone. The calls of one layer are
    not to overlap in threads.

        >>> x, p = cp.Variable(3), cp.Parameter(3)
        >>> program = cp.Problem(cp.Minimize(cp.sum_squares(x - p)), [x >= 0, cp.sum(x) == 1])
        >>> nearest = ConvexLayer(program, [p], [x])
        >>> (x,) = nearest(torch.randn(16, 8, 3))  # [16, 8, 3]

    Args:
        problem: A cvxpy problem that follows DPP. Scale it so that its variables are of order one.
        parameters: All its parameters, in the order of the call.
        variables: What a call returns: its variables, or dual variables (shadow prices) of its constraints.
        derivative: Of Clarabel's solution. "lsqr" is iterative, fast, and silently wrong on badly conditioned
            programs (bus-angle DC power flow: by up to 1600 %). "lsmr" is iterative to a smaller residual:
            where powers are minimised it was right to 1e-4 where "lsqr" was 7 % off. "dense" is exact and cubic
            in the program's size. Test against finite differences at the real size.
        tolerance: Largest violation of a constraint by Clarabel, relative to the largest magnitude among its own
            constants and parameters (at least 1).
        solver: "clarabel" or "interior-point".
        solver_args: Settings of the solver: of Clarabel, such as `max_iter`, or those of `dgpg.convex.solve`.

    Raises:
        ValueError: the problem breaks DPP (the message says where) or has other parameters than given.
        ProgramError: the problem is neither linear nor quadratic, and the solver is "interior-point".
        PluginError: cvxpy or cvxpylayers is not installed.
    """

    def __init__(
        self,
        problem: cp.Problem,
        parameters: Sequence[cp.Parameter],
        variables: Sequence[cp.Variable],
        *,
        derivative: Literal["lsqr", "lsmr", "dense"] = "lsqr",
        tolerance: float = 1e-5,
        solver: Literal["clarabel", "interior-point"] = "clarabel",
        solver_args: dict[str, Any] | None = None,
    ) -> None:
        modelling, layers = require("cvxpy"), require("cvxpylayers.torch")
        if solver not in SOLVERS:
            raise ValueError(unknown("solver", solver, SOLVERS))
        if not problem.is_dpp():
            parts = [problem.objective, *problem.constraints]
            culprits = "; ".join(f"'{part}'" for part in parts if not part.is_dcp(dpp=True))
            raise ValueError(f"not convex by cvxpy's rules for parametrised problems (DPP): {culprits}")
        if {p.id for p in parameters} != {p.id for p in problem.parameters()}:
            given, used = ([p.name() for p in group] for group in (parameters, problem.parameters()))
            raise ValueError(f"the problem's parameters are {used}, given were {given}")
        if not parameters:
            raise ValueError("the problem has no parameter, so it has one solution: use problem.solve()")
        self.parameters, self.variables = tuple(parameters), tuple(variables)
        self.derivative, self.solver, self.solver_args = derivative, solver, dict(solver_args or {})
        problem = modelling.Problem(problem.objective, problem.constraints)  # one once solved does not pickle
        self._check = Check(problem, parameters, tolerance)
        # The check takes all primal variables; the layer returns them after the ones asked for.
        ours = require("dgpg.convex.interface").InteriorPoint() if solver == "interior-point" else None
        self._layer = layers.CvxpyLayer(problem, [*parameters], [*variables, *self._check.variables], solver=ours)

    def __call__(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Solve, for one tensor a parameter, and return one tensor a variable.

        Args:
            values: `[..., *parameter.shape]`, floating point. Leading batch dimensions, any number and size
                of them, broadcast against each other.

        Returns:
            `[..., *variable.shape]` in the common type, on the first one's device. No derivative is prepared
            under `torch.no_grad()` or if no value requires one; that is cheaper.

        Raises:
            ValueError: a value has the wrong shape or type, or is not finite; names the parameter.
            SolverError: an instance, named by its place in the batch, is infeasible, unbounded or not solved.
        """
        batch = self._batch(values)
        dtype = reduce(torch.promote_types, (value.dtype for value in values))
        flat = [
            value.to(self._device(values), torch.float64).expand((*batch, *p.shape)).reshape(math.prod(batch), *p.shape)
            for p, value in zip(self.parameters, values, strict=True)
        ]
        if torch.is_grad_enabled() and any(value.requires_grad for value in values):
            solutions = _Solve.apply(self, batch, *flat)  # type: ignore[no-untyped-call]
        else:
            solutions = self.solve(batch, flat)
        device = values[0].device
        shapes = [(*batch, *variable.shape) for variable in self.variables]
        return tuple(s.to(device, dtype).reshape(shape) for s, shape in zip(solutions, shapes, strict=True))

    def solve(self, batch: tuple[int, ...], values: Sequence[Tensor]) -> list[Tensor]:
        """Solutions `[n, *variable.shape]` for float64 values `[n, *parameter.shape]`, n = prod(batch)."""
        if math.prod(batch) == 0:
            return [torch.zeros(0, *variable.shape, dtype=torch.float64) for variable in self.variables]
        if self.solver == "interior-point":
            self._check.parameters_of(batch, [v.detach().cpu().numpy() for v in values])
            solutions = self._layer(*values, solver_args={"batch": batch, **self.solver_args})
            return list(solutions[: len(self.variables)])
        threads = torch.get_num_threads()
        settings = {"solve_method": "Clarabel", "n_jobs_forward": threads, **TOLERANCES, **self.solver_args}
        if torch.is_grad_enabled() and any(value.requires_grad for value in values):
            settings |= {"mode": self.derivative, "n_jobs_backward": threads}
        with _quiet():
            solutions = self._layer(*values, solver_args=settings)
        asked, primal = solutions[: len(self.variables)], solutions[len(self.variables) :]
        self._check(batch, [v.detach().numpy() for v in values], [x.detach().numpy() for x in primal])
        return list(asked)

    def __deepcopy__(self, memo: dict[int, Any]) -> ConvexLayer:
        return cast(ConvexLayer, pickle.loads(pickle.dumps(self)))  # cvxpylayers' own objects refuse deepcopy

    def _device(self, values: Sequence[Tensor]) -> torch.device:
        return values[0].device if self.solver == "interior-point" else torch.device("cpu")

    def _batch(self, values: Sequence[Tensor]) -> tuple[int, ...]:
        if len(values) != len(self.parameters):
            raise ValueError(f"expected {len(self.parameters)} tensors, one a parameter, got {len(values)}")
        leading = list[tuple[int, ...]]()
        for parameter, value in zip(self.parameters, values, strict=True):
            split = value.dim() - len(parameter.shape)
            if split < 0 or tuple(value.shape[split:]) != parameter.shape or not value.is_floating_point():
                raise ValueError(
                    f"parameter '{parameter.name()}' expects a floating point tensor whose shape ends in "
                    f"{parameter.shape}, got {value.dtype} of shape {tuple(value.shape)}"
                )
            if not value.isfinite().all():
                at = tuple((~value.isfinite()).nonzero()[0].tolist())
                raise ValueError(f"parameter '{parameter.name()}' is {value[at].item()} at {at}")
            leading.append(tuple(value.shape[:split]))
        try:
            return tuple(torch.broadcast_shapes(*leading))  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            shapes = ", ".join(f"'{p.name()}' {b}" for p, b in zip(self.parameters, leading, strict=True))
            raise ValueError(f"batch dimensions do not broadcast: {shapes}") from error


class _Solve(torch.autograd.Function):
    """The layer's own derivative on gradients scaled to order one: diffcp takes any below 1e-8 for zero."""

    @staticmethod
    def forward(ctx: Any, layer: ConvexLayer, batch: tuple[int, ...], *values: Tensor) -> tuple[Tensor, ...]:
        needed = ctx.needs_input_grad[2:]
        with torch.enable_grad():
            ctx.values = [v.detach().requires_grad_(need) for v, need in zip(values, needed, strict=True)]
            ctx.solutions = layer.solve(batch, ctx.values)
        return tuple(solution.detach() for solution in ctx.solutions)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if len(gradients[0]) == 0:
            return None, None, *(torch.zeros_like(v) if v.requires_grad else None for v in ctx.values)
        size = torch.stack([g.reshape(len(g), -1).abs().amax(1) for g in gradients]).amax(0)
        size = torch.where(size > 0, size, 1.0)
        scaled = [g / size.reshape(-1, *[1] * (g.dim() - 1)) for g in gradients]
        wanted = [v for v in ctx.values if v.requires_grad]
        with _quiet():
            found = iter(torch.autograd.grad(ctx.solutions, wanted, scaled, retain_graph=True))
        raw = [next(found) if v.requires_grad else None for v in ctx.values]
        return None, None, *(None if g is None else g * size.reshape(-1, *[1] * (g.dim() - 1)) for g in raw)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without cvxpylayers' warning about an interface of numpy 1; the values are right."""
    with warnings.catch_warnings():
        message = "__array__ implementation doesn't accept a copy keyword"
        warnings.filterwarnings("ignore", message, DeprecationWarning)
        yield
