"""Zones of several nodes: a node of their own, joined to each of these by connectors that take no time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dgpg_traffic.arrays import BoolArray, FloatArray, IntArray
from dgpg_traffic.network.network import Network


def zone_nodes(zone: IntArray, centroid: BoolArray) -> dict[int, list[int]]:
    """Positions of the nodes of each zone above 0, from those of nodes `[V]`; its centroids alone, where it has any."""
    found: dict[int, list[int]] = {}
    for number in np.unique(zone[zone > 0]).tolist():
        own = np.flatnonzero(zone == number)
        found[number] = (own[centroid[own]] if centroid[own].any() else own).tolist()
    return found


def joined(network: Network, zones: dict[int, list[int]]) -> tuple[Network, Callable[[str], list[str]]]:
    """The network with its pairs between nodes.

    Args:
        network: origins and destinations are places among `zones`.
        zones: positions of the nodes of each.

    Returns:
        The network, and the source of each link that was added, given that of the network.
    """
    several = [zone for zone, nodes in zones.items() if len(nodes) > 1]
    first = int(network.node_number.max()) + 1
    own = {zone: network.num_nodes + i for i, zone in enumerate(several)}
    end = np.array([own.get(zone, nodes[0]) for zone, nodes in zones.items()], np.int64)
    network = replace(network, origin=end[network.origin], destination=end[network.destination])
    if not several:
        return network, lambda _: []
    outer = np.array([own[zone] for zone in several for _ in zones[zone]], np.int64)
    inner = np.array([node for zone in several for node in zones[zone]], np.int64)
    tail, head = np.concatenate([outer, inner]), np.concatenate([inner, outer])
    numbers = first + np.arange(len(several))
    place = np.stack([network.place[zones[zone]].mean(0) for zone in several])

    def more(values: FloatArray, value: float) -> FloatArray:
        return np.concatenate([values, np.full(len(tail), value)])

    # A connector's time does not depend on its flow; its capacity only has to be out of the way of who looks at it.
    wide = max(float(network.capacity.max()), 10 * float(network.demand.sum()), 1.0)
    told = f"{len(several)} zones have several nodes: joined to them by connectors that take no time"
    grown = replace(
        network,
        node_number=np.concatenate([network.node_number, numbers]),
        through=np.concatenate([network.through, np.zeros(len(several), bool)]),
        place=np.concatenate([network.place, place]),
        tail=np.concatenate([network.tail, tail]), head=np.concatenate([network.head, head]),
        capacity=more(network.capacity, wide), free_time=more(network.free_time, 0.0), b=more(network.b, 0.0),
        power=more(network.power, 1.0), length=more(network.length, 0.0), toll=more(network.toll, 0.0),
        fixed=more(network.fixed, 0.0),
        notes=(*network.notes, told),
    )  # fmt: skip
    return grown, lambda where: [f"{where}: connector of a zone"] * len(tail)
