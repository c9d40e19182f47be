"""Worker processes: speed-up where a step takes 1 ms, overhead of an environment's step, kills that change nothing.

python benchmarks/simulators.py --publish simulators
python benchmarks/simulators.py --kills 100 --publish simulators-killed
python benchmarks/simulators.py --parts --publish simulators-parts      # Linux
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import emit
from gymnasium import spaces
from publishing import published

from dgpg.bridges.simulators import Simulation, Simulators, View, Workers
from dgpg.checks.nested import difference
from dgpg.domain import Names, numbered

AGENTS, FEATURES, CHOICES, HORIZON = 10, 4, 4, 50
BLOCK = 10
"""Steps of one before it is another's turn."""
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


def milliseconds(envs: Sequence[Simulators], steps: int) -> list[list[float]]:
    """Wall times of so many steps of each, a block of one and then a block of the other."""
    times: list[list[float]] = [[] for _ in envs]
    actions = [torch.zeros(env.num_envs, AGENTS, dtype=torch.long) for env in envs]
    for env, action in zip(envs, actions, strict=True):
        env.reset()
        for _ in range(BLOCK):
            env.step(action)
    for _ in range(-(-steps // BLOCK)):
        for env, action, found in zip(envs, actions, times, strict=True):
            for _ in range(BLOCK):
                start = time.perf_counter()
                env.step(action)
                found.append(1e3 * (time.perf_counter() - start))
    return times


def tenth(times: Sequence[float]) -> float:
    """What the fastest tenth of steps stays below: others use the machine, too, and never make a step faster."""
    return float(np.quantile(times, 0.1))


def author(steps: int) -> float:
    """Milliseconds of a step of a simulator alone, read but in no environment."""
    sim, action, times = Takes(0.0, False, 0), np.zeros(AGENTS, np.int64), []
    sim.reset(0)
    for _ in range(steps):
        start = time.perf_counter()
        read(sim, sim.step(action))
        times.append(1e3 * (time.perf_counter() - start))
    return tenth(times)


def load() -> float:
    """Of the last minute, at the end of a row."""
    return round(os.getloadavg()[0], 1)


def overhead(steps: int) -> None:
    """What an environment's step costs beside its simulator."""
    own = author(8 * steps)
    for workers in (1, 0):
        (times,) = milliseconds([made(0.0, False, 8, workers)], steps)
        what = {"simulators": "8, no time", "workers": workers, "steps": len(times)}
        beside = {"fastest tenth": tenth(times) / 8 - own, "median": float(np.median(times)) / 8 - own}
        emit({**what, "ms beside a simulator's step": beside, "load": load()})


def faster(name: str, few: Simulators, many: Simulators, workers: Sequence[int], linear: float, steps: int) -> None:
    """A row: the same done by more workers; `linear` is how many times more there is to do, or faster to be."""
    one, more = milliseconds([few, many], steps)
    found = {
        "fastest tenth": [tenth(one), tenth(more), tenth(one) / tenth(more)],
        "median": [float(np.median(times)) for times in (one, more)] + [float(np.median(one) / np.median(more))],
    }
    emit({
        "simulators": name, "workers": f"{workers[0]}, {workers[1]}", "steps": len(one),
        **{f"{what} {of}": x for of, row in found.items()
           for what, x in zip(("ms, few", "ms, many", "times as fast"), row, strict=True)},
        "of linear": found["fastest tenth"][2] / linear, "load": load(),
    })  # fmt: skip


def speed(steps: int) -> None:
    """The rows of the table."""
    overhead(steps)
    for what, asleep in (("asleep for", True), ("at work for", False)):
        few, many = (made(1e-3, asleep, 8, workers) for workers in (1, 2))
        faster(f"8, {what} 1 ms", few, many, (1, 2), 2.0, steps)
    for pause in (1e-2, 5e-2):
        few, many = (made(pause, True, number, number) for number in (1, 16))
        faster(f"1 and 16, asleep for {1e3 * pause:.0f} ms", few, many, (1, 16), 1.0, steps // 4)


def used(pids: Sequence[int]) -> tuple[float, float, int]:
    """Processor seconds of this process and of others, and how often this one has waited."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    others = sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids)
    return own.ru_utime + own.ru_stime, 1e-9 * others, own.ru_nvcsw


def parts(steps: int) -> None:
    """Where the time of a step goes that 1 and 16 simulators in as many workers sleep through."""
    for number in (1, 16):
        env = made(1e-2, True, number, number)
        milliseconds([env], BLOCK)  # a reset, and the first steps
        action = torch.zeros(number, AGENTS, dtype=torch.long)
        before, times = used(env.pids), []
        for _ in range(steps):
            start = time.perf_counter()
            env.step(action)
            times.append(1e3 * (time.perf_counter() - start))
        trainer, workers, waits = (x - y for x, y in zip(used(env.pids), before, strict=True))
        emit({
            "simulators": f"{number}, asleep for 10 ms", "workers": number, "steps": steps,
            "ms a step": float(np.median(times)), "ms of the trainer's processor": 1e3 * trainer / steps,
            "ms of each worker's processor": 1e3 * workers / steps / number, "waits of the trainer": waits / steps,
            "load": load(),
        })  # fmt: skip


def played(env: Simulators, seed: int, more: Callable[[int], bool]) -> list[object]:
    """All that is seen in random actions, as long as there are to be more steps."""
    chance, seen = np.random.default_rng(seed), [env.reset()]
    while more(len(seen) - 1):
        seen.append(env.step(torch.from_numpy(chance.integers(0, CHOICES, (env.num_envs, AGENTS)))))
    return seen


def kills(count: int, seed: int) -> None:
    """A run until so many workers were killed at random moments, beside an undisturbed one of the same length."""
    env, chance = made(1e-3, True, 8, 2), random.Random(seed)
    done, over, moments = [0], threading.Event(), list[int]()

    def disturb() -> None:
        """Kill one at any moment once a step was done since the last time: four deaths in one are an error."""
        while len(moments) < count:
            time.sleep(chance.uniform(0, 0.05))
            if done[0] > (moments[-1] if moments else 0):
                with suppress(ProcessLookupError, IndexError):  # it was replaced a moment ago
                    os.kill(env.pids[chance.randrange(2)], signal.SIGKILL)
                    moments.append(done[0])
        over.set()

    def more(steps: int) -> bool:
        done[0] = steps
        return not over.is_set()

    thread = threading.Thread(target=disturb, daemon=True)
    thread.start()
    disturbed = played(env, seed, more)
    thread.join()
    whole = played(made(1e-3, True, 8, 2), seed, lambda steps: steps < len(disturbed) - 1)
    where = difference(whole, disturbed)
    found = {"workers killed": len(moments), "within steps": len(whole) - 1, "at different steps": len(set(moments))}
    emit({**found, "first difference": where or "none"})


def main() -> None:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=0, help="instead of speed: kill so many workers")
    parser.add_argument("--parts", action="store_true", help="instead of speed: what a step's time is made of")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.kills:
        kills(options.kills, options.seed)
    elif options.parts:
        parts(options.steps // 4)
    else:
        speed(options.steps)


if __name__ == "__main__":
    published(main)
