"""The machines of B environments: FIFO queues, starts when everything asked for is free, release at the end.

Resources are whole numbers (milli-vCPU, MiB, milli-GPU, run slots), so sums are exact in any order. Machines
of all environments lie in one dimension, BM = B * M. Within a step: release, place, start, in that order.
Nothing here loops over environments, dispatchers, machines or jobs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from dgpg_cloud.arrivals import Tape


@dataclass(frozen=True)
class Hardware:
    """What machines are, the same in every environment; whole numbers."""

    capacity: Tensor
    """int32 `[M, R + 1]`, run slots last."""
    speed_permille: Tensor
    """int32 `[M]`."""
    queue_places: int

    @property
    def count(self) -> int:
        """M."""
        return len(self.capacity)


@dataclass
class Cluster:
    """State of all machines; tensors are changed in place by the functions below."""

    placed: Tensor
    """Jobs that each dispatcher has placed, `[B, N]`; its next one is at that place of its list."""
    used: Tensor
    """What running jobs hold, int32 `[BM, R + 1]`."""
    waiting: Tensor
    """What queued jobs ask for, int32 `[BM, R + 1]`."""
    work: Tensor
    """Work left of running and queued jobs, resource x base steps, float `[BM, R]`."""
    drain: Tensor
    """Work that running jobs do in a step, float `[BM, R]`."""
    queue: Tensor
    """Job rows in a ring, `[BM, Q]`."""
    head: Tensor
    """Place of the first, `[BM]`."""
    length: Tensor
    """How many, `[BM]`."""
    release: Tensor
    """What is given back at the start of step t, int32 `[T + 2, BM, R + 1]`; the last row is never."""
    slowdown: Tensor
    """Drain that ends at the start of step t, float `[T + 2, BM, R]`."""
    own_waiting: Tensor
    """Jobs of each dispatcher in queues, `[B, N]`."""
    machine: Tensor
    """Where each job was placed, `[B N L]`; -1 if not yet."""
    start: Tensor
    """Step in which it started, `[B N L]`; -1 if not yet."""
    finish: Tensor
    """Step at whose start it gives back what it held, `[B N L]`; -1 if not started."""

    def tensors(self) -> dict[str, Tensor]:
        """All fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def empty(tape: Tape, hardware: Hardware, num_envs: int, num_agents: int) -> Cluster:
    """Machines without jobs."""
    device, resources = hardware.capacity.device, hardware.capacity.shape[1]
    rows, steps = num_envs * hardware.count, tape.rank.shape[0]

    def zeros(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=device)

    return Cluster(
        placed=zeros(num_envs, num_agents),
        used=zeros(rows, resources, dtype=torch.int32),
        waiting=zeros(rows, resources, dtype=torch.int32),
        work=zeros(rows, resources - 1, dtype=torch.float32),
        drain=zeros(rows, resources - 1, dtype=torch.float32),
        queue=zeros(rows, hardware.queue_places),
        head=zeros(rows),
        length=zeros(rows),
        release=zeros(steps + 2, rows, resources, dtype=torch.int32),
        slowdown=zeros(steps + 2, rows, resources - 1, dtype=torch.float32),
        own_waiting=zeros(num_envs, num_agents),
        machine=zeros(len(tape.kind)) - 1,
        start=zeros(len(tape.kind)) - 1,
        finish=zeros(len(tape.kind)) - 1,
    )


def next_job(cluster: Cluster, length: int) -> Tensor:
    """Row of the job that each dispatcher would place next, `[B, N]`, whether or not it has come."""
    place = cluster.placed.clamp(max=length - 1)
    lists = torch.arange(place.numel(), device=place.device).view_as(place) * length
    return lists + place


def place(cluster: Cluster, tape: Tape, hardware: Hardware, machine: Tensor, send: Tensor, rank: Tensor) -> Tensor:
    """Queue the next job of the dispatchers that `send` at `machine`; full queues refuse the last comers.

    Args:
        cluster: changed in place.
        tape: the jobs.
        hardware: the machines.
        machine: `[B, N]`.
        send: bool `[B, N]`.
        rank: order within a machine, `[B, N]`, distinct in an environment.

    Returns:
        True for the jobs that a machine took, `[B, N]`; the others stay where they are.
    """
    envs, agents = send.shape
    sender = send.flatten().nonzero().squeeze(-1)
    row = machine.flatten().index_select(0, sender) + sender // agents * hardware.count
    order = (row * agents + rank.flatten().index_select(0, sender)).argsort()
    sender, row = sender.index_select(0, order), row.index_select(0, order)
    length = cluster.length.index_select(0, row)
    behind = length + torch.arange(len(row), device=row.device) - torch.searchsorted(row, row)
    fits = (behind < hardware.queue_places).nonzero().squeeze(-1)
    sender, row, behind = (x.index_select(0, fits) for x in (sender, row, behind))
    job = next_job(cluster, tape.length).flatten().index_select(0, sender)
    cluster.queue.view(-1).index_copy_(0, _ring(cluster, hardware, row, behind), job)
    cluster.length.index_add_(0, row, torch.ones_like(row))
    _book(cluster, tape, hardware, job, row)
    taken = torch.zeros(envs * agents, dtype=torch.bool, device=send.device)
    taken.index_fill_(0, sender, True)
    taken = taken.view(envs, agents)
    cluster.placed += taken
    cluster.own_waiting += taken
    return taken


