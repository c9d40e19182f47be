"""Capacities that mean nothing: of 1, because b of the delay function holds B / capacity^power (Winnipeg, Barcelona).

Times are right all the same. What exceeds such a capacity does not wait, and a link is not full there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dgpg_traffic.arrays import FloatArray
from dgpg_traffic.network.network import Network

FAR = 5.0
"""Load from which on flows are out of all proportion: Sioux Falls is full, and 2.6 is the most in its equilibrium."""


def suspicious(network: Network) -> bool:
    """Are most capacities 1 or less, of the links whose time depends on flow: `arbitrary` may hold."""
    of = network.capacity[network.b > 0]
    return bool(len(of)) and float((of <= 1).mean()) > 0.5


def arbitrary(network: Network, flow: FloatArray) -> bool:
    """Do capacities mean nothing, at usual flows `[L]`.

    Most are exactly 1 and flows are larger; or most are at most 1, which a large unit of flow may explain, and flows
    are `FAR` above them.
    """
    if not suspicious(network):
        return False
    used = (network.b > 0) & (flow > 0)
    load = float(np.median(flow[used] / network.capacity[used])) if used.any() else 0.0
    ones = float((network.capacity[network.b > 0] == 1).mean()) > 0.5
    return load > (1.0 if ones else FAR)


def explained(network: Network) -> str:
    """What is wrong with the capacities of such a network, and what to do, for a message."""
    depends = network.b > 0
    few = int((network.capacity[depends] <= 1).sum())
    return (
        f"{network.name} has capacities of 1 or less on {few} of the {int(depends.sum())} links whose time depends on "
        "flow, and far larger flows: b of the delay function absorbs them"
    )


def rated(network: Network, b: float | None) -> Network:
    """The same times by capacities at which a link takes 1 + b of its free-flow time; as it is where `b` is None."""
    if b is None:
        return network
    depends = network.b > 0
    share = np.where(depends, b / np.where(depends, network.b, 1.0), 1.0)
    capacity = network.capacity * share ** (1 / network.power)
    note = f"capacities are those at which a link takes {1 + b:g} of its free-flow time (standard_b)"
    return replace(
        network, capacity=capacity, b=np.where(depends, b, network.b), notes=(*network.notes, note)
    )  # fmt: skip
