"""Splits driven through UXsim, a mesoscopic simulator in which queues are physical.

T. Seo, UXsim: lightweight mesoscopic traffic flow simulator in pure Python, 2023 (extra `judge`). Vehicles follow each
other (Newell 2002), wait where more arrive than a link lets out, and full links block those behind.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from dgpg.errors import ConfigError
from dgpg_traffic.arrays import FloatArray
from dgpg_traffic.instance import Instance
from dgpg_traffic.judge import vehicles
from dgpg_traffic.judge.replay import Replay
from dgpg_traffic.judge.vehicles import JAM, LANE, LIMIT, MOST, PLATOON, SPEED, Drive, busiest, departures, roads
from dgpg_traffic.network.network import Network

GLANCE = 300.0
"""Seconds after which it is looked whether all have arrived: empty roads take as long to compute as full ones."""
RAMP = 5.0
"""Seconds on each of the two ramps of a trip, one step of UXsim; not counted as travel."""


def ready() -> None:
    """Nothing if UXsim is installed.

    Raises:
        ConfigError: it is not.
    """
    _uxsim()


def drive(instance: Instance, shown: Replay, day: int) -> Drive:
    """The busiest period of a day of a replay in UXsim."""
    t = busiest(shown, day)
    going = shown.demand[t, day, :, None] * shown.splits[t, day]
    scale = vehicles.PLATOONS * PLATOON / going.sum()
    world = make_world(instance, scale * shown.capacity[t, day])
    links, head, per_pair = instance.routes.links, instance.network.head, instance.config.agents_per_pair
    fixed, added = instance.routes.times(instance.network.fixed), []
    for agent, slot, start in departures(scale * going / PLATOON):
        route = links[agent // per_pair, slot]
        route = route[route >= 0]
        added.append(fixed[agent // per_pair, slot])
        on, off = f"on{route[0]}", f"off{head[route[-1]]}"
        world.addVehicle(on, off, start).enforce_route([on, *map(str, route), off])
    while world.VEHICLES_LIVING and world.check_simulation_ongoing():
        world.exec_simulation(duration_t2=GLANCE)
    trips = [(one.state == "end", one.departure_time, one.arrival_time) for one in world.VEHICLES.values()]
    arrived, begun, ended = np.array(trips, np.float64).T
    seconds = np.where(arrived > 0, ended * world.DELTAT - 2 * RAMP, LIMIT) - begun * world.DELTAT
    return Drive((seconds + instance.config.time_unit * np.array(added)) / 60, arrived)


def make_world(instance: Instance, capacity: FloatArray) -> Any:
    """UXsim's world of the network, each link with so much capacity, vehicles an hour `[L]`, and ramps."""
    network = instance.network
    # Routes are given; UXsim's own generator, seeded here, decides who goes first where links merge.
    world = _uxsim().World(
        name=network.name, deltan=PLATOON, tmax=LIMIT, random_seed=0, print_mode=0, save_mode=0, show_mode=0,
        show_progress=0, vehicle_logging_timestep_interval=-1, duo_update_time=10 * LIMIT,
    )  # fmt: skip
    for node in range(network.num_nodes):
        world.addNode(f"n{node}", 0, 0)
    made = roads(instance, capacity)
    for link in range(network.num_links):
        world.addLink(
            str(link), f"n{network.tail[link]}", f"n{network.head[link]}", length=float(made.length[link]),
            free_flow_speed=SPEED, number_of_lanes=int(made.lanes[link]), jam_density_per_lane=JAM,
            capacity_out=float(made.rate[link]),
        )  # fmt: skip
    _add_ramps(world, network)
    return world


def _add_ramps(world: Any, network: Network) -> None:
    """A way on to each link and a way off at each node, `on{link}` and `off{node}`, wide and one step long.

    UXsim lets vehicles out of a node in order of departure, so that one that waits for a full link would hold up those
    who set out for others; and its capacity_out does not hold for those whose trip ends on the link.
    """
    lanes = int(np.ceil(MOST / LANE))
    wide = {"length": RAMP * SPEED, "free_flow_speed": SPEED, "number_of_lanes": lanes, "jam_density_per_lane": JAM}
    for link, tail in enumerate(network.tail):
        world.addNode(f"on{link}", 0, 0)
        world.addLink(f"on{link}", f"on{link}", f"n{tail}", **wide)
    for node in range(network.num_nodes):
        world.addNode(f"off{node}", 0, 0)
        world.addLink(f"off{node}", f"n{node}", f"off{node}", **wide)


def _uxsim() -> Any:
    try:
        return import_module("uxsim")
    except ImportError as error:
        raise ConfigError(f"--judge needs uxsim ({error}): pip install 'dgpg-plugin-traffic[judge]'") from error
