"""Where the jobs run that a trace has running when an episode starts: a trace says that they run, not where."""

from __future__ import annotations

import numpy as np

from dgpg_cloud.instance import Instance
from dgpg_cloud.workload import IntArray, with_slots

NOWHERE = -1


def seats(instance: Instance, row: IntArray) -> IntArray:
    """Machine of each of the jobs `row` `[J]`, rows of the pool: all of them run at once. NOWHERE if there is no room.

    The largest job first, each on the machine whose largest share in use is least with it. Jobs of one moment fitted
    on the machines that ran them; on others, or without their candidates, a few may not.
    """
    capacity, free = instance.slotted, instance.slotted.copy()
    demand, kind = with_slots(instance.pool.demand[row]), instance.pool.kind[row]
    inverse = 1 / np.maximum(capacity, 1)
    size = (demand / np.maximum(capacity.max(0), 1)).max(1)
    result = np.full(len(row), NOWHERE)
    for j in np.argsort(-size, kind="stable"):  # once an episode, not a step
        left = free - demand[j]
        room = (left >= 0).all(1) & instance.allowed[kind[j]]
        share = np.where(room, (1 - left * inverse)[:, :-1].max(1), np.inf)
        machine = int(share.argmin())
        if room[machine]:
            result[j] = machine
            free[machine] = left[machine]
    return result
