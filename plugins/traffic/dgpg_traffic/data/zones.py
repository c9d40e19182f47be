"""Zones of several nodes: a node of their own, joined to each of these by connectors that take no time.

Centroids may not be crossed, not from such a node either: those of one zone become that node.
"""

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
    streets = [zone for zone in several if network.through[zones[zone]].all()]
    network = _merged(network, {own[zone]: zones[zone] for zone in several if zone not in streets})
    outer = np.array([own[zone] for zone in streets for _ in zones[zone]], np.int64)
    inner = np.array([node for zone in streets for node in zones[zone]], np.int64)
    tail, head = np.concatenate([outer, inner]), np.concatenate([inner, outer])
    numbers = first + np.arange(len(several))
    place = np.stack([network.place[zones[zone]].mean(0) for zone in several])

    def more(values: FloatArray, value: float) -> FloatArray:
        return np.concatenate([values, np.full(len(tail), value)])

    # A connector's time does not depend on its flow; its capacity only has to be out of the way of who looks at it.
    wide = max(float(network.capacity.max()), 10 * float(network.demand.sum()), 1.0)
    told = (
        *_told(len(streets), "nodes", "joined to them by connectors that take no time"),
        *_told(len(several) - len(streets), "centroids", "taken as one node"),
    )
    grown = replace(
        network,
        node_number=np.concatenate([network.node_number, numbers]),
        through=np.concatenate([network.through, np.zeros(len(several), bool)]),
        place=np.concatenate([network.place, place]),
        tail=np.concatenate([network.tail, tail]), head=np.concatenate([network.head, head]),
        capacity=more(network.capacity, wide), free_time=more(network.free_time, 0.0), b=more(network.b, 0.0),
        power=more(network.power, 1.0), length=more(network.length, 0.0), toll=more(network.toll, 0.0),
        fixed=more(network.fixed, 0.0),
        notes=(*network.notes, *told),
    )  # fmt: skip
    return grown, lambda where: [f"{where}: connector of a zone"] * len(tail)


def _merged(network: Network, nodes_of: dict[int, list[int]]) -> Network:
    """The network with the ends of links at some nodes moved to a node of their own; links within one stay."""
    at = np.arange(network.num_nodes)
    for own, nodes in nodes_of.items():
        at[nodes] = own
    tail, head = at[network.tail], at[network.head]
    within = tail == head
    return replace(network, tail=np.where(within, network.tail, tail), head=np.where(within, network.head, head))


def _told(count: int, nodes: str, what: str) -> tuple[str, ...]:
    return (f"{count} zone{' has' if count == 1 else 's have'} several {nodes}: {what}",) if count else ()
