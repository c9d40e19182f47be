"""A town with its people and its fleet: everything that does not change from day to day."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dgpg.errors import ConfigError, DataError
from dgpg_traffic.sumo import closing, files, humans, network, routes, trips
from dgpg_traffic.sumo.config import Config
from dgpg_traffic.sumo.day import Days, Rules
from dgpg_traffic.sumo.humans import Humans, Learning
from dgpg_traffic.sumo.network import Floats, Ints, Network


@dataclass(frozen=True, eq=False)
class Instance:
    """n drivers, of which N are a fleet."""

    config: Config
    days: Days
    names: tuple[str, ...]
    """Of drivers, `[n]`."""
    free_minutes: Floats
    """Of each route without traffic, infinite where there is none, `[n, K]`."""
    humans: Humans
    fleet: Ints
    """Which drivers, ascending, `[N]`."""
    counted: NDArray[np.bool_]
    """Whom the objective counts, `[n]`."""
    notes: tuple[str, ...]

    @property
    def network(self) -> Network:
        """Where they drive."""
        return self.days.network

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Routes that there are, of the fleet, `[N, K]`."""
        return np.isfinite(self.free_minutes[self.fleet])


@lru_cache(maxsize=4)
def build(config: Config) -> Instance:
    """The instance of some settings. People's days are played, and kept, when a town is first asked for.

    Raises:
        DataError: files that are missing or wrong.
        ConfigError: a fleet without drivers.
    """
    found = files.find(config.network, config.demand)
    where = network.read(closing.without(found.network, config.closed))
    who = trips.read(where, found.demand, found.ends, config.scale, config.seed)
    ways = routes.draw(where, who, config.routes.most, config.routes.spread, config.routes.longest, config.seed)
    if not ways.kept.any():
        raise DataError(
            f"demand: of {len(who.names)} drivers none has a route for cars ('{who.names[0]}' is the first): is it of "
            f"{where.path.name}?"
        )
    names = tuple(name for name, kept in zip(who.names, ways.kept, strict=True) if kept)
    count = round(config.fleet.share * len(names))
    if count < 1:
        raise ConfigError(f"fleet.share = {config.fleet.share}: of {len(names)} drivers that is none; raise it")
    free = np.where(ways.exists, ways.total(where.free_time) / 60, np.inf)
    day = config.day
    days = Days(where, who.depart[ways.kept], ways.edges, Rules(day.stuck_s, day.wait_s, day.penalty_min, day.limit_s))
    learning = Learning(config.humans.days, config.humans.memory, config.humans.share, config.seed, day.sumo_seed)
    people = humans.learn(days, free, learning, _tell)
    fleet = np.sort(np.random.default_rng([config.fleet.seed, 5]).choice(len(names), count, replace=False))
    counted = np.ones(len(names), bool)
    if config.objective == "fleet":
        counted[:] = False
        counted[fleet] = True
    notes = (*found.notes, *who.notes, *_notes(where, ways, who, people, count))
    return Instance(config, days, names, free, people, fleet, counted, notes)


def _tell(line: str) -> None:
    """To people who wait, not into what a program reads."""
    print(line, file=sys.stderr, flush=True)


def _notes(where: Network, ways: routes.Routes, who: trips.Trips, people: Humans, fleet: int) -> list[str]:
    of = np.bincount(ways.exists.sum(1), minlength=ways.exists.shape[1] + 1)[1:]
    counts = ", ".join(f"{number} have {k + 1}" for k, number in enumerate(of.tolist()) if number)
    lost = [name for name, kept in zip(who.names, ways.kept, strict=True) if not kept]
    notes = [
        f"{len(where.edges)} edges for cars; {len(ways.exists)} drivers, {fleet} of them the fleet; routes: {counts}"
    ]
    if lost:
        notes.append(f"{len(lost)} drivers have no route ('{lost[0]}' is the first): left out")
    last = people.mean[-10:]
    notes.append(
        f"people after {len(people.mean)} days: {last.mean():.3f} minutes a trip (the last {len(last)} days, from "
        f"{people.mean[0]:.3f}), {people.moved[-1]:.1%} changed their route on the last day, "
        f"{people.failed[-10:].mean():.1f} a day did not arrive"
    )
    return notes
