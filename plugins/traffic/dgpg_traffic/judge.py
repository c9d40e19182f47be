"""An independent judge: splits driven through UXsim, a mesoscopic simulator in which queues are physical.

T. Seo, UXsim: lightweight mesoscopic traffic flow simulator in pure Python, 2023 (extra `judge`). It knows nothing of
delay functions: vehicles follow each other (Newell 2002), wait where more arrive than a link lets in, and full links
block those behind. So it judges whether the model's picture of who should drive where survives another physics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from dgpg.errors import ConfigError
from dgpg.protocols import Policy

from .arrays import FloatArray, IntArray
from .assignment import USER_EQUILIBRIUM
from .config import Config
from .instance import Instance, build
from .replay import Replay, replay

PLATOON = 5
"""Vehicles that UXsim moves together."""
DAYS = 2
"""Most days that are driven: one takes seconds, and more where roads jam."""
PLATOONS = 2000
"""Released in a period: flows and capacities are multiplied alike to make it so, which changes no queue."""
PERIOD = 3600.0
"""Seconds in which the vehicles of a period set out."""
LIMIT = 4 * PERIOD
"""Seconds after which those who are still on the road are counted as they are."""
SECONDS = 60.0
"""Of the network's unit of time: it is taken for a minute."""
SPEED = 20.0
"""Of free flow, m/s; lengths follow from free-flow times."""
LANE = 0.8
"""Vehicles a second that one lane can carry at most."""


@dataclass(frozen=True)
class Drive:
    """Vehicles of one period, by platoon."""

    time: FloatArray
    """On the road, minutes, `[V]`; those who did not arrive, until the end."""
    arrived: FloatArray
    """1 for those who did, `[V]`."""


def judge(
    config: Config, policies: Mapping[str, Policy], episodes: int, seed: int
) -> Sequence[Mapping[str, float | str]]:
    """One row a policy: the busiest period of at most two days, from empty roads, with the policy's splits.

    A link lets through its capacity and no more, incidents included. Delay functions are another picture of it: they
    allow flows above capacity (2.5 times in the optimum of Sioux Falls) and charge for flows below it.

    Raises:
        ConfigError: uxsim is not installed, or the equilibrium is not among the policies.
    """
    if USER_EQUILIBRIUM.name not in policies:
        expected = f"expected {USER_EQUILIBRIUM.name} among them, to compare with: see domain.baselines(config)"
        raise ConfigError(f"policies = {list(policies)}: {expected}")
    _uxsim()
    instance = build(config)
    driven = {}
    for name, policy in policies.items():
        shown = replay(config, policy, min(episodes, DAYS), seed)
        driven[name] = [drive(instance, shown, day) for day in range(shown.demand.shape[1])]
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
    links = instance.routes.links
    for agent, slot, start in departures(scale * vehicles / PLATOON):
        route = links[agent // instance.config.agents_per_pair, slot]
        names = [str(link) for link in route[route >= 0]]
        tail, head = instance.network.tail[route[0]], instance.network.head[int(names[-1])]
        world.addVehicle(f"n{tail}", f"n{head}", start).enforce_route(names)
    world.exec_simulation()
    trips = [(one.state == "end", one.departure_time, one.arrival_time) for one in world.VEHICLES.values()]
    arrived, begun, ended = np.array(trips, np.float64).T
    return Drive((np.where(arrived > 0, ended * world.DELTAT, LIMIT) - begun * world.DELTAT) / 60, arrived)


def make_world(instance: Instance, capacity: FloatArray) -> Any:
    """UXsim's world of the network, each link with so much capacity, vehicles an hour `[L]`."""
    network = instance.network
    # UXsim draws colours only from its own generator; routes are given, so nothing else is left to chance.
    world = _uxsim().World(
        name=network.name, deltan=PLATOON, tmax=LIMIT, random_seed=0, print_mode=0, save_mode=0, show_mode=0,
        show_progress=0, vehicle_logging_timestep_interval=-1, duo_update_time=10 * LIMIT,
    )  # fmt: skip
    for node in range(network.num_nodes):
        world.addNode(f"n{node}", 0, 0)
    rate = capacity / 3600
    lanes = np.maximum(np.ceil(rate / LANE), 1).astype(int)
    length = np.maximum(network.free_time * SECONDS, PLATOON) * SPEED
    for link in range(network.num_links):
        world.addLink(
            str(link), f"n{network.tail[link]}", f"n{network.head[link]}", length=float(length[link]),
            free_flow_speed=SPEED, number_of_lanes=int(lanes[link]), jam_density_per_lane=0.2,
            capacity_in=float(rate[link]),  # its capacity_out does not hold for those whose trip ends there
        )  # fmt: skip
    return world


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
