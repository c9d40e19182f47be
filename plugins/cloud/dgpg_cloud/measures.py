"""What is told of a step beside its cost: waits, use, machines, money; docs/cloud.md has a table of the names."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg_cloud.arrivals import Tape
from dgpg_cloud.dynamics import Cluster
from dgpg_cloud.plant import Plant

USED = ("use_vcpu", "use_memory", "use_gpu")
QUANTILES = (0.5, 0.95, 0.99)
NOT_STARTED = "not_started"
"""Of the jobs that come in an episode; what they will hold is charged to nobody in it."""


def of_step(
    waiting: tuple[Tensor, Tensor], on: Tensor, used: Tensor, running: Tensor, plant: Plant
) -> dict[str, Tensor]:
    """Use and money of a step, `[B]` each.

    Args:
        waiting: jobs in each dispatcher's buffer `[B, N]` and in each machine's queue `[B, M]`.
        on: machines that run or queue anything, bool `[B, M]`.
        used: vCPU and GiB (and GPU) held by running jobs, `[B, M, R]`.
        running: run slots that they hold, `[B, M]`.
        plant: the machines.
    """
    share = used * plant.inverse
    stranded = (share[..., 0] - share[..., 1]).abs()
    use = used.sum(1) / plant.capacity.sum(0).clamp(min=1e-9)
    return {
        "waiting_buffers": waiting[0].sum(-1).float(),
        "waiting_queues": waiting[1].sum(-1).float(),
        **dict(zip(USED, use.unbind(-1), strict=False)),
        "use_slots": running.sum(-1) / plant.hardware.capacity[:, -1].sum(),
        "machines_on": on.sum(-1).float(),
        "usd_per_hour": (on * plant.price).sum(-1),
        "stranded_share": (stranded * plant.price).sum(-1) / plant.price.sum().clamp(min=1e-9),
    }


def waits(cluster: Cluster, tape: Tape, t: int) -> Tensor:
    """Steps that each job which came in the episode has waited by step t, `[B, N L]`; NaN where there is none.

    A job that has not started counts with its wait so far. One that ran before the episode is none of them, and one
    that the trace has running, but that found no room, has come in step 0.
    """
    envs, agents = cluster.placed.shape
    place = torch.arange(tape.length, device=tape.older.device).expand(envs, agents, -1).contiguous()
    came = torch.searchsorted(tape.arrived.permute(1, 2, 0).contiguous(), place, right=True)
    before = tape.older + (tape.seat >= 0).view(envs, agents, -1).sum(-1)
    start = cluster.start.view(envs, agents, -1)
    wait = torch.where(start >= 0, start, t) - came
    own = (place >= before.unsqueeze(-1)) & (came < t)
    return wait.float().masked_fill(~own, torch.nan).flatten(1)


def of_waits(wait: Tensor, limit: float, unit: tuple[str, float]) -> dict[str, Tensor]:
    """Mean, quantiles and the share over `limit` of waits `[B, J]` in steps, `[B]` each; 0 where no job came.

    Args:
        wait: of each job, NaN where there is none.
        limit: in the unit that follows.
        unit: its name, and what of it a step is.
    """
    name, size = unit
    wait = wait * size
    spread = wait.nanquantile(wait.new_tensor(QUANTILES), dim=-1)
    late = torch.where(wait.isnan(), torch.nan, (wait > limit).float()).nanmean(-1)
    named = {f"wait_p{100 * q:.0f}_{name}": x for q, x in zip(QUANTILES, spread, strict=True)}
    found = {f"wait_mean_{name}": wait.nanmean(-1), **named, "wait_over_limit": late}
    return {key: x.nan_to_num(0.0) for key, x in found.items()}


def not_started(cluster: Cluster, wait: Tensor) -> Tensor:
    """Share of the jobs with a wait, `[B, J]`, that have not started, `[B]`; 0 where no job came."""
    came = ~wait.isnan()
    waiting = came & (cluster.start.view_as(wait) < 0)
    return waiting.sum(-1) / came.sum(-1).clamp(min=1)
