"""How people drive after many days: each learns the times of its routes and takes the one it believes fastest.

Exponential averaging of what was experienced (as the human learners of RouteRL and URB), without chance of its own:

    c_i(k) <- (1 - w) c_i(k) + w t_i    on the route k that was taken; w = 1 / visits, but at least `memory`
    k_i    =  argmin_k c_i(k)           c_i(k) begins at the time without traffic

Only a share of the drivers reconsiders on a day, drawn by seed, as all at once would chase each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dgpg.files import cache
from dgpg_traffic.sumo.day import Days, Outcome
from dgpg_traffic.sumo.network import Floats, Ints

KEPT = 10
"""Last days of which routes and times are kept."""
VERSION = 4


@dataclass(frozen=True)
class Learning:
    """How people learn."""

    days: int
    memory: float
    """Least weight of the newest experience."""
    share: float
    """Of drivers that reconsider on a day."""
    seed: int
    sumo_seed: int | None
    """Of every day; None draws one a day."""


@dataclass(frozen=True)
class Humans:
    """n drivers after their days."""

    choice: Ints
    """Route that each believes fastest, `[n]`."""
    believed: Floats
    """Minutes of each route, `[n, K]`; infinite where there is none."""
    mean: Floats
    """Minutes, of each day, `[D]`."""
    moved: Floats
    """Share of drivers that took another route than the day before, `[D]`."""
    failed: Floats
    """Drivers that did not arrive, `[D]`."""
    choices: Ints
    """Of the last days, `[H, n]`."""
    passed: Floats
    """Seconds on each edge of the route, of the last days, `[H, n, L]`."""


def learn(days: Days, free_minutes: Floats, learning: Learning, told: Callable[[str], None] = print) -> Humans:
    """Play the days of learning, or take what an earlier run found for the same town and settings.

    Args:
        days: of the town.
        free_minutes: of each route without traffic, infinite where there is none, `[n, K]`.
        learning: how.
        told: where progress goes, as it takes minutes.
    """
    # An interrupted learning goes on where whole tens of days end.
    done, state = 0, None
    marks = [*range(10, learning.days, 10), learning.days]
    for mark in reversed(marks):
        state = _recall(days, free_minutes, learning, mark)
        if state is not None:
            done = mark
            break
    lesson = Lesson.start(free_minutes) if state is None else Lesson(**state)
    for mark in (m for m in marks if m > done):
        told(f"humans learn: days {done + 1} to {mark} of {learning.days}, kept in {cache.folder('sumo')}")
        for day in range(done, mark):
            seed = learning.sumo_seed if learning.sumo_seed is not None else day_seed(learning.seed, day)
            taken = lesson.choice
            lesson.take(days.play(taken, seed), taken, learning, day)
        cache.write(_file(days, free_minutes, learning, mark), vars(lesson))
        done = mark
    return Humans(
        lesson.choice, lesson.believed, lesson.mean, lesson.moved, lesson.failed, lesson.choices, lesson.passed
    )


@dataclass
class Lesson:
    """Where the learning of people stands."""

    choice: Ints
    believed: Floats
    visits: Ints
    mean: Floats
    moved: Floats
    failed: Floats
    choices: Ints
    passed: Floats

    @classmethod
    def start(cls, free_minutes: Floats) -> Lesson:
        """Everybody on the route that is fastest without traffic."""
        none = np.zeros(0)
        first, count = free_minutes.argmin(1), len(free_minutes)
        return cls(
            first, free_minutes.copy(), np.zeros(free_minutes.shape, np.int64), none, none, none,
            np.zeros((0, count), np.int64), np.zeros((0, count, 0)),
        )  # fmt: skip

    def take(self, outcome: Outcome, taken: Ints, learning: Learning, day: int) -> None:
        """What drivers make of a day in which they took routes `taken` `[n]`."""
        everyone = np.arange(len(taken))
        self.visits[everyone, taken] += 1
        weight = np.maximum(learning.memory, 1 / self.visits[everyone, taken])
        old = self.believed[everyone, taken]
        self.believed[everyone, taken] = (1 - weight) * old + weight * outcome.minutes
        thinks = np.random.default_rng([learning.seed, 3, day]).random(len(taken)) < learning.share
        self.choice = np.where(thinks, self.believed.argmin(1), taken)
        self.mean = np.append(self.mean, outcome.minutes.mean())
        self.moved = np.append(self.moved, (self.choice != taken).mean())
        self.failed = np.append(self.failed, (~outcome.arrived).sum())
        self.choices = np.concatenate([self.choices, taken[None]])[-KEPT:]
        before = self.passed if self.passed.shape[-1] else np.zeros((0, *outcome.passed.shape))
        self.passed = np.concatenate([before, outcome.passed[None]])[-KEPT:]


def day_seed(seed: int, day: int) -> int:
    """SUMO's seed of a day that is drawn."""
    return int(np.random.SeedSequence([seed, 4, day]).generate_state(1)[0] % 2**31)


def _file(days: Days, free_minutes: Floats, learning: Learning, mark: int) -> Path:
    rules = [float(x) for x in (days.rules.stuck_s, days.rules.wait_s, days.rules.penalty_min)]  # not limit_s
    weights = f"{float(learning.memory)} {float(learning.share)}"
    settings = f"humans {VERSION} {weights} {learning.seed} {learning.sumo_seed} {rules}"
    network = hashlib.sha256(days.network.path.read_bytes()).hexdigest()
    key = cache.key(f"{settings} {network}", [days.depart, days.edges, free_minutes])
    return cache.folder("sumo") / f"humans-{key}-{mark}.npz"


def _recall(days: Days, free_minutes: Floats, learning: Learning, mark: int) -> dict[str, Any] | None:
    return cache.read(_file(days, free_minutes, learning, mark), list(Lesson.__dataclass_fields__))
