"""Unit commitment of one day: which units run in which hour, at least cost, within the limits of the lines.

A mixed-integer linear program by HiGHS, through SciPy. For every unit with a minimum output above 0 it decides
on, started and stopped (C. Gentile, G. Morales-España and A. Ramos, EURO Journal on Computational Optimization 5,
2017), with minimum up and down times. The day is followed by a day like it: hour 0 comes after the last one.
Ramps are left out. Limits of lines enter once they are violated.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp
from scipy.sparse import csr_array, vstack

from dgpg.errors import DataError, SolverError
from dgpg.files import cache as store
from dgpg_power.commitment.program import Program, StartRules, build, flow_rows
from dgpg_power.network import BoolArray, FloatArray, IntArray, Network

__all__ = ["Commitment", "StartRules", "commit"]

VERSION = 1
"""Changes with the program, so that a cached result of an older one is not used."""
ROUNDS = 40
TOLERANCE = 1e-5
"""Share of its limit by which a flow may exceed it, above the tolerance of the solver."""
OPTIMAL, INFEASIBLE, STOPPED = "optimal", "infeasible", "time limit"
_STATUS = {0: OPTIMAL, 1: STOPPED, 2: INFEASIBLE}


@dataclass(frozen=True, eq=False)
class Commitment:
    """The units that run, T hours.

    Attributes:
        status: "optimal" (within the gap), "infeasible", or "time limit" (the best schedule found, if any).
        on: does the unit run, `[T, N]`; units that need not be switched always do; all False without a schedule.
        output: of the units in the schedule, MW, `[T, N]`; 0 without one.
        cost: of generation and starts, $; inf without a schedule.
        gap: distance to the bound of the solver as a share of the cost; inf without a schedule.
        seconds: time that the solution took; that of the first time if it comes from the cache.
    """

    status: str
    on: BoolArray
    output: FloatArray
    cost: float
    gap: float
    seconds: float


def commit(
    network: Network,
    rules: StartRules,
    load: FloatArray,
    available: FloatArray,
    *,
    gap: float = 0.01,
    time_limit: float = 300.0,
    cache: Path | None = None,
) -> Commitment:
    """Schedule the units of one day.

    Args:
        network: the grid.
        rules: minimum up and down times, and costs of starts.
        load: MW at each bus, `[T, nb]`.
        available: largest output of the units with a minimum of 0, MW, `[T, N]`; others have their maximum.
        gap: relative gap at which the solver stops.
        time_limit: seconds for one solution; several may be needed until all lines are within their limits.
        cache: folder of earlier results; `dgpg.files.cache.folder("power")` if None.
    """
    load, available = np.asarray(load, np.float64), np.asarray(available, np.float64)
    _check_inputs(network, rules, load, available)
    folder = store.folder("power") if cache is None else cache
    path = folder / f"commitment-{_key(network, rules, load, available, gap)}.npz"
    if (cached := _read(path, (len(load), network.num_units))) is not None:
        return cached
    began = time.monotonic()
    program = build(network, rules, load, available)
    result = _solve_within_lines(network, program, load, gap, time_limit)
    found = _commitment(network, program, result, len(load), time.monotonic() - began)
    if found.status != STOPPED:  # a faster machine might find more
        store.write(path, vars(found))
    return found


def _check_inputs(network: Network, rules: StartRules, load: FloatArray, available: FloatArray) -> None:
    hours = len(load)
    wanted: dict[str, tuple[int, ...]] = {"load": (hours, network.num_buses), "available": (hours, network.num_units)}
    found: dict[str, tuple[int, ...]] = {"load": load.shape, "available": available.shape}
    for field in ("min_up", "min_down", "cost"):
        wanted[field], found[field] = (network.num_units,), np.shape(getattr(rules, field))
    for field, shape in wanted.items():
        if found[field] != shape:
            raise DataError(f"{network.name}: {field} has the shape {found[field]}, expected {shape}")
    if not hours or not (np.isfinite(load).all() and np.isfinite(available).all()):
        raise DataError(f"{network.name}: load and available must be finite, for one hour at least")


def _solve_within_lines(
    network: Network, program: Program, load: FloatArray, gap: float, time_limit: float
) -> OptimizeResult:
    """Solve with the limits of those lines that a solution violated, first without whole numbers, then with them."""
    hours, finite = len(load), np.flatnonzero(np.isfinite(network.reach))
    where = np.repeat(np.arange(hours), len(finite)), np.tile(finite, hours)
    rows, constant = flow_rows(program, network, load, where)
    least, most, reach = (x[where[1]] for x in (network.flow_min, network.flow_max, network.reach))
    active = np.zeros(len(reach), bool)
    whole = np.zeros(len(program.whole), bool)
    for _ in range(ROUNDS):
        room = (least - constant)[active], (most - constant)[active]
        result = _solve(program, whole, rows[active], room, gap, time_limit)
        if result.x is None:
            return result
        flow = rows @ result.x + constant
        over = (np.maximum(flow - most, least - flow) > TOLERANCE * reach) & ~active
        if over.any():
            active |= over
        elif whole.any() or not program.whole.any():
            return result
        else:
            whole = program.whole
    raise SolverError(f"{network.name}: unit commitment still overloads lines after {ROUNDS} rounds: check the limits")


def _solve(
    program: Program,
    whole: BoolArray,
    rows: csr_array,
    room: tuple[FloatArray, FloatArray],
    gap: float,
    most: float,
) -> OptimizeResult:
    """The program with more rows, between the values of `room`."""
    low, high = (np.concatenate(pair) for pair in zip((program.low, program.high), room, strict=True))
    result = milp(
        program.cost,
        integrality=whole.astype(np.int64),
        bounds=Bounds(0.0, program.bound),
        constraints=LinearConstraint(vstack([program.rows, rows], format="csc"), low, high),
        options={"mip_rel_gap": gap, "time_limit": most},
    )
    if result.status not in _STATUS:
        raise SolverError(f"unit commitment: HiGHS stopped without a result ({result.message})")
    return result


def _commitment(network: Network, program: Program, result: OptimizeResult, hours: int, seconds: float) -> Commitment:
    status = _STATUS[result.status]
    if result.x is None:
        nothing = np.zeros((hours, network.num_units))
        return Commitment(status, nothing > 0, nothing, np.inf, np.inf, seconds)
    on = np.ones((hours, network.num_units), bool)
    on[:, program.switched] = result.x[: hours * len(program.switched)].reshape(hours, -1) > 0.5
    output = (program.output @ result.x).reshape(hours, -1) + program.base
    gap = float(result.mip_gap or 0.0)
    return Commitment(status, on, output, float(result.fun) + program.constant, gap, seconds)


def _key(network: Network, rules: StartRules, load: FloatArray, available: FloatArray, gap: float) -> str:
    """Hash of everything that the result depends on."""
    arrays: tuple[FloatArray | IntArray, ...] = (
        *(network.line_from, network.line_to, network.susceptance, network.shift_flow),
        *(network.flow_min, network.flow_max, network.unit_bus),
        *(network.unit_min, network.unit_max, network.cost_constant, network.cost_linear, network.cost_quadratic),
        *(network.kink, network.kink_slope, rules.min_up, rules.min_down, rules.cost, load, available),
    )
    return store.key(f"{VERSION} {gap!r}", arrays)


def _read(path: Path, shape: tuple[int, int]) -> Commitment | None:
    """The result in a cache file; None if there is none or it is damaged."""
    data = store.read(path, (field.name for field in fields(Commitment)))
    wanted = {"on": shape, "output": shape}
    if data is None or any(values.shape != wanted.get(name, ()) for name, values in data.items()):
        return None
    numbers = (float(data["cost"]), float(data["gap"]), float(data["seconds"]))
    return Commitment(str(data["status"]), data["on"], data["output"], *numbers)
