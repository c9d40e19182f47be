"""Odd cases by chance: their rows, their text in one of many ways, and their DC optimum by a program over angles.

The optimum shares nothing with the plugin's way there: it takes the rows, not the text, and angles, not factors.
"""

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Rng = np.random.Generator


@dataclass
class Odd:
    """Rows in MATPOWER's columns; all buses are one island."""

    base: float
    bus: FloatArray
    gen: FloatArray
    branch: FloatArray
    cost: list[list[float]]
    pglib: bool


def odd_case(rng: Rng) -> Odd:
    """Two to six buses: feed-ins, parallel lines, shifters, series capacitors, units off, both ways or fixed."""
    count = int(rng.integers(2, 7))
    bus = np.zeros((count, 13))
    bus[:, 0], bus[:, 1], bus[:, 6] = rng.permutation(np.arange(1, 60))[:count], 1, 1
    bus[:, 2] = np.round(rng.uniform(0, 60, count) * (rng.random(count) < 0.7), 1)
    bus[0, 2] += 5.0
    bus[rng.integers(count), 4] += rng.choice([0.0, 0.0, 7.0])
    if rng.random() < 0.3:  # nearly as much is fed in as is drawn
        bus[-1, 2] -= (bus[:, 2] + bus[:, 4]).sum() - rng.choice([0.5, 5.0])
    for at in rng.choice(count, rng.integers(0, 3)):  # no slack bus, one, or several
        bus[at, 1] = 3
    ends = [(k, int(rng.integers(k))) for k in range(1, count)]
    ends += [tuple(rng.choice(count, 2, replace=False)) for _ in range(rng.integers(0, 4))] + [ends[0]]
    units = int(rng.integers(1, 5))
    gen = np.zeros((units, 21 if rng.random() < 0.5 else 10))
    gen[:, 0], gen[:, 7] = bus[rng.integers(0, count, units), 0], rng.choice([1.0, 1.0, 1.0, 0.0, -1.0], units)
    gen[0, 7], gen[:, 8] = 1, np.round(rng.uniform(40, 250, units))
    gen[:, 9] = gen[:, 8] * rng.choice([0.0, 0.0, 0.0, 0.02, -1.0], units)
    gen[1:, 8] *= rng.choice([1.0, 1.0, 0.0], units - 1)
    gen[:, 8:10] = np.sort(gen[:, 8:10])[:, ::-1]
    takes = rng.random(units) < 0.2
    takes[0] = False
    gen[takes, 8:10] = np.stack([rng.choice([0.0, -5.0], units), -np.round(rng.uniform(10, 60, units))], -1)[takes]
    cost = [_cost(rng) for _ in range(units)]
    width = max(map(len, cost))
    cost = [row + [0.0] * (width - len(row)) for row in cost]
    base = float(rng.choice([100.0, 100.0, 1000.0, 33.3]))
    branch = np.stack([_branch(rng, bus[a, 0], bus[b, 0]) for a, b in ends])
    return Odd(base, bus, gen, branch, cost, bool(rng.random() < 0.3))


def _branch(rng: Rng, one: float, other: float) -> FloatArray:
    row = np.zeros(13)
    row[:2] = (one, other) if rng.random() < 0.5 else (other, one)
    row[2], row[3], row[10] = rng.choice([0.0, 0.02]), rng.uniform(0.02, 0.4) * rng.choice([1.0] * 9 + [-0.4]), 1
    row[5], row[8] = rng.choice([0.0, 0.0, 50.0, 120.0, np.inf]), rng.choice([0.0, 0.0, 1.0, 0.9])
    row[9] = rng.choice([0.0, 0.0, 0.0, 1.0, -2.0])
    row[11:] = [(0, 0), (-360, 360), (-30, 30), (-2, 30), (-400, 25), (-30, 360)][rng.integers(6)]
    return row


def _cost(rng: Rng) -> list[float]:
    linear = float(np.round(rng.uniform(-5, 50), 2))
    kind = int(rng.integers(5))
    if kind == 0:
        return [2, 0, 0, 3, float(np.round(rng.uniform(0, 0.2), 4)), linear, 100]
    if kind < 3:
        return [[2, 0, 0, 2, linear, 0], [2, 5, 0, 4, 0, 0, linear, 3]][kind - 1]
    if kind == 3:
        return [[2, 0, 0, 1, 42], [2, 0, 0, 0]][rng.integers(2)]
    x = np.sort(rng.choice(np.arange(-80.0, 260, 5), int(rng.integers(2, 5)), replace=False))
    y = np.concatenate([[50.0], 50 + np.cumsum(np.diff(x) * np.sort(np.round(rng.uniform(-10, 60, len(x) - 1), 1)))])
    return [1, 0, 0, float(len(x)), *np.stack([x, y], -1).ravel().tolist()]


