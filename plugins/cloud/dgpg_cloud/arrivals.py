"""The arrivals of an episode: everything exogenous, drawn before the first action and the same for any policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dgpg_cloud.instance import Instance
from dgpg_cloud.replay import Replay
from dgpg_cloud.seats import NOWHERE, seats
from dgpg_cloud.workload import IntArray, steps_on, with_slots


@dataclass(frozen=True)
class Jobs:
    """Jobs of one episode in the order in which each dispatcher gets them, one environment.

    A dispatcher's list starts with what it placed before the episode: the jobs that still run at its start.
    """

    dispatcher: IntArray
    """`[J]`, ascending."""
    row: IntArray
    """Row of the pool, `[J]`."""
    arrival: IntArray
    """Step, negative for jobs from before the episode, `[J]`."""
    base_steps: IntArray
    """Steps to run at speed 1, `[J]`; of older jobs only what is left at step 0."""
    seat: IntArray
    """Machine of those that run when the episode starts, NOWHERE for the others, `[J]`."""
    rank: IntArray
    """Order in which jobs that reach a machine in the same step queue, `[T, N]`: a random permutation."""


def draw(rng: np.random.Generator, instance: Instance, start: int | None = None) -> Jobs:
    """Arrivals of steps 0 to T (the last is what the final observation shows) and what runs before them.

    Args:
        rng: of the environment.
        instance: what to draw from.
        start: step of the trace at which the episode starts, instead of one that is drawn; synthetic jobs have none.
    """
    config = instance.config
    if instance.replay is None:
        time, dispatcher, row = _cycle(rng, instance, config.workload.longest + config.horizon + 1)
        arrival = time - config.workload.longest
    else:
        start = int(rng.choice(instance.replay.starts)) if start is None else start
        arrival, dispatcher, row = _window(rng, instance, instance.replay, start)
    dispatcher = _rehost(rng, instance, dispatcher, row)
    left = np.where(arrival < 0, _left(rng, instance, dispatcher, row, -arrival), instance.base_steps[row])
    seat = np.full(len(row), NOWHERE)
    if instance.replay is not None:
        running = np.flatnonzero((arrival < 0) & (left > 0))
        seat[running] = seats(instance, row[running])
    order = np.lexsort((arrival, seat == NOWHERE, dispatcher))
    order = order[left[order] > 0]
    rank = np.argsort(rng.random((config.horizon, config.num_agents)), axis=1)
    return Jobs(dispatcher[order], row[order], arrival[order], left[order], seat[order], rank)


def _left(
    rng: np.random.Generator, instance: Instance, dispatcher: IntArray, row: IntArray, elapsed: IntArray
) -> IntArray:
    """Base steps left of jobs that came `elapsed` steps ago, 0 if done, had they run at a random candidate's speed."""
    choice = rng.integers(instance.graph.shape[1], size=len(row))
    permille = instance.speed_permille[instance.graph[dispatcher, choice]]
    left = steps_on(instance.base_steps[row], permille) - elapsed
    return np.where(left > 0, np.maximum(left * permille // 1000, 1), 0)


def _cycle(rng: np.random.Generator, instance: Instance, span: int) -> tuple[IntArray, IntArray, IntArray]:
    """Synthetic jobs: at most one a dispatcher and step, more by day than by night, random phase."""
    work = instance.config.workload
    phase = 2 * np.pi * (np.arange(span) / work.period + rng.random())
    rate = work.arrivals * (1 + work.swing * np.sin(phase))
    time, dispatcher = np.nonzero(rng.random((span, instance.config.num_agents)) < rate[:, None])
    return time, dispatcher, rng.integers(len(instance.base_steps), size=len(time))


def _window(
    rng: np.random.Generator, instance: Instance, replay: Replay, start: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Jobs that the trace has running at `start`, and those that come from then on; dispatchers get them in turn."""
    config = instance.config
    before, after = np.searchsorted(replay.arrival, [start, start + config.horizon + 1])
    runs = steps_on(replay.base_steps[:before], instance.speed_permille.min())
    older = np.flatnonzero(replay.arrival[:before] + runs > start)
    row = np.concatenate([older, np.arange(before, after)])
    turn = (np.arange(len(row)) - len(older)) % config.num_agents
    return replay.arrival[row] - start, rng.permutation(config.num_agents)[turn], row


def _rehost(rng: np.random.Generator, instance: Instance, dispatcher: IntArray, row: IntArray) -> IntArray:
    """Give jobs that no candidate of their dispatcher can run to a random dispatcher that has one."""
    shape = instance.shape[row]
    lost = ~instance.reach[shape, dispatcher]
    count = instance.host_count[shape]
    pick = (rng.random(len(row)) * count).astype(np.int64)
    return np.where(lost, instance.hosts[shape, pick], dispatcher)


@dataclass(frozen=True)
class Tape:
    """Arrivals of B environments as tensors on the device; job n, l of environment b is row (b N + n) L + l."""

    demand: Tensor
    """int32 `[B N L, R + 1]`: the resources and one run slot."""
    base_steps: Tensor
    """int32 `[B N L]`."""
    kind: Tensor
    """int64 `[B N L]`."""
    arrived: Tensor
    """Jobs that each dispatcher has got by step t, `[T + 1, B, N]`, int64, older ones included."""
    seat: Tensor
    """int64 `[B N L]`: machine of those that run when the episode starts, NOWHERE for the others."""
    older: Tensor
    """Jobs from before the episode that are yet to be placed, `[B, N]`."""
    rank: Tensor
    """int64 `[T, B, N]`."""
    length: int
    """L, places in a dispatcher's list."""


def tape(jobs: list[Jobs], instance: Instance, device: torch.device) -> Tape:
    """Lay out the jobs of B environments on a grid of N dispatchers by L places."""
    agents, steps = instance.config.num_agents, instance.config.horizon
    counts = [np.bincount(j.dispatcher, minlength=agents) for j in jobs]
    length = max(1, *(int(c.max()) for c in counts))
    size = len(jobs) * agents * length
    row, base, seat = np.zeros(size, np.int64), np.ones(size, np.int64), np.full(size, NOWHERE)
    arrived = np.zeros((steps + 1, len(jobs), agents), np.int64)
    older = np.zeros((len(jobs), agents), np.int64)
    for b, (job, count) in enumerate(zip(jobs, counts, strict=True)):  # once an episode, not a step
        place = np.arange(len(job.row)) - np.repeat(np.cumsum(count) - count, count)
        at = (b * agents + job.dispatcher) * length + place
        row[at], base[at], seat[at] = job.row, job.base_steps, job.seat
        when = np.maximum(job.arrival, 0)
        np.add.at(arrived[:, b], (when, job.dispatcher), 1)
        if instance.replay is None:  # the jobs of a trace run, or their dispatcher decides like on any other
            older[b] = np.bincount(job.dispatcher[job.arrival < 0], minlength=agents)
    demand = with_slots(instance.pool.demand[row])
    rank = np.stack([j.rank for j in jobs], 1)

    def put(array: IntArray, dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(array).to(device, dtype)

    return Tape(
        demand=put(demand, torch.int32),
        base_steps=put(base, torch.int32),
        kind=put(instance.pool.kind[row], torch.int64),
        arrived=put(arrived.cumsum(0), torch.int64),
        seat=put(seat, torch.int64),
        older=put(older, torch.int64),
        rank=put(rank, torch.int64),
        length=length,
    )
