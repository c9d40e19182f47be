"""What a dispatcher sees before it acts, what the model may look at, and what a central critic sees.

A dispatcher sees its job, its candidates' free capacity, backlog, type and price, and one coarse figure of the load.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from dgpg.domain import Context, Decision, Feature, Features, Names, Observation, allows_any
from dgpg_cloud.arrivals import Tape
from dgpg_cloud.deploy.scales import LARGE_JOB, LARGE_MACHINE
from dgpg_cloud.dynamics import Cluster, next_job
from dgpg_cloud.plant import Plant


def decide(cluster: Cluster, tape: Tape, plant: Plant, t: int) -> Decision:
    """The moment of decision at the start of step t, after releases, before placing.

    Its context also says has_place `[B, N]`: the dispatcher's job has a candidate that can take it now.
    """
    context = make_context(cluster, tape, plant, t)
    observation = make_observation(cluster, tape, plant, t, context)
    return Decision(observation, {**context, "has_place": observation.active})


def make_context(cluster: Cluster, tape: Tape, plant: Plant, t: int) -> Context:
    """What models may look at, by name; resources in vCPU, GiB and GPU.

    requested `[B, M, R]` (running + queued), work `[B, M, R]` (resource x base steps left), used `[B, M, R]`,
    queued `[B, M]` jobs, has_job `[B, N]`, demand `[B, N, R]` and steps `[B, N]` (base) of the job to place, zero
    where there is none: nobody knows a job that has not come.
    """
    envs, resources = len(cluster.placed), len(plant.unit)
    job, has_job = next_job(cluster, tape.length), cluster.placed < tape.arrived[t]
    row = job.flatten()
    demand, steps = (x.index_select(0, row).view(*job.shape, *x.shape[1:]) for x in (tape.demand, tape.base_steps))
    used = cluster.used[:, :-1] * plant.unit
    requested = used + cluster.waiting[:, :-1] * plant.unit
    return {
        "requested": requested.view(envs, -1, resources),
        "work": (cluster.work * plant.unit).view(envs, -1, resources),
        "used": used.view(envs, -1, resources),
        "queued": cluster.length.view(envs, -1).float(),
        "has_job": has_job,
        "demand": demand[..., :-1] * (has_job.unsqueeze(-1) * plant.unit),
        "steps": steps * has_job.float(),
    }


def sizes(resources: int) -> tuple[int, int, int]:
    """Numbers of agent, choice and central features, F, C and S, for R resources."""
    agent, machine = resources + 3, 3 * resources + 2
    return agent, machine + (resources + 2) + (resources + 4), 3 * machine + agent + 1


def near(x: Tensor, plant: Plant) -> Tensor:
    """What belongs to each dispatcher's candidates: `[B, M, ...]` to `[B, N, K, ...]`."""
    if plant.everywhere:
        return x.unsqueeze(1).expand(-1, len(plant.candidates), *x.shape[1:])
    return x.index_select(1, plant.near).view(len(x), *plant.candidates.shape, *x.shape[2:])


def choice_mask(cluster: Cluster, tape: Tape, plant: Plant, context: Context) -> Tensor:
    """True where a waiting job could ever run on the candidate and its queue has a place, `[B, N, K]`."""
    room = (cluster.length < plant.hardware.queue_places).view(-1, plant.hardware.count)
    if plant.everywhere:
        return _mask_of_all(cluster, tape, plant, context, room)
    mask: Tensor = near(room, plant) & context["has_job"].unsqueeze(-1)
    # A few resources one by one: to ask `all` of them takes many times as long.
    for demand, capacity in zip(context["demand"].unbind(-1), plant.near_capacity.unbind(-1), strict=True):
        mask &= demand.unsqueeze(-1) <= capacity
    if len(plant.allowed) > 1:
        kind = tape.kind[next_job(cluster, tape.length)]
        mask &= plant.allowed[kind.unsqueeze(-1), plant.candidates]
    return mask


