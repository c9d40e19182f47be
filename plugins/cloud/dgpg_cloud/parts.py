"""States of a batch taken apart and put together: what environments save is the same whoever they share a batch with.

Only names of jobs and the length of lists are a matter of the batch: job l of dispatcher n of environment b is row
(b N + n) L + l.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from dgpg_cloud.seats import NOWHERE

State = Mapping[str, Any]
LATER = ("arrived", "rank", "release", "slowdown")
"""Fields that begin with time; environments are the dimension after it."""
EMPTY = {"demand": 0, "base_steps": 1, "kind": 0, "seat": NOWHERE, "machine": -1, "start": -1, "finish": -1}
"""Fields with a row for each place in a dispatcher's list, and what stands where there is no job."""


def apart(state: State, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """What batches of so many environments each, in this order, would have saved.

    Args:
        state: of a batch.
        sizes: numbers of environments, which add up to B.
    """
    ends = accumulate(sizes)
    return [_part(state, end - size, end) for size, end in zip(sizes, ends, strict=True)]


def joined(states: Sequence[State]) -> dict[str, Any]:
    """What one batch of all these environments would have saved; all are in the same step of their episodes."""
    length = max(state["length"] for state in states)
    firsts = [0, *accumulate(len(state["tape"]["older"]) for state in states)]
    moved = [_laid(state, length, first) for state, first in zip(states, firsts, strict=False)]

    def one(part: str) -> dict[str, Tensor]:
        return {name: torch.cat([x[part][name] for x in moved], int(name in LATER)) for name in moved[0][part]}

    streams = {"streams": [stream for state in states for stream in state["streams"]["streams"]]}
    whole = {"length": length, "tape": one("tape"), "cluster": one("cluster")}
    return {**states[0], "streams": streams, **whole}


def _part(state: State, begin: int, end: int) -> dict[str, Any]:
    """Environments `begin` to `end` as a batch of their own, whose lists are as long as the longest of theirs."""
    envs = len(state["tape"]["older"])

    def cut(name: str, x: Tensor) -> Tensor:
        each = x.shape[int(name in LATER)] // envs
        return x.narrow(int(name in LATER), begin * each, (end - begin) * each).clone()

    part = {
        "t": state["t"],
        "streams": {"streams": state["streams"]["streams"][begin:end]},
        "length": state["length"],
        **{table: {name: cut(name, x) for name, x in state[table].items()} for table in ("tape", "cluster")},
    }
    length = max(1, int(part["tape"]["arrived"][-1].max()))
    return _laid(part, length, 0, begin)


def _laid(state: State, length: int, first: int, before: int = 0) -> dict[str, Any]:
    """The same environments where lists have another length.

    Args:
        state: of some environments.
        length: L from now on, no less than there are jobs in any list.
        first: number of the first of them in the batch they are for.
        before: its number in the batch whose names of jobs `state` has.
    """
    envs, agents = state["tape"]["older"].shape
    lists = envs * agents

    def places(name: str, x: Tensor) -> Tensor:
        if name not in EMPTY:
            return x
        old = x.view(lists, state["length"], *x.shape[1:])[:, :length]
        new = x.new_full((lists, length, *x.shape[1:]), EMPTY[name])
        new[:, : old.shape[1]] = old
        return new.flatten(0, 1)

    tape, cluster = ({name: places(name, x) for name, x in state[table].items()} for table in ("tape", "cluster"))
    owner, place = cluster["queue"] // state["length"], cluster["queue"] % state["length"]
    # A place in a queue that no job has had yet holds a zero, which is no job of a later environment.
    owner = (owner - before * agents).clamp(min=0) + first * agents
    cluster["queue"] = owner * length + place
    return {**state, "length": length, "tape": tape, "cluster": cluster}
