"""Milliseconds an instance and gradient error of differentiable solvers on DC optimal power flow.

    python benchmarks/convex.py --threads 1 2

PGLib-OPF's congested (api) cases, a batch of demands, loss = a random weighting of the outputs, gradient
in the demand. The error is that of derivatives along random directions against central differences of HiGHS' vertices,
over instances: the norm of the error over the norm of the differences. `clarabel` is cvxpylayers' default back end
(diffcp) with Clarabel, differentiated by lsqr (its default) or dense; `interface` is our solver in its place.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import cvxpy as cp
import highspy
import numpy as np
import torch
from common import emit
from cvxpylayers.torch import CvxpyLayer
from publishing import published
from torch import Tensor

from dgpg.convex import require_optimal, solve
from dgpg.convex.interface import InteriorPoint
from dgpg.convex.layer import TOLERANCES

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import dcopf

STEP = 1e-3
"""MW, of the differences."""
UNIT = 100.0
"""MW: Clarabel, in MW and at tolerances that make derivatives right, returns points that break the limits."""


class Method(Protocol):
    """One solver on one grid."""

    def forward(self, demand: Tensor) -> Tensor:
        """Outputs `[B, G]` of demands `[B, N]`; differentiable if `backward` is None."""
        ...


class Direct:
    """`dgpg.convex.solve`."""

    def __init__(self, grid: dcopf.Grid, penalty: float | None = None) -> None:
        self.grid, self.penalty = grid, penalty

    def forward(self, demand: Tensor) -> Tensor:
        """See `Method`."""
        return require_optimal(solve(self.grid.program(demand, self.penalty))).x


class Layer:
    """cvxpylayers with a solver of its own or ours."""

    def __init__(self, grid: dcopf.Grid, solver: Any = None, **settings: Any) -> None:
        x, load, total = cp.Variable(len(grid.pmin)), cp.Parameter(len(grid.limit)), cp.Parameter()
        flow = (grid.ptdf @ grid.units).numpy() @ x - load
        low, high, limit = ((t / UNIT).numpy() for t in (grid.pmin, grid.pmax, grid.limit))
        rows = [cp.sum(x) == total, flow <= limit, flow >= -limit, x >= low, x <= high]  # abs would add variables
        problem = cp.Problem(cp.Minimize(grid.linear.numpy() @ x), rows)
        self.layer = CvxpyLayer(problem, [load, total], [x], solver=solver)
        self.grid, self.settings = grid, settings

    def forward(self, demand: Tensor) -> Tensor:
        """See `Method`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # cvxpylayers' numpy 1 interface
            (x,) = self.layer(demand @ self.grid.ptdf.mT / UNIT, demand.sum(-1) / UNIT, solver_args=self.settings)
        return UNIT * x


def clarabel(grid: dcopf.Grid, mode: str) -> Layer:
    """The default back end, in as many threads as torch has."""
    jobs = torch.get_num_threads()
    return Layer(grid, solve_method="Clarabel", mode=mode, n_jobs_forward=jobs, n_jobs_backward=jobs, **TOLERANCES)


