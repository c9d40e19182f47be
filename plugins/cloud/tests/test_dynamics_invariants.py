"""The machines: what always holds."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg_cloud.dynamics import Cluster

from .plays import Moment, Play, moments, plays, some


def owned(play: Play, chosen: Tensor, amount: Tensor, cluster: Cluster) -> Tensor:
    """Sum of `amount` `[J, ...]` of the `chosen` jobs on each machine of each environment, `[BM, ...]`."""
    envs, agents, length = play.base_steps.shape
    machines = len(play.capacity)
    env = torch.arange(envs).repeat_interleave(agents * length)
    row = (env * machines + cluster.machine)[chosen]
    return torch.zeros(envs * machines, *amount.shape[1:], dtype=amount.dtype).index_add(0, row, amount[chosen])


def running(moment: Moment) -> Tensor:
    begun = 0 if moment.phase == "started" else 1  # a job that starts in step t runs from the last phase on
    cluster = moment.cluster
    return (cluster.start >= 0) & (cluster.start <= moment.t - begun) & (cluster.finish > moment.t)


def queued(moment: Moment) -> Tensor:
    return (moment.cluster.machine >= 0) & (moment.cluster.start < 0)


@some
@given(play=plays())
def test_capacity_is_never_exceeded_and_used_is_what_running_jobs_hold(play: Play) -> None:
    capacity = torch.from_numpy(play.capacity).repeat(play.arrived.shape[1], 1)
    for moment in moments(play):
        cluster = moment.cluster
        assert (cluster.used <= capacity).all()
        assert torch.equal(cluster.used, owned(play, running(moment), moment.tape.demand, cluster))


@some
@given(play=plays())
def test_waiting_and_queue_lengths_are_those_of_the_jobs_in_queues(play: Play) -> None:
    for moment in moments(play):
        cluster, chosen = moment.cluster, queued(moment)
        assert torch.equal(cluster.waiting, owned(play, chosen, moment.tape.demand, cluster))
        assert torch.equal(cluster.length, owned(play, chosen, torch.ones_like(cluster.machine), cluster))
        assert (cluster.length <= play.queue_places).all()
        assert torch.equal(cluster.own_waiting, chosen.view(play.base_steps.shape).sum(-1))


@some
@given(play=plays())
def test_no_job_is_lost(play: Play) -> None:
    for moment in moments(play):
        cluster = moment.cluster
        placed = (cluster.machine >= 0).view(play.base_steps.shape)
        assert torch.equal(cluster.placed, placed.sum(-1))
        assert (cluster.placed <= moment.tape.arrived[moment.t]).all()
        # A dispatcher places its jobs in the order of its list.
        assert torch.equal(placed, torch.arange(placed.shape[-1]) < cluster.placed.unsqueeze(-1))


@some
@given(play=plays())
def test_each_job_is_in_exactly_one_queue_place_or_none(play: Play) -> None:
    for moment in moments(play):
        cluster = moment.cluster
        behind = torch.arange(play.queue_places)
        place = (cluster.head.unsqueeze(-1) + behind) % play.queue_places
        held = cluster.queue.gather(-1, place)[behind < cluster.length.unsqueeze(-1)]
        assert torch.equal(held.sort().values, queued(moment).nonzero().squeeze(-1))


@some
@given(play=plays())
def test_full_queues_refuse_the_last_comers_by_rank(play: Play) -> None:
    room = torch.empty(0)
    for moment in moments(play):
        if moment.phase == "released":
            room = play.queue_places - moment.cluster.length.view(-1, len(play.capacity))
        elif moment.phase == "placed":
            for b, m in np.ndindex(*room.shape):
                comers = [n for n in play.rank[moment.t, b].argsort()
                          if moment.send[b, n] and play.machine[moment.t, b, n] == m]  # fmt: skip
                taken = [bool(moment.taken[b, n]) for n in comers]
                assert taken == [i < room[b, m] for i in range(len(comers))]
            assert not (moment.taken & ~moment.send).any()


@some
@given(play=plays())
def test_no_head_waits_that_fits(play: Play) -> None:
    capacity = torch.from_numpy(play.capacity).repeat(play.arrived.shape[1], 1)
    for moment in moments(play):
        if moment.phase == "started":
            cluster = moment.cluster
            head = cluster.queue.gather(-1, cluster.head.unsqueeze(-1)).squeeze(-1)
            fits = (moment.tape.demand[head] <= capacity - cluster.used).all(-1)
            assert not (fits & (cluster.length > 0)).any()


@some
@given(play=plays())
def test_work_is_what_is_left_of_every_job(play: Play) -> None:
    for moment in moments(play):
        cluster, tape = moment.cluster, moment.tape
        full = (tape.demand[:, :-1] * tape.base_steps.unsqueeze(-1)).double()
        left = (cluster.finish - moment.t) / (cluster.finish - cluster.start).clamp(min=1)
        expected = owned(play, queued(moment), full, cluster)
        expected += owned(play, running(moment), full * left.double().unsqueeze(-1), cluster)
        # float32 with a handful of additions a step: some 1e-6 of the largest sum that was ever held.
        torch.testing.assert_close(cluster.work.double(), expected, rtol=1e-5, atol=1e-5 * float(full.sum()))


@some
@given(play=plays())
def test_a_machine_without_jobs_has_exactly_no_work(play: Play) -> None:
    for moment in moments(play):
        cluster = moment.cluster
        assert (cluster.work >= 0).all()
        if moment.phase == "released":
            assert (cluster.work[(cluster.used[:, -1] == 0) & (cluster.length == 0)] == 0).all()
            assert (cluster.drain[cluster.used[:, -1] == 0] == 0).all()


@some
@given(play=plays(), data=st.data())
def test_environments_do_not_touch_each_other(play: Play, data: st.DataObject) -> None:
    b = data.draw(st.integers(0, play.arrived.shape[1] - 1))
    one = slice(b, b + 1)
    alone = replace(
        play, demand=play.demand[one], base_steps=play.base_steps[one], arrived=play.arrived[:, one],
        machine=play.machine[:, one], send=play.send[:, one], rank=play.rank[:, one],
    )  # fmt: skip
    machines = len(play.capacity)
    rows = slice(b * machines, (b + 1) * machines)
    for ours, theirs in zip(moments(alone), moments(play), strict=True):
        for name in ("used", "waiting", "work", "drain", "length", "head"):
            assert torch.equal(getattr(ours.cluster, name), getattr(theirs.cluster, name)[rows]), name
