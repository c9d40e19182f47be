"""Write a case as a MATPOWER file that `read_matpower` reads back number for number."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from dgpg_power.network import Network

from .branch import ANGLE_MAX, ANGLE_MIN, RATE
from .build import GS, PD, PMAX, PMIN, kept_rows, to_network
from .case import Case, Matrix

QD = 3
"""Column of the reactive load in mpc.bus, from 0."""
Row = tuple[float, ...]


def with_network(case: Case, network: Network) -> Case:
    """The case with loads, line limits, costs and outputs' limits of a network that was made of it and then changed.

    Where a limit changed, rate A says it and the angle limits are taken off, or the angle limits say it where it
    differs by direction. A least output that was relaxed stays that of the case.
    """
    kept, made = kept_rows(case), to_network(case)
    bus, branch = [list(row) for row in case.bus.rows], [list(row) for row in case.branch.rows]
    cost, gen = [*case.gencost.rows], [list(row) for row in case.gen.rows]
    for b, row in enumerate(kept.bus):
        if network.load[b] != made.load[b]:
            for column in (PD, QD, GS):
                bus[row][column] *= network.load[b] / made.load[b]
    changed = (network.flow_min != made.flow_min) | (network.flow_max != made.flow_max)
    for line in np.flatnonzero(changed):
        row = branch[kept.branch[line]]
        row[RATE], row[ANGLE_MIN], row[ANGLE_MAX] = _limits(network, int(line))
    for n, row in enumerate(kept.gen):
        if _cost(network, n) != _cost(made, n):
            model, *rest = _cost(network, n)
            cost[row] = (model, *cost[row][1:3], *rest)
        if network.unit_max[n] != made.unit_max[n]:
            gen[row][PMAX] = network.unit_max[n]
        if network.unit_min[n] not in (made.unit_min[n], made.relaxed().unit_min[n]):
            gen[row][PMIN] = network.unit_min[n]
    width = max(map(len, cost))
    return replace(
        case,
        bus=_replaced(case.bus, bus),
        gen=_replaced(case.gen, gen),
        branch=_replaced(case.branch, branch),
        gencost=_replaced(case.gencost, [(*row, *(0.0,) * (width - len(row))) for row in cost]),
    )


def matpower_text(case: Case, name: str) -> str:
    """The file of a case, called `name` where MATPOWER asks for a name.

    The name says by which convention `read_matpower` takes it.
    """
    plain = re.sub("[^0-9A-Za-z_]", "_", name).removeprefix("pglib_opf_")
    first = "pglib_opf_" if case.flow == "pglib" else "" if plain[:1].isalpha() else "case_"
    parts = [
        f"function mpc = {first}{plain}",
        "mpc.version = '2';",
        f"mpc.baseMVA = {_number(case.base_mva)};",
        *(_matrix(matrix) for matrix in (case.bus, case.gen, case.branch, case.gencost)),
    ]
    for field, words in (("gen_name", case.unit_name), ("gentype", case.unit_kind)):
        if words:
            quoted = ("'" + word.replace("'", "''") + "'" for word in words)
            parts.append(_block(f"mpc.{field} = {{", quoted, "};"))
    return "\n".join(parts) + "\n"


def _limits(network: Network, line: int) -> tuple[float, float, float]:
    """Rate A, angmin and angmax that give the line its limits.

    Rate A says the wider of two, as an angle may be too far to count as a limit.
    """
    low, high = network.flow_min[line], network.flow_max[line]
    wider = max(-low, high)
    rate = float(wider) if np.isfinite(wider) else 0.0
    if low == -high:
        return rate, 0.0, 0.0
    ends = np.array([-np.inf if -low == wider else low, np.inf if high == wider else high])
    scale = network.susceptance[line] * network.base_mva
    angles = np.rad2deg(np.sort((ends - network.shift_flow[line]) / scale))
    angle_min, angle_max = np.clip(angles, -360.0, 360.0).tolist()
    return rate, angle_min, angle_max


def _replaced(matrix: Matrix, rows: Iterable[Iterable[float]]) -> Matrix:
    """A matrix with other numbers; it stands in no file yet, so its rows have no lines."""
    return Matrix(matrix.where, matrix.name, tuple(tuple(map(float, row)) for row in rows))


def _cost(network: Network, n: int) -> Row:
    """A row of gencost without the costs of starts: model 2, a polynomial, or model 1, points."""
    steep = network.kink_slope[n] > 0
    if not steep.any():
        return (2.0, 3.0, *(float(x[n]) for x in (network.cost_quadratic, network.cost_linear, network.cost_constant)))
    low, high = network.unit_min[n], network.unit_max[n]
    points = [low, *(k for k in network.kink[n][steep] if low < k < high), max(high, low + 1.0)]
    values = [float(network.cost(np.full(network.num_units, x))[n]) for x in points]
    return (1.0, float(len(points)), *(float(x) for pair in zip(points, values, strict=True) for x in pair))


def _matrix(matrix: Matrix) -> str:
    return _block(f"{matrix.name} = [", ("\t".join(map(_number, row)) for row in matrix.rows), "];")


def _block(head: str, rows: Iterable[str], tail: str) -> str:
    return "\n".join([head, *(f"\t{row};" for row in rows), tail])


def _number(value: float) -> str:
    """Shortest text that reads back as the same number."""
    return repr(int(value)) if value == int(value if np.isfinite(value) else 0) else repr(float(value))
