"""A trace on the simulator's clock: the steps in which jobs come and run, windows to show, and what they hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgpg.errors import ConfigError
from dgpg_cloud.workload import FloatArray, IntArray, Pool, steps_on, with_slots

MOST_STEPS = 2**22
"""Steps that the used part of a trace lasts at most."""
SPARSE = 0.1
"""Windows with fewer arrivals than this part of what a job sees around it are not shown: holes in the recording."""


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
    """Steps that each row runs at speed 1, from the one in which it comes to that in which it leaves, `[J]`."""
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


def steps_to_leave(scaled: FloatArray, duration: FloatArray) -> IntArray:
    """Steps from the one in which a job comes to that in which it leaves, at least one.

    With what it would run rounded up instead, a job holds its place half a step too long on average: its start is moved
    to the beginning of a step and its end to the end of one.

    Args:
        scaled: when jobs come, steps `[J]`.
        duration: what they run, steps `[J]`.
    """
    inside = scaled - np.floor(scaled)
    return np.maximum(np.floor((inside + duration) * (1 + 1e-12)), 1).astype(np.int64)


def work(pool: Pool, fleet: Fleet, base: IntArray, step_s: float) -> FloatArray:
    """Work of the used rows on these machines over that of the trace, by resource, `[R]`.

    Args:
        pool: the trace.
        fleet: the machines.
        base: steps of each row at speed 1, `[J]`.
        step_s: seconds of a step.
    """
    demand, duration = pool.demand[pool.first :], pool.duration[pool.first :]
    asked = demand.T @ duration
    played, exact = np.zeros(len(asked)), np.zeros(len(asked))
    for permille, share in zip(fleet.permille, fleet.share[:, :-1], strict=True):
        played += share * (demand.T @ steps_on(base[pool.first :], permille)) * step_s
        exact += share * asked * 1000 / permille
    return np.divide(played, exact, out=np.ones(len(asked)), where=exact > 0)


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
    """The pool at this pace in steps of this length; None if no episode fits into its used part.

    Raises:
        ConfigError: it lasts more steps than can be looked at.
    """
    assert pool.submit is not None  # a trace's pool has times
    scaled = (pool.submit - pool.submit[pool.first]) / (pace * step_s)
    possible = int(min(scaled[-1], 2.0**60)) - horizon
    if possible < 1:
        return None
    if possible > MOST_STEPS:
        raise ConfigError(
            f"workload.step = {step_s:.3g}: the used part of the trace lasts {possible:,} steps of it at {pace:.3g} "
            f"times its pace, expected at most {MOST_STEPS:,}: raise workload.step, workload.load or workload.pace, "
            "lower num_machines, or use less of the trace (workload.start, workload.end)"
        )
    arrival = np.floor(scaled.clip(min=-(2.0**60))).astype(np.int64)
    came = np.bincount(arrival[pool.first :], minlength=possible + horizon + 1).cumsum()
    count = came[horizon : horizon + possible] - np.concatenate([[0], came[: possible - 1]])
    starts = np.flatnonzero(count >= max(SPARSE * (count * count).sum() / max(count.sum(), 1), 1))
    base = steps_to_leave(scaled, pool.duration / step_s)
    return Replay(step_s, pace, base, arrival, starts) if len(starts) else None
