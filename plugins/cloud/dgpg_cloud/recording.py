"""What a policy did in the first episodes of an evaluation, for figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dgpg.domain import Policy, random
from dgpg_cloud.arrivals import Tape
from dgpg_cloud.config import Config
from dgpg_cloud.dynamics import Cluster
from dgpg_cloud.env import CloudEnv
from dgpg_cloud.instance import build
from dgpg_cloud.measures import USED, waits
from dgpg_cloud.workload import FloatArray, IntArray

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Recording:
    """T steps of E episodes."""

    cost: FloatArray
    """Shared cost, `[T, E]`."""
    use: FloatArray
    """Share of all capacity that running jobs hold, run slots last, `[T, E, R + 1]`."""
    buffers: FloatArray
    """Jobs waiting at dispatchers, `[T, E]`."""
    queues: FloatArray
    """Jobs waiting at machines, `[T, E]`."""
    wait: FloatArray
    """Steps that each job that came has waited by the end, `[J]`."""
    on: FloatArray
    """Share of steps in which a machine runs or queues anything, `[M]`."""
    runs: IntArray
    """Of the first episode, a row a job that ran: machine, start, finish, milli-vCPU, `[runs, 4]`."""
    placed: IntArray
    """Jobs that came and started on each machine, over all episodes, `[M]`."""
    starts: list[int | None]
    """Step of a trace at which each episode starts."""


@torch.no_grad()
def record(config: Config, policy: Policy, episodes: int, seed: int) -> Recording:
    """Play the first episodes that `dgpg.measuring.play` draws from `seed`, on the CPU."""
    env = CloudEnv(build(config), episodes, CPU, random.derive(seed, "arrivals"))
    draws = random.Streams(random.derive(seed, "policy"), episodes).uniform(env.horizon, env.num_agents)
    starts, decision = list(env.starts), env.reset()
    cluster, tape = env.cluster, env.tape  # the step that ends the episode leaves them as they are then
    moments, on = [], []
    for noise in draws.unbind(1):
        step = env.step(policy.act(decision, noise))
        told = step.measures
        use = torch.stack([told[name] for name in (*USED, "use_slots") if name in told], -1)
        moments.append((-step.reward, use, told["waiting_buffers"], told["waiting_queues"]))
        on.append((step.state > 0).any(-1).double().mean(0))
        decision = step.decision
    columns = zip(*moments, strict=True)
    cost, use_, buffers, queues = (np.stack([x.double().numpy() for x in column]) for column in columns)
    wait = waits(cluster, tape, env.horizon).flatten()
    came = cluster.machine[(~wait.isnan()) & (cluster.start >= 0)]
    return Recording(
        cost=cost,
        use=use_,
        buffers=buffers,
        queues=queues,
        wait=wait[~wait.isnan()].double().numpy(),
        on=torch.stack(on).mean(0).numpy(),
        runs=_runs(cluster, tape, env.num_agents * tape.length),
        placed=came.bincount(minlength=len(env.plant.price)).numpy(),
        starts=starts,
    )


def _runs(cluster: Cluster, tape: Tape, jobs: int) -> IntArray:
    """What ran where and when in the first environment, which has the first `jobs` rows."""
    columns = (cluster.machine, cluster.start, cluster.finish, tape.demand[:, 0].long())
    rows = torch.stack(columns, -1)[:jobs]
    found: IntArray = rows[rows[:, 1] >= 0].numpy()
    return found
