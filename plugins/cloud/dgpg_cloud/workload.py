"""Jobs: a pool of rows, synthetic or from a trace, and the durations that give synthetic ones their load."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgpg.errors import ConfigError, DataError
from dgpg_cloud.config import Workload
from dgpg_cloud.data import JobTable

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

# Sizes sold and bought: vCPU, GiB, share. The first mode is the mix of a slice of Azure's 2017 trace
# (Cortez et al., SOSP 2017; CC-BY-4.0), where 98 % of the virtual machines have 1.75 GiB a vCPU; the second
# its memory-heavy sizes, 7 GiB a vCPU, as in that catalogue, at shares of our own.
GENERAL = ((1, 1.75, 0.62), (2, 3.5, 0.19), (4, 7.0, 0.10), (8, 14.0, 0.09))
MEMORY = ((2, 14.0, 0.6), (4, 28.0, 0.3), (8, 56.0, 0.1))
MEMORY_SHARE = 0.15
LOGNORMAL_SIGMA = 1.0
"""Spread of general jobs' durations: the slice's quartiles are 15 minutes and 2 hours, that is sigma 1.5; the
tail beyond is left to the second mode."""
PARETO_SHAPE = 1.8
"""Tail of memory-heavy jobs' durations (heavy tails of cloud jobs: Reiss et al., SoCC 2012)."""
POOL_ROWS = 16384
CLOSE = 0.01
"""Share by which a load may differ from what was asked for: steps are whole."""


@dataclass(frozen=True)
class Pool:
    """J kinds of job to draw from. Resources R: milli-vCPU, MiB and, where any job asks for it, milli-GPU."""

    demand: IntArray
    """`[J, R]`."""
    duration: FloatArray
    """Run time at speed 1, `[J]`: seconds of a trace, of synthetic jobs any unit."""
    gpu_models: tuple[tuple[str, ...], ...]
    """Allowed GPU models of each kind, empty = any; `kind` points into it."""
    kind: IntArray
    """`[J]`."""
    submit: FloatArray | None = None
    """Seconds at which each row comes, ascending, for a trace; synthetic jobs arrive by a random cycle."""
    first: int = 0
    """Row at which the used part of a trace starts; those before it may still be running then."""


def synthetic_pool(seed: int) -> Pool:
    """Bimodal sizes, lognormal and Pareto durations."""
    rng = np.random.default_rng(seed)
    sizes = np.array([row[:2] for row in (*GENERAL, *MEMORY)])
    shares = [(1 - MEMORY_SHARE) * row[2] for row in GENERAL] + [MEMORY_SHARE * row[2] for row in MEMORY]
    which = rng.choice(len(sizes), size=POOL_ROWS, p=np.array(shares) / np.sum(shares))
    body = rng.lognormal(0.0, LOGNORMAL_SIGMA, POOL_ROWS)
    tail = 1.0 + rng.pareto(PARETO_SHAPE, POOL_ROWS)
    duration = np.where(which < len(GENERAL), body, tail)
    demand = np.stack([sizes[which, 0] * 1000, sizes[which, 1] * 1024], 1).round().astype(np.int64)
    return Pool(demand, duration, ((),), np.zeros(POOL_ROWS, np.int64))


def trace_pool(jobs: JobTable, workload: Workload) -> Pool:
    """The used part of a trace and what came before it, in its order.

    Raises:
        DataError: fewer than two jobs lie in it.
    """
    used = jobs.part(workload.start, workload.end)
    first, last = used.start, used.stop
    if last - first < 2:
        raise DataError(f"{jobs.source}: {last - first} jobs between workload.start and workload.end; 2 are needed")
    columns = [jobs.vcpu_milli, jobs.memory_mib]
    if jobs.gpu_milli.any():
        columns.append(jobs.gpu_milli)
    models = jobs.gpu_models[:last]
    kinds = sorted(set(models))
    number = {kind: i for i, kind in enumerate(kinds)}
    return Pool(
        demand=np.stack(columns, 1)[:last],
        duration=jobs.duration_s[:last],
        gpu_models=tuple(kinds),
        kind=np.array([number[m] for m in models], np.int64),
        submit=jobs.submit_s[:last],
        first=first,
    )


def base_steps(duration: FloatArray, scale: float, longest: int) -> IntArray:
    """Whole steps of synthetic jobs at speed 1: rounded up, at least one, at most `longest`."""
    return np.clip(np.ceil(duration * scale), 1, longest).astype(np.int64)


def steps_on(base: IntArray, speed_permille: IntArray) -> IntArray:
    """Whole steps on a machine, base / speed rounded up, exact in integers."""
    return -(-base * 1000 // speed_permille)


def with_slots(demand: IntArray) -> IntArray:
    """Demands `[J, R]` and the run slot that every job takes, `[J, R + 1]`."""
    return np.concatenate([demand, np.ones((len(demand), 1), np.int64)], 1)


def offered_load(
    pool: Pool, base: IntArray, capacity: IntArray, speed_permille: IntArray, arrivals: float, num_agents: int
) -> float:
    """Work that arrives in a step over capacity `[M, R + 1]`, run slots last, of what this is largest for.

    Jobs are taken to land on machines in proportion to capacity.
    """
    load = 0.0
    for r, demand in enumerate(with_slots(pool.demand).T):
        share = np.bincount(speed_permille, capacity[:, r]) / capacity[:, r].sum()
        steps = sum(share[s] * steps_on(base, np.array(s)) for s in np.unique(speed_permille))
        load = max(load, arrivals * num_agents * float((demand * steps).mean()) / capacity[:, r].sum())
    return load


def fit_scale(pool: Pool, workload: Workload, capacity: IntArray, speed_permille: IntArray, num_agents: int) -> float:
    """Steps a unit of duration so that the offered load is what was asked; by bisection.

    Raises:
        ConfigError: no scale gives this load.
    """

    def load(scale: float) -> float:
        base = base_steps(pool.duration, scale, workload.longest)
        return offered_load(pool, base, capacity, speed_permille, workload.arrivals, num_agents)

    low, high = 1.0 / float(pool.duration.max()), workload.longest / float(pool.duration.min())
    if not load(low) <= workload.load * (1 + CLOSE) or load(high) < workload.load:
        raise ConfigError(
            f"workload.load = {workload.load}: with workload.arrivals = {workload.arrivals} and "
            f"workload.longest = {workload.longest} these jobs and machines can be loaded from {load(low):.3f} "
            f"to {load(high):.3f}; change workload.arrivals, num_agents, num_machines "
            "or machines.run_slots"
        )
    for _ in range(50):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if load(middle) < workload.load else (low, middle)
    return high
