"""A trace on the simulator's clock: how long a step is, how fast jobs come, and which windows episodes show.

Run times are the trace's, rounded up to whole steps. What is scaled, so that the load is what was asked for, is how
fast jobs come: every time between two arrivals, by one factor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import floor, log10

import numpy as np

from dgpg.errors import ConfigError, DataError
from dgpg_cloud.config import Config
from dgpg_cloud.workload import CLOSE, FloatArray, IntArray, Pool, steps_on, with_slots

ROUNDING = 0.05
"""Work that rounding run times up may add, as a share: the step is chosen so."""
WINDOWS = 32
"""Episodes that do not overlap which the step leaves room for: as many as an evaluation plays by default."""
SPARSE = 0.1
"""Windows with fewer arrivals than this part of what a job sees around it are not shown: holes in the recording."""
USUAL = 0.99
"""Quantile of the gaps between arrivals; longer ones are holes, and are not counted when jobs a step are."""
FINEST = 2**30
"""Steps that a job can run at most."""


@dataclass(frozen=True)
class Fleet:
    """Machines as a sum: capacity by speed."""

    permille: IntArray
    """Distinct speeds, `[S]`."""
    capacity: FloatArray
    """Of the machines of each speed, run slots last, `[S, R + 1]`."""

    @classmethod
    def of(cls, capacity: IntArray, permille: IntArray) -> Fleet:
        """From machines `[M, R + 1]`, run slots last."""
        speeds, group = np.unique(permille, return_inverse=True)
        total = np.zeros((len(speeds), capacity.shape[1]))
        np.add.at(total, group.reshape(-1), capacity)
        return cls(speeds, total)

    @property
    def share(self) -> FloatArray:
        """Of all capacity, by speed, `[S, R + 1]`; jobs land on machines in proportion to it."""
        result: FloatArray = self.capacity / np.maximum(self.capacity.sum(0), 1e-9)
        return result


@dataclass(frozen=True, eq=False)
class Replay:
    """A trace's pool on the clock of the simulator."""

    step_s: float
    """Seconds of a step."""
    pace: float
    """How many times as fast jobs come as they did."""
    base_steps: IntArray
    """Whole steps of each row at speed 1, `[J]`."""
    arrival: IntArray
    """Step in which each row comes, from the start of the used part; negative before it, `[J]`, ascending."""
    starts: IntArray
    """Steps at which an episode may start."""

    def apart(self, horizon: int) -> IntArray:
        """Starts of windows that share no arrival, as many as there are, in an order that mixes early and late."""
        found = [int(self.starts[0])]
        while (at := np.searchsorted(self.starts, found[-1] + horizon + 1)) < len(self.starts):
            found.append(int(self.starts[at]))
        return np.random.default_rng(0).permutation(np.array(found))


def whole_steps(duration_s: FloatArray, step_s: float) -> IntArray:
    """Steps of a run time, rounded up; a quotient that is whole but for the last bits is that whole."""
    return np.maximum(np.ceil(duration_s / step_s * (1 - 1e-12)), 1).astype(np.int64)


def work(pool: Pool, fleet: Fleet, step_s: float) -> FloatArray:
    """Work of the used rows on these machines in steps of `step_s` over that of the trace, by resource, `[R]`."""
    demand, duration = pool.demand[pool.first :], pool.duration[pool.first :]
    base, asked = whole_steps(duration, step_s), demand.T @ duration
    played, exact = np.zeros(len(asked)), np.zeros(len(asked))
    for permille, share in zip(fleet.permille, fleet.share[:, :-1], strict=True):
        played += share * (demand.T @ steps_on(base, permille)) * step_s
        exact += share * asked * 1000 / permille
    return np.divide(played, exact, out=np.ones(len(asked)), where=exact > 0)


def coarsest_step(pool: Pool, fleet: Fleet) -> float:
    """Seconds: the longest step whose rounding adds less than ROUNDING to the work of any resource."""
    low, high = float(pool.duration.min()) / 1000, 2 * float(pool.duration.max())
    low = max(low, float(pool.duration.max()) / FINEST)
    for _ in range(25):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if work(pool, fleet, middle).max() < 1 + ROUNDING else (low, middle)
    return low


def in_use(replay: Replay, pool: Pool, fleet: Fleet, horizon: int) -> FloatArray:
    """Share of each capacity, run slots last, that jobs hold if none waits: mean over windows, `[R + 1]`."""
    end = int(replay.starts[-1]) + horizon
    shown = np.zeros(end + 1)
    np.add.at(shown, replay.starts, 1.0)
    np.add.at(shown, replay.starts + horizon, -1.0)
    until = np.concatenate([[0.0], shown.cumsum()[:end].cumsum()])  # steps shown before step t, `[end + 1]`
    demand = with_slots(pool.demand)
    came, held = until[replay.arrival.clip(0, end)], np.zeros(demand.shape[1])
    for permille, share in zip(fleet.permille, fleet.share, strict=True):
        gone = until[(replay.arrival + steps_on(replay.base_steps, permille)).clip(0, end)]
        held += share * (demand.T @ (gone - came))
    total = fleet.capacity.sum(0) * until[-1]
    result: FloatArray = np.divide(held, total, out=np.zeros(len(held)), where=total > 0)
    return result


def profile(replay: Replay, pool: Pool, fleet: Fleet, steps: int) -> FloatArray:
    """Share of each capacity, run slots last, that jobs hold if none waits: by step, `[steps, R + 1]`."""
    demand = with_slots(pool.demand)
    came, change = replay.arrival.clip(0, steps), np.zeros((steps + 1, demand.shape[1]))
    for permille, share in zip(fleet.permille, fleet.share, strict=True):
        gone = (replay.arrival + steps_on(replay.base_steps, permille)).clip(0, steps)
        for r, asked in enumerate(demand.T):
            change[:, r] += share[r] * (np.bincount(came, asked, steps + 1) - np.bincount(gone, asked, steps + 1))
    result: FloatArray = change[:steps].cumsum(0) / np.maximum(fleet.capacity.sum(0), 1e-9)
    return result


