"""The step and the pace of a trace's replay.

Run times are the trace's: a job leaves in the step in which it would. What is scaled, so that the load is what was
asked for, is how fast jobs come: every time between two arrivals, by one factor.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor, log10

import numpy as np

from dgpg.errors import ConfigError, DataError
from dgpg_cloud.config import Config
from dgpg_cloud.replay import Fleet, Replay, in_use, lay, whole_steps, work
from dgpg_cloud.workload import CLOSE, FloatArray, Pool

ROUNDING = 0.05
"""Work that rounding run times up would add, as a share: a step that is short against them is chosen by it."""
WINDOWS = 32
"""Episodes that do not overlap which the step leaves room for: as many as an evaluation plays by default."""
USUAL = 0.99
"""Quantile of the gaps between arrivals; longer ones are holes, and are not counted when jobs a step are."""
BUFFERED = 0.02
"""Steps that a job may wait on average because its dispatcher has others to place, one a step."""
SLOWEST = 2**12
"""Times as slow a pace as one would guess is the slowest that is tried."""
FINEST = 2**30
"""Steps that a job can run at most."""
FINER = 8
"""Times as short a step as it would be without bursts is the shortest that is chosen for them."""


def replay(config: Config, pool: Pool, fleet: Fleet, trained: Replay | None) -> Replay:
    """A trace's pool with the step and pace that are set; else with those that docs/cloud.md describes.

    Args:
        config: the settings.
        pool: the trace.
        fleet: the machines.
        trained: the replay that a policy was trained in, where it is evaluated elsewhere: what steps are is kept of it,
            and how fast jobs come where trace, machines and load are the same.

    Raises:
        DataError: all jobs come at once.
        ConfigError: no pace gives the load, the used part is shorter than an episode, or steps are too short.
    """
    asked, horizon = config.workload, config.horizon
    assert pool.submit is not None  # a trace's pool has times
    span = float(pool.submit[-1] - pool.submit[pool.first])
    if span <= 0:
        raise DataError(
            f"{asked.trace}: all {len(pool.submit) - pool.first} jobs of the used part come at the same moment, "
            "expected times of submission that differ: check the column of times, or use more of the trace "
            "(workload.start, workload.end)"
        )
    if trained is None:
        step_s, pace = asked.step or _chosen_step(config, pool, fleet), asked.pace
    else:
        step_s, pace = asked.step or trained.step_s, asked.pace or (trained.pace if _same_source(config) else None)

    if (longest := float(pool.duration.max())) > FINEST * step_s:
        raise ConfigError(
            f"workload.step = {step_s:.3g}: the longest job of {asked.trace} runs {longest / step_s:,.0f} steps, "
            f"expected at most {FINEST:,}: raise workload.step, or leave workload.pace out"
        )

    def laid(pace: float) -> Replay | None:
        return lay(pool, horizon, step_s, pace)

    pace = pace or fit_pace(config, pool, fleet, laid)
    found = laid(pace)
    if found is None:
        raise ConfigError(_too_short(config, span / pace, step_s))
    return found


def _same_source(config: Config) -> bool:
    """Are trace, machines and load those of the training?"""
    was = config.trained
    if was is None or not config.same_machines(was):
        return False
    names = ("trace", "bad_rows", "units", "load", "memory_per_vcpu", "pace")
    return all(getattr(config.workload, name) == getattr(was.workload, name) for name in names)


def _chosen_step(config: Config, pool: Pool, fleet: Fleet) -> float:
    """Seconds of a step, two figures: as long as rounding and the trace's arrivals allow at the pace of the load."""
    coarsest, longest = coarsest_step(pool, fleet), longest_interval(config, pool)

    def laid(pace: float) -> Replay | None:
        step_s = min(coarsest, longest / pace)
        return None if pool.duration.max() > FINEST * step_s else lay(pool, config.horizon, step_s, pace)

    pace = config.workload.pace or fit_pace(config, pool, fleet, laid)
    step_s = _round_down(min(coarsest, longest / pace))
    while rounded_up(pool, fleet, step_s) >= 1 + ROUNDING:  # run times in whole steps may not be so in shorter ones
        step_s = _round_down(0.97 * step_s)
    return step_s


