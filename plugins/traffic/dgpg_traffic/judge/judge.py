"""An independent judge: splits driven through UXsim, a mesoscopic simulator in which queues are physical.

T. Seo, UXsim: lightweight mesoscopic traffic flow simulator in pure Python, 2023 (extra `judge`). It knows nothing of
delay functions: vehicles follow each other (Newell 2002), wait where more arrive than a link lets out, and full links
block those behind. So it judges whether the model's picture of who should drive where survives another physics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from dgpg.domain import Policy
from dgpg.errors import ConfigError
from dgpg_traffic.arrays import FloatArray, IntArray
from dgpg_traffic.assignment.assign import USER_EQUILIBRIUM
from dgpg_traffic.config import Config
from dgpg_traffic.instance import TRUE, Instance, build
from dgpg_traffic.judge.replay import Replay, replay
from dgpg_traffic.network.capacities import explained
from dgpg_traffic.network.network import Network

DAYS = 2
"""Most days that are driven: one takes seconds, and more where roads jam."""
PLATOON = 5
"""Vehicles that UXsim moves together."""
PLATOONS = 2000
"""Released in a period: flows and capacities are multiplied alike to make it so.

It changes no queue at a point. A link has a lane at least, so one of little capacity has room for more vehicles than
it should; with room in proportion to capacity Sioux Falls is gridlocked at any splits.
"""
PERIOD = 3600.0
"""Seconds in which the vehicles of a period set out."""
LIMIT = 4 * PERIOD
"""Seconds after which those who are still on the road are counted as they are."""
GLANCE = 300.0
"""Seconds after which it is looked whether all have arrived: empty roads take as long to compute as full ones."""
SPEED = 20.0
"""Of free flow, m/s; lengths follow from free-flow times."""
JAM = 0.2
"""Vehicles a metre on one lane that stands."""
LANE = 0.8
"""Vehicles a second that one lane can carry at most, of speed, jam density and a reaction time of 1 s."""
ROOM = 2.0
"""Flow that a link's lanes carry over what its end lets out, as at a signal: without, there is no room for a queue."""
MOST = 2 * PLATOONS * PLATOON / PERIOD
"""Vehicles a second above which a capacity is none: all of them on one link are half of it."""
RAMP = 5.0
"""Seconds on each of the two ramps of a trip, one step of UXsim; not counted as travel."""


@dataclass(frozen=True)
class Drive:
    """Vehicles of one period, by platoon."""

    time: FloatArray
    """On the road, minutes, `[V]`; those who did not arrive, until the end; tolls and lengths that count are added."""
    arrived: FloatArray
    """1 for those who did, `[V]`."""


def judge(
    config: Config, policies: Mapping[str, Policy], episodes: int, seed: int
) -> Sequence[Mapping[str, float | str]]:
    """One row a policy: the busiest period of at most two days, from empty roads, with the policy's splits.

    A link lets out its capacity and no more, incidents included; who waits, waits on it. Delay functions are another
    picture of it: they allow flows above capacity (2.5 times in the optimum of Sioux Falls) and charge for flows below
    it. Where they are steep in flow alone, as on braess, capacity is a parameter and times say little: compare.

    Raises:
        ConfigError: uxsim is not installed, the equilibrium is not among the policies, or capacities are arbitrary.
    """
    if USER_EQUILIBRIUM.name not in policies:
        expected = f"expected {USER_EQUILIBRIUM.name} among them, to compare with: see domain.baselines(config)"
        raise ConfigError(f"policies = {list(policies)}: {expected}")
    _uxsim()
    instance = build(config)
    if instance.meaningless:
        raise ConfigError(
            f"--judge lets out of a link what its capacity says: {explained(instance.network)}: set {TRUE}"
        )
    days, driven = min(episodes, DAYS), {}
    for name, policy in policies.items():
        shown = replay(config, policy, days, seed)
        driven[name] = [drive(instance, shown, day) for day in range(days)]
    usual = _mean_time(driven[USER_EQUILIBRIUM.name])
    return [
        {
            "name": name,
            "travel_time_min": _mean_time(found),
            "over_user_equilibrium_percent": 100 * (_mean_time(found) / usual - 1),
            "arrived_percent": 100 * float(np.concatenate([one.arrived for one in found]).mean()),
        }
        for name, found in driven.items()
    ]


def drive(instance: Instance, shown: Replay, day: int) -> Drive:
    """The busiest period of a day of a replay in UXsim."""
    t = busiest(shown, day)
    vehicles = shown.demand[t, day, :, None] * shown.splits[t, day]
    scale = PLATOONS * PLATOON / vehicles.sum()
    world = make_world(instance, scale * shown.capacity[t, day])
    links, head, per_pair = instance.routes.links, instance.network.head, instance.config.agents_per_pair
    fixed, added = instance.routes.times(instance.network.fixed), []
    for agent, slot, start in departures(scale * vehicles / PLATOON):
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
    rate = np.minimum(capacity / 3600, MOST)
    lanes = np.maximum(np.ceil(ROOM * rate / LANE), 1).astype(int)
    length = np.maximum((network.free_time - network.fixed) * instance.config.time_unit, PLATOON) * SPEED
    for link in range(network.num_links):
        world.addLink(
            str(link), f"n{network.tail[link]}", f"n{network.head[link]}", length=float(length[link]),
            free_flow_speed=SPEED, number_of_lanes=int(lanes[link]), jam_density_per_lane=JAM,
            capacity_out=float(rate[link]),
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


def departures(platoons: FloatArray) -> list[tuple[int, int, float]]:
    """Agent, slot and second of each platoon, of so many a route `[N, K]`, spread evenly over the period.

    Whole numbers by rounding the running sum: no pair's vehicles, however few, are lost on the whole.
    """
    ends = np.rint(np.cumsum(platoons.reshape(-1))).astype(np.int64)
    counts: IntArray = np.diff(ends, prepend=0)
    found = []
    for place in np.flatnonzero(counts):
        agent, slot = divmod(int(place), platoons.shape[1])
        # Each route begins at another moment, by the golden ratio: all at once would be a queue that nobody meant.
        offset = (place * 0.6180339887) % 1
        times = (np.arange(counts[place]) + offset) * PERIOD / counts[place]
        found += [(agent, slot, float(second)) for second in times]
    return sorted(found, key=lambda one: one[2])


def busiest(shown: Replay, day: int) -> int:
    """The period of a day with the most vehicles."""
    return int(shown.demand[:, day].sum(-1).argmax())


def _mean_time(found: Sequence[Drive]) -> float:
    return float(np.concatenate([one.time for one in found]).mean())


def _uxsim() -> Any:
    try:
        return import_module("uxsim")
    except ImportError as error:
        raise ConfigError(f"--judge needs uxsim ({error}): pip install 'dgpg-plugin-traffic[judge]'") from error