class Highs:
    """One HiGHS model, started each time from the last basis. No gradient."""

    def __init__(self, grid: dcopf.Grid) -> None:
        self.grid = grid
        self.rows = np.vstack([np.ones((1, len(grid.pmin))), (grid.ptdf @ grid.units).numpy()])
        self.sums = np.vstack([np.ones((1, grid.ptdf.shape[1])), grid.ptdf.numpy()]).T.copy()
        self.slack = np.concatenate([[0.0], grid.limit.numpy()])
        self.held = list(range(len(self.rows)))
        self.highs = self.model(self.rows)

    def model(self, rows: np.ndarray) -> highspy.Highs:
        """The program with these rows, whose bounds are not known yet."""
        grid, (count, n) = self.grid, rows.shape
        highs, lp = highspy.Highs(), highspy.HighsLp()
        # Before a warm start HiGHS would not presolve anyway.
        for option, value in (("output_flag", False), ("threads", 1), ("presolve", "off")):
            highs.setOptionValue(option, value)
        lp.num_col_, lp.num_row_ = n, count
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = grid.linear.numpy(), grid.pmin.numpy(), grid.pmax.numpy()
        lp.row_lower_ = lp.row_upper_ = np.zeros(count)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.arange(count + 1) * n
        lp.a_matrix_.index_, lp.a_matrix_.value_ = np.tile(np.arange(n), count), rows.flatten()
        highs.passModel(lp)
        return highs

    def forward(self, demand: Tensor) -> Tensor:
        """See `Method`."""
        needed = demand.numpy() @ self.sums
        low, high = needed - self.slack, needed + self.slack
        return torch.from_numpy(np.stack([self.one(low[k], high[k]) for k in range(len(demand))]))

    def one(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Outputs `[G]` for bounds of all rows."""
        places = np.arange(len(self.held), dtype=np.int32)
        self.highs.changeRowsBounds(len(places), places, low[self.held], high[self.held])
        return self.solved()

    def solved(self) -> np.ndarray:
        """The optimum, from the last basis on."""
        self.highs.run()
        if self.highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError(f"HiGHS: {self.highs.getModelStatus()}")
        return np.array(self.highs.getSolution().col_value)


class Binding(Highs):
    """The same with the balance alone at first: a line is added when an optimum first breaks its limit, and stays."""

    WITHIN = 1e-6
    """MW by which a limit may be broken, HiGHS' own tolerance in these units."""

    def __init__(self, grid: dcopf.Grid) -> None:
        super().__init__(grid)
        self.held = [0]
        self.highs = self.model(self.rows[:1])

    def one(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Outputs `[G]` for bounds of all rows, within all of them."""
        found, columns = super().one(low, high), np.arange(self.rows.shape[1], dtype=np.int32)
        while True:
            flow = self.rows @ found
            broken = np.flatnonzero((flow > high + self.WITHIN) | (flow < low - self.WITHIN))
            if not len(broken):
                return found
            for row in broken.tolist():
                self.highs.addRow(low[row], high[row], len(columns), columns, self.rows[row])
                self.held.append(row)
            found = self.solved()


class Proxqp:
    """ProxQP's dense solver and its own derivative (proxsuite, optional)."""

    def __init__(self, grid: dcopf.Grid) -> None:
        from proxsuite import proxqp

        self.grid, self.proxqp = grid, proxqp
        n = len(grid.pmin)
        self.rows = np.vstack([(grid.ptdf @ grid.units).numpy(), np.eye(n)])

    def forward(self, demand: Tensor) -> Tensor:
        """See `Method`."""
        return _Proxqp.apply(demand, self)  # type: ignore[no-any-return]

    def batch(self, demand: Tensor) -> Any:
        """One model an instance."""
        flow, grid, n = (demand @ self.grid.ptdf.mT).numpy(), self.grid, len(self.grid.pmin)
        qps = self.proxqp.dense.BatchQP()
        for k in range(len(demand)):
            qp = qps.init_qp_in_place(n, 1, len(self.rows))
            qp.settings.eps_abs, qp.settings.eps_rel, qp.settings.max_iter = 1e-9, 0.0, 10_000
            # At its own threshold, 1e-4, it calls all of these infeasible.
            qp.settings.eps_primal_inf = qp.settings.eps_dual_inf = 1e-14
            low = np.concatenate([flow[k] - grid.limit.numpy(), grid.pmin.numpy()])
            high = np.concatenate([flow[k] + grid.limit.numpy(), grid.pmax.numpy()])
            total = demand[k].sum().numpy()[None]
            qp.init(np.zeros((n, n)), grid.linear.numpy(), np.ones((1, n)), total, self.rows, low, high)
        return qps


class _Proxqp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, demand: Tensor, method: Proxqp) -> Tensor:
        ctx.qps, ctx.method = method.batch(demand.detach()), method
        method.proxqp.dense.solve_in_parallel(ctx.qps, torch.get_num_threads())
        solved = [ctx.qps.get(k) for k in range(len(demand))]
        bad = sum(qp.results.info.status != method.proxqp.PROXQP_SOLVED for qp in solved)
        if bad:
            warnings.warn(f"ProxQP left {bad} of {len(demand)} instances unsolved", stacklevel=1)
        return torch.from_numpy(np.stack([np.array(qp.results.x) for qp in solved]))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        method, count = ctx.method, len(gradient)
        lines, dense = len(method.grid.limit), method.proxqp.dense
        losses = dense.VectorLossDerivatives()
        for g in gradient.numpy():
            losses.append(np.concatenate([g, np.zeros(1 + len(method.rows))]))
        dense.solve_backward_in_parallel(
            num_threads=torch.get_num_threads(), qps=ctx.qps, loss_derivatives=losses, eps=1e-9
        )
        parts = [ctx.qps.get(k).model.backward_data for k in range(count)]
        total = torch.tensor(np.stack([np.array(p.dL_db) for p in parts]))
        flow = torch.tensor(np.stack([(np.array(p.dL_dl) + np.array(p.dL_du))[:lines] for p in parts]))
        return flow @ method.grid.ptdf + total, None


def timed(call: Callable[[], Any], repeats: int, clock: str) -> tuple[float, Any]:
    """Least time of some calls, and the last result; a call of more than 3 s is not repeated."""
    now = {"wall": time.perf_counter, "cpu": time.process_time}[clock]
    best = math.inf
    for _ in range(repeats):
        start = now()
        result = call()
        best = min(best, now() - start)
        if best > 3:
            break
    return best, result


def derivatives(grid: dcopf.Grid, demand: Tensor, along: Tensor, weight: Tensor) -> Tensor:
    """Central differences of the loss along a direction in each instance, `[B]`."""
    exact = Highs(grid)
    ends = [exact.forward(demand + sign * STEP * along) for sign in (1, -1)]
    return ((ends[0] - ends[1]) * weight).sum(-1) / (2 * STEP)


def measure(method: Method, grid: dcopf.Grid, count: int, repeats: int, clock: str) -> dict[str, float]:
    """Forward and backward in ms an instance, error of the gradient; the forward alone where there is none."""
    seeded = torch.Generator().manual_seed(0)
    demand = grid.demands(count)
    weight = torch.randn(count, len(grid.pmin), generator=seeded, dtype=torch.float64)
    along = torch.randn(demand.shape, generator=seeded, dtype=torch.float64) * (grid.demand > 0)
    leaf = demand.clone().requires_grad_(not isinstance(method, Highs))
    seconds, x = timed(lambda: method.forward(leaf), repeats, clock)
    row = {"forward": 1e3 * seconds / count}
    if not x.requires_grad:
        return row
    back, (gradient,) = timed(lambda: torch.autograd.grad(x, leaf, weight, retain_graph=True), repeats, clock)
    some = slice(0, 64)
    expected = derivatives(grid, demand[some], along[some], weight[some])
    error = ((gradient * along).sum(-1)[some] - expected).norm() / expected.norm()
    return row | {"backward": 1e3 * back / count, "error": float(error)}


def methods() -> dict[str, Callable[[dcopf.Grid], Method]]:
    """Names and constructors; ProxQP if it is installed."""
    found: dict[str, Callable[[dcopf.Grid], Method]] = {
        "direct": Direct,
        "direct, soft lines": lambda grid: Direct(grid, penalty=1e5),
        "interface": lambda grid: Layer(grid, InteriorPoint()),
        "HiGHS, warm": Highs,
        "clarabel, lsqr": lambda grid: clarabel(grid, "lsqr"),
        "clarabel, dense": lambda grid: clarabel(grid, "dense"),
    }
    if importlib.util.find_spec("proxsuite"):
        found["ProxQP"] = Proxqp
    return found


def main() -> None:
    """One JSON line a case, number of threads and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", type=int, default=[14, 30, 57, 118])
    parser.add_argument("--methods", nargs="+", default=list(methods()), choices=list(methods()))
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu on a busy machine, one thread")
    options = parser.parse_args()
    for case in options.cases:
        grid = dcopf.pglib(f"case{case}_ieee__api")
        for threads in options.threads:
            torch.set_num_threads(threads)
            for name in options.methods:
                row = measure(methods()[name](grid), grid, options.batch, options.repeats, options.clock)
                emit({"case": case, "threads": threads, "method": name, **row})


if __name__ == "__main__":
    published(main)
