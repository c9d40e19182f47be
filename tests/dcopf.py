"""DC optimal power flow as a quadratic program, for tests and benchmarks of `dgpg.convex`.

min sum c1 p + c2 p^2 over outputs p, with sum p = sum d, |PTDF (M p - d)| <= limit and pmin <= p <= pmax. Powers in MW,
costs in $/h. Grids are PYPOWER's or files of PGLib-OPF below `$DGPG_DATA/power/pglib`.
"""

import importlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dgpg.convex import QuadraticProgram

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("DGPG_DATA", ROOT.parent / "shared" / "data")) / "power" / "pglib"


@dataclass(frozen=True, eq=False)
class Grid:
    """One grid with N buses, G dispatchable units and L lines."""

    ptdf: Tensor
    """Power transfer distribution factors, `[L, N]`."""
    units: Tensor
    """M: 1 where a unit stands at a bus, `[N, G]`."""
    limit: Tensor
    """MW, `[L]`, perhaps infinite."""
    pmin: Tensor
    """MW, `[G]`."""
    pmax: Tensor
    """MW, `[G]`."""
    linear: Tensor
    """c1, $/MWh, `[G]`."""
    square: Tensor
    """c2, $/MW^2h, `[G]`."""
    constant: float
    """$/h."""
    demand: Tensor
    """Load and shunt conductance, MW, `[N]`."""

    def program(self, demand: Tensor, penalty: float | None = None) -> QuadraticProgram:
        """The program at a demand `[*, N]`; with a price of overload in $/MWh, lines are soft."""
        shift, flow = self.ptdf @ self.units, demand @ self.ptdf.mT
        return QuadraticProgram(
            linear=self.linear,
            quadratic=torch.diag(2 * self.square) if self.square.any() else None,
            equality_matrix=torch.ones_like(self.pmin)[None],
            equality_vector=demand.sum(-1, keepdim=True),
            inequality_matrix=torch.cat([shift, -shift]),
            inequality_bound=torch.cat([self.limit + flow, self.limit - flow], -1),
            lower=self.pmin,
            upper=self.pmax,
            penalty=None if penalty is None else torch.full((2 * len(self.limit),), penalty).to(self.limit),
        )

    def demands(self, count: int, seed: int = 0) -> Tensor:
        """Demands at 85 to 100 % of the grid's, each bus off by 3 %, `[count, N]`."""
        seeded = torch.Generator().manual_seed(seed)
        level = 0.85 + 0.15 * torch.rand(count, 1, generator=seeded, dtype=torch.float64)
        return self.demand * level * (1 + 0.03 * torch.randn(count, len(self.demand), generator=seeded).double())


def pglib(name: str) -> Grid:
    """A grid of PGLib-OPF, such as `case14_ieee__api`."""
    text = (FOLDER / f"pglib_opf_{name}.m").read_text()
    found = re.search(r"mpc\.baseMVA\s*=\s*([\d.]+)", text)
    assert found is not None
    return grid(float(found.group(1)), *(_table(text, table) for table in ("bus", "gen", "branch", "gencost")))


def pypower(name: str) -> Grid:
    """A grid of PYPOWER, such as `case14`."""
    case: Any = getattr(importlib.import_module(f"pypower.{name}"), name)()
    return grid(case["baseMVA"], case["bus"], case["gen"], case["branch"], case["gencost"])


def published() -> dict[str, float]:
    """DC optimum of each PGLib-OPF case in $/h, of five significant digits, from the library's own table."""
    rows = [line.split(",") for line in (FOLDER / "baseline_public.csv").read_text().splitlines()[1:]]
    return {row[1].removeprefix("pglib_opf_"): float(row[4]) for row in rows}


def grid(base: float, bus: Any, gen: Any, branch: Any, cost: Any) -> Grid:
    """From the tables of a MATPOWER case, whose format they have."""
    place = {int(number): k for k, number in enumerate(bus[:, 0])}
    lines, on = branch[branch[:, 10] > 0], (gen[:, 7] > 0) & (gen[:, 8] > 0)  # units of pmax = 0 are condensers
    susceptance = lines[:, 3] / (lines[:, 2] ** 2 + lines[:, 3] ** 2)
    incidence = np.zeros((len(lines), len(bus)))
    incidence[range(len(lines)), [place[int(b)] for b in lines[:, 0]]] = 1
    incidence[range(len(lines)), [place[int(b)] for b in lines[:, 1]]] = -1
    flow = susceptance[:, None] * incidence
    ptdf = np.zeros_like(flow)
    ptdf[:, 1:] = np.linalg.solve((incidence.T @ flow)[1:, 1:], flow[:, 1:].T).T
    units = np.zeros((len(bus), on.sum()))
    units[[place[int(b)] for b in gen[on, 0]], range(on.sum())] = 1
    price = cost[: len(gen)][on, 4:]
    price = np.hstack([np.zeros((len(price), 3)), price])[:, -3:] if price.shape[1] < 3 else price[:, :3]
    angle = np.deg2rad(np.abs(lines[:, 11:13]).min(1)) if (lines[:, 11:13] % 360).any() else np.inf
    limit = np.minimum(np.where(lines[:, 5] > 0, lines[:, 5], np.inf), angle * susceptance * base)
    parts = (ptdf, units, limit, gen[on, 9], gen[on, 8], price[:, 1], price[:, 0])
    tensors = [torch.from_numpy(np.array(part, dtype=np.float64)) for part in parts]
    return Grid(*tensors, float(price[:, 2].sum()), torch.from_numpy(bus[:, 2] + bus[:, 4]))


def _table(text: str, name: str) -> Any:
    found = re.search(rf"mpc\.{name}\s*=\s*\[(.*?)\];", text, re.DOTALL)
    assert found is not None
    rows = [re.sub(r"%.*|;", "", line).split() for line in found.group(1).splitlines()]
    return np.array([row for row in rows if row], dtype=np.float64)