def lay(pool: Pool, horizon: int, step_s: float, pace: float) -> Replay | None:
    """The pool at this pace in steps of this length; None if no episode fits into its used part."""
    assert pool.submit is not None  # a trace's pool has times
    scaled = (pool.submit - pool.submit[pool.first]) / (pace * step_s)
    arrival = np.floor(scaled).astype(np.int64)
    possible = int(scaled[-1]) - horizon
    if possible < 1:
        return None
    came = np.bincount(arrival[pool.first :], minlength=possible + horizon + 1).cumsum()
    count = came[horizon : horizon + possible] - np.concatenate([[0], came[: possible - 1]])
    starts = np.flatnonzero(count >= max(SPARSE * (count * count).sum() / max(count.sum(), 1), 1))
    return Replay(step_s, pace, whole_steps(pool.duration, step_s), arrival, starts) if len(starts) else None


def replay(config: Config, pool: Pool, fleet: Fleet) -> Replay:
    """Step and pace as they are set; else the step as docs/cloud.md says, and the pace that gives the load.

    Raises:
        DataError: all jobs come at once.
        ConfigError: no pace gives the load, or the work is not that of the trace.
    """
    work_, horizon = config.workload, config.horizon
    assert pool.submit is not None
    span = float(pool.submit[-1] - pool.submit[pool.first])
    if span <= 0:
        raise DataError(
            f"{work_.trace}: all {len(pool.submit) - pool.first} jobs of the used part come at the same moment, "
            "expected times of submission that differ: check the column of times, or use more of the trace "
            "(workload.start, workload.end)"
        )
    coarsest = coarsest_step(pool, fleet) if work_.step is None else work_.step
    gap = np.diff(pool.submit[pool.first :])
    busy = float(np.minimum(gap, np.quantile(gap, USUAL)).sum()) or span
    often = work_.arrivals * config.num_agents / (len(gap) + 1)

    def step_at(pace: float) -> float:
        if work_.step is not None:
            return work_.step
        return min(coarsest, busy * often / pace, busy / pace / (WINDOWS * (horizon + 1)))

    def laid(pace: float) -> Replay | None:
        step_s = step_at(pace)
        return None if pool.duration.max() > FINEST * step_s else lay(pool, horizon, step_s, pace)

    pace = work_.pace or fit_pace(config, pool, fleet, laid)
    if work_.step is None:
        step_s = _round_down(step_at(pace))
        pace = work_.pace or fit_pace(config, pool, fleet, lambda pace: lay(pool, horizon, step_s, pace))
        found = lay(pool, horizon, step_s, pace)
    else:
        found = laid(pace)
    if found is None:
        raise ConfigError(_too_short(config, span / pace, step_at(pace)))
    return found


def fit_pace(config: Config, pool: Pool, fleet: Fleet, laid: Callable[[float], Replay | None]) -> float:
    """The pace at which the resource that is used most is used as `workload.load` says; by bisection.

    Raises:
        ConfigError: no pace gives this load.
    """
    asked, horizon = config.workload.load, config.horizon

    def load(pace: float) -> float | None:
        found = laid(pace)
        return None if found is None else float(in_use(found, pool, fleet, horizon).max())

    low = high = _guess(pool, fleet, asked)
    while (at := load(low)) is None or at >= asked:
        low /= 2
        if low < 1e-12:
            raise ConfigError(_out_of_reach(config, at))
    top = load(low)
    while (at := load(high)) is not None and at < asked:
        low, high, top = high, high * 2, at
    ceiling = at is None
    for _ in range(20):
        middle = (low * high) ** 0.5
        at = load(middle)
        if at is not None and at < asked:
            low, top = middle, at
        else:
            high, ceiling = middle, at is None
    if ceiling and (top is None or top < (1 - CLOSE) * asked):
        raise ConfigError(_out_of_reach(config, top))
    return low


def _guess(pool: Pool, fleet: Fleet, asked: float) -> float:
    """The pace if jobs came evenly and none were running at the ends."""
    assert pool.submit is not None
    part = slice(pool.first, None)
    span = float(pool.submit[-1] - pool.submit[pool.first])
    held = pool.demand[part].T @ pool.duration[part] / span
    return asked / float((held / np.maximum(fleet.capacity.sum(0)[:-1], 1e-9)).max())


def _round_down(seconds: float) -> float:
    """Two figures."""
    unit = 10.0 ** (floor(log10(seconds)) - 1)
    return floor(seconds / unit * (1 + 1e-12)) * unit if unit < 1 else float(floor(seconds / unit)) * unit


def _too_short(config: Config, seconds: float, step_s: float) -> str:
    return (
        f"horizon = {config.horizon}: the used part of {config.workload.trace} lasts {seconds / step_s:.1f} steps of "
        f"{step_s:g} s at this pace, expected more than an episode: lower horizon or workload.step, or use more of the "
        "trace (workload.start, workload.end)"
    )


def _out_of_reach(config: Config, most: float | None) -> str:
    reached = "no load at all" if most is None else f"a load of {most:.3f} at most"
    step = "" if config.workload.step is None else ", workload.step"
    return (
        f"workload.load = {config.workload.load}: this part of {config.workload.trace} gives {config.machine_count} "
        f"machines {reached} while an episode of {config.horizon} steps fits into it; lower workload.load, "
        f"num_machines, horizon{step}, or use more of the trace (workload.start, workload.end)"
    )
