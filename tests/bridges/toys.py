"""Simulators without torch, good and bad, for the tests of dgpg.bridges.simulators."""

from __future__ import annotations

import ctypes
import os
import random
import subprocess
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from gymnasium import spaces

from dgpg.bridges.simulators import Simulation, View
from dgpg.domain import Names, numbered
from dgpg.errors import DataError

AGENTS, CHOICES = 3, 2
LONGEST = 9


class Drift:
    """x moves with the sum of actions and noise; an episode ends by itself after 3 to 8 steps, or goes on to 9."""

    def __init__(self, seed: int) -> None:
        self.pull = np.random.default_rng(seed).uniform(0.5, 1.5)

    def reset(self, seed: int) -> None:
        self.chance, self.x, self.t, self.cost = np.random.default_rng(seed), 0.0, 0, 0.0
        self.ends = 3 + int(self.chance.integers(12))

    def step(self, action: np.ndarray) -> None:
        self.t += 1
        self.x += self.pull * float(action.sum()) - 1 + float(self.chance.normal())
        self.cost = self.x**2


def read(sim: Any, _: Any) -> View:
    return View(
        agent=np.full((AGENTS, 1), sim.x),
        context={"x": sim.x, "late": sim.t > 3},
        cost=sim.cost,
        mask=np.array([[True, True], [True, sim.x < 0], [sim.t % 2 == 0] * 2]),
        state=np.array([[sim.x]]),
        measures={"steps": sim.t},
        terminated=sim.t == sim.ends,
    )


def simulation(make: Callable[[int], Any] = Drift, read: Any = read, **changes: Any) -> Simulation:
    parts: dict[str, Any] = {
        "action_space": spaces.MultiDiscrete([CHOICES] * AGENTS),
        "names": Names(numbered("number", 1)),
        "horizon": LONGEST,
        "cost_unit": "1",
    }
    return Simulation(make, read, **{**parts, **changes})


class Global(Drift):
    """Draws from the generators of everybody."""

    def step(self, action: np.ndarray) -> None:
        super().step(action)
        self.x += random.random() + np.random.normal()


class Clock(Drift):
    """Draws from nothing that a seed fixes."""

    def step(self, action: np.ndarray) -> None:
        super().step(action)
        self.x += time.perf_counter() % 1e-3


class Remembers(Drift):
    """Keeps something of former episodes."""

    before = 0

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self.before += 1

    def step(self, action: np.ndarray) -> None:
        super().step(action)
        self.x += self.before


class Saves(Clock):
    """Cannot be replayed, but saves itself."""

    def save(self) -> bytes:
        return repr((self.x, self.t, self.cost, self.ends)).encode()

    def load(self, saved: bytes) -> None:
        self.x, self.t, self.cost, self.ends = eval(saved)
        self.chance = np.random.default_rng(0)


class Bad(Drift):
    """Does something wrong in the second step of its episodes."""

    def __init__(self, fault: Callable[[Any], None], seed: int) -> None:
        super().__init__(seed)
        self.fault, self.agents = fault, AGENTS

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self.ends = 0

    def step(self, action: np.ndarray) -> None:
        super().step(action)
        if self.t == 2:
            self.fault(self)


def bad(fault: Callable[[Any], None]) -> Simulation:
    return simulation(partial(Bad, fault), read_bad)


def read_bad(sim: Any, _: Any) -> View:
    view = read(sim, _)
    view.agent = np.full((sim.agents, 1), sim.x)
    if sim.t == 2:
        sim.fault.__dict__.get("view", lambda view: None)(view)
    return view


def raises(sim: Any) -> None:
    raise ValueError("no such lane")


def tells(sim: Any) -> None:
    raise DataError("town.xml: no such lane; correct it")


def hangs(sim: Any) -> None:
    time.sleep(1000)


def hangs_in_c(sim: Any) -> None:
    ctypes.PyDLL(None).sleep(1000)  # which does not let go of the interpreter


def exits(sim: Any) -> None:
    os._exit(7)


def leaves(sim: Any) -> None:
    raise SystemExit(3)


def crashes(sim: Any) -> None:
    ctypes.string_at(0)


def loses_an_agent(sim: Any) -> None:
    sim.agents -= 1


def prints(sim: Any) -> None:
    print("one line of a simulator")
    os.system("echo and one of what it started")


def breeds(sim: Any) -> None:
    subprocess.Popen(["sleep", "1000"])
    hangs_in_c(sim)


def changing(change: Callable[[View], None]) -> Callable[[Any], None]:
    def fault(sim: Any) -> None:
        pass

    fault.view = change  # type: ignore[attr-defined]
    return fault