def _book(cluster: Cluster, tape: Tape, hardware: Hardware, job: Tensor, row: Tensor) -> None:
    """Jobs wait at machines, with all of their work to do."""
    demand = tape.demand.index_select(0, job)
    base = tape.base_steps.index_select(0, job).unsqueeze(-1)
    cluster.waiting.index_add_(0, row, demand)
    cluster.work.index_add_(0, row, demand[:, :-1].float() * base)
    cluster.machine.index_copy_(0, job, row % hardware.count)


def seat(cluster: Cluster, tape: Tape, hardware: Hardware) -> None:
    """Start, in step 0, the jobs that run when the episode starts; they are the first of their dispatchers' lists."""
    job = (tape.seat >= 0).nonzero().squeeze(-1)
    owner = job // tape.length
    row = owner // cluster.placed.shape[1] * hardware.count + tape.seat.index_select(0, job)
    _book(cluster, tape, hardware, job, row)
    for count in (cluster.placed, cluster.own_waiting):
        count.view(-1).index_add_(0, owner, torch.ones_like(owner))
    _run(cluster, tape, hardware, 0, job, tape.demand.index_select(0, job), row)


def start(cluster: Cluster, tape: Tape, hardware: Hardware, t: int) -> None:
    """Start jobs from the head of each queue as long as everything they ask for is free.

    Demands add up along a queue, so the jobs that start are those whose running sum fits: one prefix sum over
    the queues whose first job fits, no longer than the free run slots.
    """
    busy = cluster.length.nonzero().squeeze(-1)
    free = hardware.capacity.index_select(0, busy % hardware.count) - cluster.used.index_select(0, busy)
    first = cluster.queue.view(-1).index_select(0, _ring(cluster, hardware, busy))
    moves = (tape.demand.index_select(0, first) <= free).all(-1).nonzero().squeeze(-1)
    busy, free = busy.index_select(0, moves), free.index_select(0, moves)
    if len(busy) == 0:
        return
    length = cluster.length.index_select(0, busy)
    places = torch.arange(int(length.max()), device=busy.device)[: int(free[:, -1].max())]
    at = _ring(cluster, hardware, busy.unsqueeze(-1), places)
    job = cluster.queue.view(-1).index_select(0, at.flatten()).view_as(at)
    demand = tape.demand.index_select(0, job.flatten()).view(*job.shape, -1)
    fits = (demand.cumsum(1, dtype=torch.int32) <= free.unsqueeze(1)).all(-1) & (places < length.unsqueeze(-1))
    started = fits.sum(-1)
    cluster.head.index_add_(0, busy, started).remainder_(hardware.queue_places)
    cluster.length.index_add_(0, busy, -started)
    which = fits.flatten().nonzero().squeeze(-1)
    job, demand = job.flatten().index_select(0, which), demand.flatten(0, 1).index_select(0, which)
    row = busy.repeat_interleave(started)
    _run(cluster, tape, hardware, t, job, demand, row)


def _ring(cluster: Cluster, hardware: Hardware, row: Tensor, behind: Tensor | int = 0) -> Tensor:
    """Flat index into the queues of the job `behind` places after the head."""
    head = cluster.head.index_select(0, row.flatten()).view_as(row)
    return row * hardware.queue_places + (head + behind) % hardware.queue_places


def _run(cluster: Cluster, tape: Tape, hardware: Hardware, t: int, job: Tensor, demand: Tensor, row: Tensor) -> None:
    speed = hardware.speed_permille.index_select(0, row % hardware.count)
    base = tape.base_steps.index_select(0, job)
    steps = (
        base.long() * 1000 + speed - 1
    ) // speed  # months in steps of a minute, times 1000, are too much for 32 bits
    finish = t + steps
    cluster.used.index_add_(0, row, demand)
    cluster.waiting.index_add_(0, row, -demand)
    rate = demand[:, :-1] * (base / steps).unsqueeze(-1)
    cluster.drain.index_add_(0, row, rate)
    last = len(cluster.release) - 1
    when = finish.clamp(max=last) * cluster.used.shape[0] + row
    cluster.release.view(-1, demand.shape[1]).index_add_(0, when, demand)
    cluster.slowdown.view(-1, rate.shape[1]).index_add_(0, when, rate)
    cluster.start.index_fill_(0, job, t)
    cluster.finish.index_copy_(0, job, finish)
    owner = job // tape.length
    cluster.own_waiting.view(-1).index_add_(0, owner, -torch.ones_like(owner))


def release(cluster: Cluster, t: int) -> None:
    """Pass from step t - 1 to t: one step of work is done, then jobs that finish give back what they held."""
    cluster.work -= cluster.drain
    cluster.used -= cluster.release[t]
    cluster.drain -= cluster.slowdown[t]
    # Float sums leave crumbs: a machine without jobs has no work left, exactly.
    idle = ((cluster.used[:, -1] == 0) & (cluster.length == 0)).unsqueeze(-1)
    cluster.work.masked_fill_(idle, 0.0).clamp_(min=0.0)
    cluster.drain.masked_fill_((cluster.used[:, -1] == 0).unsqueeze(-1), 0.0)