def text_of(rng: Rng, case: Odd) -> str:
    """The case as a file, numbers, separators, ends of lines and comments by chance."""
    end, owner = rng.choice(["\n", "\r\n", "\r"]), rng.choice(["mpc", "ppc", "s"])
    function = f"function {owner} = {'pglib_opf_' if case.pglib else ''}odd"
    parts = [function, f"% it's a comment{end}%{{{end}{owner}.bus = [1];{end}%}}", f"{owner}.version = '2';"]
    parts.append(f"{owner}.baseMVA = {_number(rng, case.base)};")
    for name, rows in (("bus", case.bus), ("gen", case.gen), ("branch", case.branch), ("gencost", case.cost)):
        gap = rng.choice([" ", "\t", ", ", " , "])
        lines = [gap.join(_number(rng, x) for x in row) for row in rows]
        opened, between, closed = [
            ("[ ", "; ", " ];"),
            (f"=[% head ]{end}"[1:], f";% x [{end}", f"{end}]"),
            (f"[...{end}\t", f", ;{end}\t", f" ... # rest{end}];"),
        ][rng.integers(3)]
        parts.append(f"{owner}.{name} = {opened}{between.join(lines)}{closed}")
    return str(end.join(parts))


def _number(rng: Rng, value: float) -> str:
    if np.isinf(value):
        return str(rng.choice(["Inf", "inf"]))
    plain, long = repr(float(value)), f"{value:.17e}"
    ways = [plain, long, f"({plain})", f"{2 * float(value)!r}/2", long.replace("e", "D")]
    return f"{value:.0f}" if value == int(value) and rng.random() < 0.7 else str(ways[rng.integers(len(ways))])


def optimum(case: Odd) -> float | None:
    """Least cost with constants, $ per hour; None where there is none."""
    at = {int(number): k for k, number in enumerate(case.bus[:, 0])}
    angle, rules, total = cp.Variable(len(at)), [], cp.Constant(0.0)
    fed = [cp.Constant(0.0) for _ in at]
    for row, cost in zip(case.gen, case.cost, strict=True):
        if row[7] > 0:
            output = cp.Variable()
            rules += [output >= row[9], output <= row[8]]
            fed[at[int(row[0])]] += output
            price, more = _price(cost, output)
            total, rules = total + price, rules + more
    for row in case.branch:
        a, b = at[int(row[0])], at[int(row[1])]
        between = angle[a] - angle[b]
        if case.pglib:
            flow, open_at = case.base * row[3] / (row[2] ** 2 + row[3] ** 2) * between, 90
        else:
            flow, open_at = case.base / (row[3] * (row[8] or 1)) * (between - np.deg2rad(row[9])), 360
        fed[a], fed[b] = fed[a] - flow, fed[b] + flow
        rules += [cp.abs(flow) <= row[5]] if 0 < row[5] < np.inf else []
        if (row[11], row[12]) != (0, 0):
            rules += [between >= np.deg2rad(row[11])] if row[11] > -open_at else []
            rules += [between <= np.deg2rad(row[12])] if row[12] < open_at else []
    rules += [fed[k] == row[2] + row[4] for k, row in enumerate(case.bus)]
    found = cp.Problem(cp.Minimize(total), rules)
    found.solve(solver="CLARABEL")
    assert found.status in ("optimal", "infeasible", "optimal_inaccurate", "infeasible_inaccurate"), found.status
    return float(found.value) if found.status.startswith("optimal") else None


def _price(cost: list[float], output: cp.Variable) -> tuple[cp.Expression, list[cp.Constraint]]:
    count = int(cost[3])
    if cost[0] == 2:
        terms = [value * cp.power(output, count - 1 - k) for k, value in enumerate(cost[4 : 4 + count]) if value]
        return sum(terms, cp.Constant(0.0)), []
    x, y = cost[4 : 4 + 2 * count : 2], cost[5 : 4 + 2 * count : 2]
    price = cp.Variable()
    return price, [price >= y[k] + (y[k + 1] - y[k]) / (x[k + 1] - x[k]) * (output - x[k]) for k in range(count - 1)]
