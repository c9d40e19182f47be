"""One job and its candidate nodes as what a dispatcher sees; the same numbers as `dgpg_cloud.observation`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgpg_cloud.deploy.scales import LARGE_JOB, LARGE_MACHINE, Scales

Floats: TypeAlias = NDArray[np.float32]
_LARGE_JOB, _LARGE_MACHINE = (np.array(size, np.float32) for size in (LARGE_JOB, LARGE_MACHINE))
ROUNDING = np.float32(1e-6)
"""A share of a node that a sum of shares may be off by."""


@dataclass(frozen=True)
class Job:
    """A job to place; R resources in vCPU, GiB and GPU."""

    demand: ArrayLike
    """`[R]`."""
    steps: float
    """Run time on a node of speed 1, see `Scales.steps`."""
    backlog: int = 1
    """Jobs that wait to be placed by the same dispatcher, this one included."""


@dataclass(frozen=True)
class Nodes:
    """K candidates before the job is placed; R resources in vCPU, GiB and GPU."""

    capacity: ArrayLike
    """`[K, R]`."""
    used: ArrayLike
    """By running jobs, `[K, R]`."""
    requested: ArrayLike
    """By jobs running and queued, `[K, R]`."""
    work: ArrayLike
    """Left of jobs running and queued: resource x steps at speed 1, `[K, R]`."""
    queued: ArrayLike
    """Jobs waiting at each, `[K]`."""
    price: ArrayLike
    """USD per hour, `[K]`."""
    speed: ArrayLike = 1.0
    """`[K]`."""
    able: ArrayLike = True
    """May the job run there at all (its GPU model, say), `[K]`."""


def load(used: ArrayLike, capacity: ArrayLike) -> float:
    """Mean over all M machines of the share of the resource most in use; `[M, R]` each."""
    return float((_float(used) * _inverse(_float(capacity))).max(-1).mean())


def features(scales: Scales, job: Job, nodes: Nodes, load: float) -> dict[str, NDArray[np.generic]]:
    """What a dispatcher sees: `agent` `[F]`, `choices` `[K, C]`, `mask` `[K]`, arguments of `dgpg.deploy.Policy`.

    Args:
        scales: of the instance that the policy was trained in.
        job: to place.
        nodes: that it may go to.
        load: of all machines, see `load`.
    """
    r, demand = scales.resources, _float(job.demand)
    agent = np.empty(r + 3, np.float32)
    np.divide(demand, _LARGE_JOB[:r], out=agent[:r])
    agent[r:] = math.log1p(job.steps), math.log1p(job.backlog), round(10 * load) / 10
    capacity, queued = _float(nodes.capacity), _float(nodes.queued)
    fits = _every(demand <= capacity)
    fits &= queued < scales.queue_places
    if nodes.able is not True:
        fits &= np.asarray(nodes.able, bool)
    return {"agent": agent, "choices": _choices(demand, job.steps, nodes, capacity, queued), "mask": fits}


def _choices(demand: Floats, steps: float, nodes: Nodes, capacity: Floats, queued: Floats) -> Floats:
    """`[K, 5 R + 8]`, in the order of the names."""
    r, inverse, speed = len(demand), _inverse(capacity), _float(nodes.speed)
    found = np.empty((len(capacity), 5 * r + 8), np.float32)
    free, requested, drain, share = (found[:, at * r + gap : (at + 1) * r + gap] for at, gap in PARTS)
    np.multiply(_float(nodes.used), inverse, out=free)
    np.subtract(_ONE, free, out=free)
    np.multiply(_float(nodes.requested), inverse, out=requested)
    at = 3 * r
    found[:, at + 1] = _largest(requested) > 0
    np.minimum(requested, _MOST, out=requested)
    np.multiply(_float(nodes.work), inverse, out=drain)
    if speed.ndim or speed != _ONE:
        drain /= speed[..., None]
    np.multiply(demand, inverse, out=share)
    found[:, at] = queued
    counts = found[:, 2 * r : at + 1]
    np.log1p(counts, out=counts)
    found[:, at + 2], found[:, at + 3] = nodes.price, speed
    np.divide(capacity, _LARGE_MACHINE[:r], out=found[:, at + 4 : at + 4 + r])
    excess, at = _largest(requested + share), 5 * r + 4
    excess -= _ONE
    now = _every(share <= free + ROUNDING)
    now &= queued == 0
    found[:, at] = now
    np.minimum(excess, _TWO, out=found[:, at + 1])  # it is above -1: nothing asks for less than nothing
    np.maximum(found[:, at + 1], _NONE, out=found[:, at + 2])
    found[:, at + 3] = np.log1p(np.float32(steps) / speed)
    return found


_NONE, _ONE, _TWO, _MOST = (np.float32(x) for x in (0, 1, 2, 3))
PARTS = ((0, 0), (1, 0), (2, 0), (4, 4))
"""Where free, requested, drain and share lie: after so many blocks of R and so many single features."""


def _float(x: ArrayLike) -> Floats:
    return np.asarray(x, np.float32)


def _largest(x: Floats) -> Floats:
    """Of the R columns of `[K, R]`, a few columns at a time: reductions over so few numbers cost more than they do."""
    found = np.maximum(x[:, 0], x[:, 1])
    for r in range(2, x.shape[1]):
        np.maximum(found, x[:, r], out=found)
    return found


def _every(x: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether all R columns of `[K, R]` are true."""
    found = x[:, 0] & x[:, 1]
    for r in range(2, x.shape[1]):
        found &= x[:, r]
    return found


def _inverse(capacity: Floats) -> Floats:
    """1 / capacity, zero where a node has none of a resource."""
    found = np.zeros_like(capacity)
    np.divide(np.float32(1), capacity, out=found, where=capacity > 0)
    return found