def _mask_of_all(cluster: Cluster, tape: Tape, plant: Plant, context: Context, room: Tensor) -> Tensor:
    """The same where every machine is a candidate: millions of places, looked at for those alone who have a job."""
    has_job = context["has_job"]
    sender = has_job.flatten().nonzero().squeeze(-1)
    able = room.index_select(0, sender // has_job.shape[1])
    demand = context["demand"].flatten(0, 1).index_select(0, sender)
    for asked, capacity in zip(demand.unbind(-1), plant.capacity.unbind(-1), strict=True):
        able &= asked.unsqueeze(-1) <= capacity
    if len(plant.allowed) > 1:
        job = next_job(cluster, tape.length).flatten().index_select(0, sender)
        able &= plant.allowed.index_select(0, tape.kind.index_select(0, job))
    mask = able.new_zeros(has_job.numel(), able.shape[1]).index_copy_(0, sender, able)
    return mask.view(*has_job.shape, -1)


def make_observation(cluster: Cluster, tape: Tape, plant: Plant, t: int, context: Context) -> Observation:
    """Who may choose what; with features, for who asks."""
    mask = choice_mask(cluster, tape, plant, context)
    backlog = (tape.arrived[t] - cluster.placed).float()
    return Observation.on_request(mask, partial(make_features, context, mask, backlog, plant))


def make_features(context: Context, mask: Tensor, backlog: Tensor, plant: Plant) -> Features:
    """Of order one; every choice of a dispatcher has the same features in the same order.

    Args:
        context: as of `make_context`.
        mask: of choices, `[B, N, K]`.
        backlog: jobs that wait in each dispatcher's buffer, `[B, N]`.
        plant: the machines.
    """
    machine = _machines(context, plant)
    load = (context["used"] * plant.inverse).amax(-1).mean(-1)
    agent = torch.cat(
        [
            context["demand"] / _scale(LARGE_JOB, plant),
            context["steps"].log1p().unsqueeze(-1),
            backlog.log1p().unsqueeze(-1),
            ((10 * load).round() / 10)[:, None, None].expand(*backlog.shape, 1),
        ],
        -1,
    )
    return agent, _choices(machine, context, plant), _central(machine, agent, mask)


def _scale(size: tuple[float, ...], plant: Plant) -> Tensor:
    return torch.tensor(size[: plant.capacity.shape[1]], device=plant.capacity.device)


def _machines(context: Context, plant: Plant) -> Tensor:
    """Free and requested share of each resource, time to drain, queue, switched on; `[B, M, 3 R + 2]`."""
    free = 1 - context["used"] * plant.inverse
    requested = context["requested"] * plant.inverse
    drain = context["work"] * plant.inverse / plant.speed.unsqueeze(-1)
    queued = context["queued"].unsqueeze(-1)
    on = (requested.amax(-1, keepdim=True) > 0).float()
    return torch.cat([free, requested.clamp(max=3.0), drain.log1p(), queued.log1p(), on], -1)


def _choices(machine: Tensor, context: Context, plant: Plant) -> Tensor:
    """Each candidate's state and type, then the job against it: share, fits now, excess, run time."""
    if not plant.described:
        return machine.new_empty(len(machine), *plant.candidates.shape, 0)
    resources = plant.capacity.shape[1]
    state = near(machine, plant)
    free, requested, queued = state[..., :resources], state[..., resources : 2 * resources], state[..., -2]
    share = context["demand"].unsqueeze(-2) * plant.near_inverse
    excess = (requested + share).amax(-1) - 1
    now = (share <= free + 1e-6).all(-1) & (queued == 0)
    steps = (context["steps"].unsqueeze(-1) / plant.near_speed).log1p()
    kind = plant.near_type.expand(len(state), -1, -1, -1)
    single = (now.float(), excess.clamp(-1, 2), excess.clamp(0, 2), steps)
    return torch.cat([state, kind, share, *(x.unsqueeze(-1) for x in single)], -1)


def _central(machine: Tensor, agent: Tensor, mask: Tensor) -> Tensor:
    """Mean, deviation and maximum over machines, mean over dispatchers, share of those with a job, `[B, S]`."""
    deviation = machine.std(1, correction=0)
    active = allows_any(mask).float().mean(-1, keepdim=True)
    return torch.cat([machine.mean(1), deviation, machine.amax(1), agent.mean(1), active], -1)


def names(plant: Plant) -> Names:
    """What `make_observation` holds, in its order."""
    resources = ("vCPU", "memory", "GPU")[: plant.capacity.shape[1]]
    demand = zip(resources, LARGE_JOB, ("vCPU", "GiB", "GPU"), strict=False)
    agent = (
        *(Feature(f"job {name}", f"{size:g} {unit}", "what the job asks for") for name, size, unit in demand),
        Feature("job steps", "log(1 + steps)", "run time at speed 1"),
        Feature("backlog", "log(1 + jobs)", "waiting in the dispatcher's buffer, this one included"),
        Feature("load", "1", "mean over machines of the share of the resource most in use, in tenths"),
    )
    state = (
        *(Feature(f"free {name}", "1", "share not in use") for name in resources),
        *(Feature(f"requested {name}", "1", "share asked for, running and queued, 3 at most") for name in resources),
        *(Feature(f"drain {name}", "log(1 + steps)", "work left over capacity and speed") for name in resources),
        Feature("queued", "log(1 + jobs)", "waiting at the machine"),
        Feature("on", "1", "1 if it runs or queues anything"),
    )
    large = zip(resources, LARGE_MACHINE, ("vCPU", "GiB", "GPU"), strict=False)
    kind = (
        Feature("price", "USD/h", "of the machine"),
        Feature("speed", "1", "of the machine"),
        *(Feature(f"machine {name}", f"{size:g} {unit}", "capacity") for name, size, unit in large),
    )
    job = (
        *(Feature(f"share of {name}", "1", "what the job asks for, of the machine") for name in resources),
        Feature("fits now", "1", "1 if it would start at once"),
        Feature("excess", "1", "requested and the job over capacity, -1 to 2"),
        Feature("lack", "1", "the same, above 0"),
        Feature("run time", "log(1 + steps)", "at the machine's speed"),
    )
    return Names(agent, (*state, *kind, *job), (Feature("candidate", "", "machine that the job is placed on"),))
