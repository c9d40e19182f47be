"""A day of the fleet as a simulator of one episode, and what is shown of it. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgpg.bridges.simulators import View
from dgpg_traffic.sumo.day import Days, Outcome
from dgpg_traffic.sumo.network import Floats, Ints

SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Plan:
    """What a day of the fleet needs of an instance."""

    days: Days
    people: Ints
    """Routes of all drivers without a fleet, `[n]`."""
    fleet: Ints
    """`[N]`."""
    counted: NDArray[np.bool_]
    """`[n]`."""
    cell: Ints
    """Of each driver, route and place, `[n, K, L]`, -1 where none."""
    num_blocks: int
    sumo_seed: int | None
    agent: Floats
    """Features of drivers, `[N, F]`."""
    choices: Floats
    """Of their routes, `[N, K, C]`."""
    mask: NDArray[np.bool_]


class Town:
    """The town on one day; an episode is a day.

    Args:
        plan: of it.
        seed: of what lasts longer than a day; nothing does.
    """

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan = plan

    def reset(self, seed: int) -> None:
        """The day before anybody has left; SUMO's seed is of `seed` unless every day has the same."""
        self.seed = seed if self.plan.sumo_seed is None else self.plan.sumo_seed
        self.outcome: Outcome | None = None
        self.choice = self.plan.people.copy()

    def step(self, action: Ints) -> None:
        """Play the day in which the fleet takes routes `action` `[N]`."""
        self.choice[self.plan.fleet] = action
        self.outcome = self.plan.days.play(self.choice, self.seed)


def read(town: Town, _: object) -> View:
    """What a driver sees, which is the same every day, and what the day cost."""
    plan, outcome = town.plan, town.outcome
    minutes = np.zeros(len(plan.people)) if outcome is None else outcome.minutes
    counted = minutes[plan.counted]
    own = minutes[plan.fleet]
    people = np.delete(minutes, plan.fleet)
    measures = {"fleet, minutes": own.mean(), "everybody, minutes": minutes.mean()}
    if len(people):
        measures["people, minutes"] = people.mean()
    names = ("not arrived", "stuck", "never set out", "collisions", "teleports", "crashes")
    measures |= {name: 0.0 if outcome is None else outcome.counts[name] for name in names}
    return View(
        agent=plan.agent,
        choices=plan.choices,
        mask=plan.mask,
        central=np.ones(1),
        context={"people": np.ones(1)},
        cost=float(counted.sum()),
        local_reward=-own,
        block_cost=np.zeros(plan.num_blocks) if outcome is None else block_cost(plan, town.choice, outcome),
        measures=measures,
        terminated=outcome is not None,
    )


def block_cost(plan: Plan, choice: Ints, outcome: Outcome) -> Floats:
    """Minutes that those who count spent in each cell, `[G]`.

    Who did not arrive is charged the rest of its penalty where it came to a stop, so that cells add up to the cost.
    """
    everyone = np.arange(len(choice))
    edges, cell = plan.days.edges[everyone, choice], plan.cell[everyone, choice]
    spent = np.nan_to_num(outcome.passed) / SECONDS
    lost = np.flatnonzero(~outcome.arrived)
    places = np.arange(1, edges.shape[-1] + 1)
    stopped = (places * ~np.isnan(outcome.passed[lost])).max(-1)  # the place behind the last that was passed
    spent[lost, stopped] += outcome.minutes[lost] - spent[lost].sum(-1)
    there = (cell >= 0) & plan.counted[:, None]
    found: Floats = np.bincount(cell[there], spent[there], plan.num_blocks).astype(float)
    return found
