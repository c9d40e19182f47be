"""Worker processes: speed-up where a step takes 1 ms, overhead of an environment's step, kills that change nothing.

python benchmarks/simulators.py
python benchmarks/simulators.py --kills 100
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import threading
import time
from contextlib import suppress
from functools import partial

import numpy as np
import torch
from gymnasium import spaces

from dgpg.bridges.simulators import Simulation, Simulators, View, Workers
from dgpg.checks.nested import difference
from dgpg.domain import Names, numbered

AGENTS, FEATURES, CHOICES, HORIZON = 10, 4, 4, 50
CPU = torch.device("cpu")


class Takes:
    """A simulator that needs `seconds` a step, at work or asleep, and is random."""

    def __init__(self, seconds: float, asleep: bool, seed: int) -> None:
        self.seconds, self.asleep = seconds, asleep

    def reset(self, seed: int) -> None:
        """No load."""
        self.chance, self.load, self.cost = np.random.default_rng(seed), np.zeros(CHOICES), 0.0

    def step(self, action: np.ndarray) -> None:
        """Half of the load goes, some comes."""
        self.load = self.load / 2 + np.bincount(action, self.chance.random(AGENTS), CHOICES)
        self.cost = float(self.load @ self.load)
        if self.asleep:
            time.sleep(self.seconds)
        else:
            end = time.perf_counter() + self.seconds
            while time.perf_counter() < end:
                pass


def read(sim: Takes, _: None) -> View:
    """Everybody sees all loads."""
    return View(np.tile(sim.load, (AGENTS, 1)), {"load": sim.load}, sim.cost, state=sim.load[:, None])


def made(seconds: float, asleep: bool, envs: int, workers: int) -> Simulators:
    """So many environments in so many processes."""
    simulation = Simulation(
        make=partial(Takes, seconds, asleep), read=read, action_space=spaces.MultiDiscrete([CHOICES] * AGENTS),
        names=Names(numbered("load of server", FEATURES)), horizon=HORIZON, cost_unit="1",
    )  # fmt: skip
    return Simulators(simulation, envs, CPU, 0, workers=Workers(count=workers))


def milliseconds(env: Simulators, steps: int, repeats: int) -> float:
    """Wall time of a step of all environments: the best of some repeats, as others use the machine too."""
    actions = torch.zeros(env.num_envs, AGENTS, dtype=torch.long)
    env.reset()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(steps):
            env.step(actions)
        best = min(best, (time.perf_counter() - start) / steps)
    return 1e3 * best


def author(steps: int, repeats: int) -> float:
    """Milliseconds of a step of a simulator alone, read but in no environment."""
    sim, action, best = Takes(0.0, True, 0), np.zeros(AGENTS, np.int64), float("inf")
    sim.reset(0)
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(steps):
            read(sim, sim.step(action))
        best = min(best, (time.perf_counter() - start) / steps)
    return 1e3 * best


def speed(steps: int, repeats: int) -> None:
    """The rows of the table."""
    own = author(steps * 8, repeats)
    for workers, where in ((1, "a worker"), (0, "the trainer's process")):
        all_of_it = milliseconds(made(0.0, True, 8, workers), steps, repeats) / 8
        print(f"overhead of an environment's step in {where}: {all_of_it - own:.3f} ms (without it {own:.3f} ms)")
    for what, asleep in (("at work", False), ("asleep", True)):
        one, two = (milliseconds(made(1e-3, asleep, 8, workers), steps, repeats) for workers in (1, 2))
        both = f"{one:.2f} ms a step in 1 worker, {two:.2f} ms in 2"
        print(f"8 environments of 1 ms {what}: {both}, {one / two:.2f} times as fast")
    for pause in (1e-2, 5e-2):
        one, many = milliseconds(made(pause, True, 1, 1), 20, 2), milliseconds(made(pause, True, 16, 16), 20, repeats)
        print(f"16 environments asleep for {1e3 * pause:.0f} ms in 16 workers: {one / many:.2f} of linear")


def kills(count: int, seed: int) -> None:
    """A run with workers killed at random moments, beside an undisturbed one."""

    def play(env: Simulators, between: float, until: threading.Event) -> list[object]:
        chance, seen = np.random.default_rng(seed), [env.reset()]
        steps = 0
        while steps < 2000 or not until.is_set():
            step = env.step(torch.from_numpy(chance.integers(0, CHOICES, (env.num_envs, AGENTS))))
            steps += 1
            seen.append(step)
            done[0] = steps
            time.sleep(between)
        return seen

    over, done, killed, chance = threading.Event(), [0], [0], random.Random(seed)
    env = made(1e-3, True, 8, 2)

    def disturb() -> None:
        last = 0
        while killed[0] < count:
            time.sleep(chance.uniform(0, 0.05))
            if done[0] > last:
                last = done[0]
                with suppress(ProcessLookupError):  # it was replaced a moment ago
                    os.kill(env.pids[chance.randrange(2)], signal.SIGKILL)
                    killed[0] += 1
        over.set()

    thread = threading.Thread(target=disturb, daemon=True)
    thread.start()
    disturbed = play(env, 0.0, over)
    thread.join()
    whole = play(made(1e-3, True, 8, 2), 0.0, over)
    same = min(len(whole), len(disturbed))
    where = difference(whole[:same], disturbed[:same])
    print(
        f"{killed[0]} workers killed within {len(disturbed)} steps; first difference in {same} steps: {where or 'none'}"
    )


def main() -> None:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--kills", type=int, default=0, help="instead of speed: kill so many workers")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.kills:
        kills(options.kills, options.seed)
    else:
        speed(options.steps, options.repeats)


if __name__ == "__main__":
    main()
