"""One job and its candidate nodes as what a dispatcher sees; the same numbers as `dgpg_cloud.observation`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import truediv

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgpg_cloud.deploy.scales import LARGE_JOB, Scales
from dgpg_cloud.deploy.sheet import Sheet, sheet

FULL = 1e30
"""More than any load: a whole number of tenths can be made of it."""


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
    room = np.asarray(capacity, np.float32)
    inverse = np.zeros_like(room)
    np.divide(np.float32(1), room, out=inverse, where=room > 0)
    return float((np.asarray(used, np.float32) * inverse).max(-1).mean())


def features(scales: Scales, job: Job, nodes: Nodes, load: float) -> dict[str, NDArray[np.generic]]:
    """What a dispatcher sees: `agent` `[F]`, `choices` `[K, C]`, `mask` `[K]`, arguments of `dgpg.deploy.Policy`.

    Args:
        scales: of the instance that the policy was trained in.
        job: to place.
        nodes: that it may go to.
        load: of all machines, see `load`.
    """
    capacity = np.asarray(nodes.capacity, np.float32)
    page = sheet(scales.resources, len(capacity))
    page.capacity[:] = capacity.T
    page.queued[:], page.price[:], page.speed[:] = nodes.queued, nodes.price, nodes.speed
    page.free[:] = np.asarray(nodes.used, np.float32).T
    page.requested[:] = np.asarray(nodes.requested, np.float32).T
    page.drain[:] = np.asarray(nodes.work, np.float32).T
    return seen(scales, job, page, nodes.able, load)


def seen(scales: Scales, job: Job, page: Sheet, able: ArrayLike, load: float) -> dict[str, NDArray[np.generic]]:
    """The same of nodes that are written on a page: what is used in `free`, the work that is left in `drain`."""
    demand = np.asarray(job.demand, np.float32)
    sizes = map(truediv, demand.tolist(), LARGE_JOB)
    agent = np.array(
        [*sizes, math.log1p(job.steps), math.log1p(job.backlog), round(10 * min(load, FULL)) / 10], np.float32
    )
    page.share[:] = demand[:, None]
    fits = page.fits()
    fits &= page.queued < scales.places
    if able is not True:
        fits &= np.asarray(able, bool)
    np.divide(np.float32(job.steps), page.speed, out=page.steps)
    page.fill()
    return {"agent": agent, "choices": page.all.T.copy(), "mask": fits}