def coarsest_step(pool: Pool, fleet: Fleet) -> float:
    """Seconds: about the longest step with which rounding up adds less than ROUNDING to the work of each resource."""
    low, high = float(pool.duration.min()) / 1000, 2 * float(pool.duration.max())
    low = max(low, float(pool.duration.max()) / FINEST)
    for _ in range(25):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if rounded_up(pool, fleet, middle) < 1 + ROUNDING else (low, middle)
    return low


def rounded_up(pool: Pool, fleet: Fleet, step_s: float) -> float:
    """Work over that of the trace if run times were rounded up to steps, of the resource with the most."""
    return float(work(pool, fleet, whole_steps(pool.duration, step_s), step_s).max())


def longest_interval(config: Config, pool: Pool) -> float:
    """Seconds of a trace that a step covers at most, however fast it is played.

    A dispatcher gets at most `workload.arrivals` jobs a step on average; `WINDOWS` episodes fit into the used part; and
    jobs wait less than `BUFFERED` steps for others of their dispatcher, but for those that come at the same moment, or
    in bursts that take a step `FINER` times as short.
    """
    assert pool.submit is not None
    came = pool.submit[pool.first :] - pool.submit[pool.first]
    gap = np.diff(came)
    busy = float(np.minimum(gap, np.quantile(gap, USUAL)).sum()) or float(came[-1])
    often = busy * config.workload.arrivals * config.num_agents / len(came)
    high = min(often, busy / (WINDOWS * (config.horizon + 1)))
    _, at_once = np.unique(came, return_counts=True)
    turns, rest = at_once // config.num_agents, at_once % config.num_agents
    allowed = BUFFERED + float((config.num_agents * turns * (turns - 1) / 2 + turns * rest).sum()) / len(came)
    if buffered(came, high, config.num_agents) <= allowed:
        return high
    low = high / FINER
    for _ in range(12):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if buffered(came, middle, config.num_agents) <= allowed else (low, middle)
    return low


def buffered(came: FloatArray, interval: float, dispatchers: int) -> float:
    """Steps that a job waits on average if dispatchers get jobs in turn and each places one a step."""
    step = np.floor(came / interval)
    turns = -(-len(step) // dispatchers)
    dealt = np.append(step, np.full(turns * dispatchers - len(step), np.inf)).reshape(turns, dispatchers)
    turn = np.arange(turns)[:, None]
    goes = turn + np.maximum.accumulate(dealt - turn)  # its own step, or the one after its dispatcher's last
    return float((goes.reshape(-1)[: len(step)] - step).mean())


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
        if low < high / SLOWEST:
            raise ConfigError(_always_more(config, at))
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


def _always_more(config: Config, least: float | None) -> str:
    held = "none of them" if least is None else f"a load of {least:.3f} and more in them"
    return (
        f"workload.load = {config.workload.load}: episodes of {config.horizon} steps show the bursts of "
        f"{config.workload.trace}, and {config.machine_count} machines have {held} however slowly jobs come; raise "
        "workload.load, num_machines or horizon"
    )


def _out_of_reach(config: Config, most: float | None) -> str:
    reached = "no load at all" if most is None else f"a load of {most:.3f} at most"
    step = "" if config.workload.step is None else ", workload.step"
    return (
        f"workload.load = {config.workload.load}: this part of {config.workload.trace} gives {config.machine_count} "
        f"machines {reached} while an episode of {config.horizon} steps fits into it; lower workload.load, "
        f"num_machines, horizon{step}, or use more of the trace (workload.start, workload.end)"
    )
