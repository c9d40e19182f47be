"""A day of SUMO in a process of its own: who took how long, on which edges, and what went wrong.

`sumo` is run as a program: a crash of it is an exit status, not the end of the training.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from dgpg.errors import DataError
from dgpg_traffic.programs import program, said
from dgpg_traffic.sumo.network import Floats, Ints, Network
from dgpg_traffic.sumo.scratch import scratch

QUIET = (
    "--no-step-log", "--no-warnings", "--duration-log.disable", "--xml-validation", "never",
    "--xml-validation.net", "never", "--xml-validation.routes", "never", "--time-to-teleport.remove",
    "--vehroute-output.exit-times", "--vehroute-output.write-unfinished", "--tripinfo-output.write-unfinished",
)  # fmt: skip
ATTEMPTS = 2
"""Of a day: SUMO is deterministic, but the machine may have killed it."""


@dataclass(frozen=True)
class Rules:
    """What a day is, apart from who drives where."""

    stuck_s: float
    """A car that stood so long is taken out, and has not arrived."""
    wait_s: float
    """A car that could not set out for so long never does, and has not arrived."""
    penalty_min: float
    """Charged to who has not arrived."""
    limit_s: float
    """Seconds of the clock on the wall that a day may take."""


@dataclass(frozen=True)
class Outcome:
    """Of n drivers in a day."""

    minutes: Floats
    """From when each wished to depart to arrival, or the penalty, `[n]`."""
    arrived: NDArray[np.bool_]
    """`[n]`."""
    passed: Floats
    """Seconds that each edge of the route took, `[n, L]`; nan where it was not passed, and behind the last edge.

    An edge begins where the one before was left, so that what lies between belongs to it, and the first one with the
    wish to depart: the sum is the whole time of who arrived.
    """
    counts: dict[str, float]
    """`not arrived`, and of them `stuck` and `never set out`; `collisions`; `teleports` of who then drove on elsewhere;
    `crashes` of SUMO itself."""


class Days:
    """Plays days of one town.

    Args:
        network: where.
        depart: seconds, `[n]`, ascending.
        edges: of each driver's K routes, `[n, K, L]`.
        rules: what a day is.
    """

    def __init__(self, network: Network, depart: Floats, edges: Ints, rules: Rules) -> None:
        self.network, self.depart, self.edges, self.rules = network, depart, edges, rules

    @cached_property
    def _written(self) -> list[list[str]]:
        """Vehicles as SUMO reads them, by driver and route."""
        names = self.network.edges

        def written(i: int, depart: float, path: list[int]) -> str:
            edges = " ".join(names[e] for e in path if e >= 0)
            return f'<vehicle id="{i}" depart="{depart:.2f}"><route edges="{edges}"/></vehicle>'

        drivers = zip(self.depart, self.edges.tolist(), strict=True)
        return [[written(i, depart, path) for path in paths] for i, (depart, paths) in enumerate(drivers)]

    def play(self, choice: Ints, seed: int) -> Outcome:
        """The day in which driver i takes route `choice[i]`.

        Args:
            choice: `[n]`.
            seed: of SUMO; the same seed and choices give the same day.

        Raises:
            DataError: SUMO failed; says how, and where its input is.
        """
        lines = [paths[k] for paths, k in zip(self._written, choice.tolist(), strict=True)]
        with scratch() as folder:
            (folder / "day.rou.xml").write_text("<routes>\n" + "\n".join(lines) + "\n</routes>\n")
            crashes = self._run(folder, seed)
            return self._read(folder, choice, crashes)

    def _run(self, folder: Path, seed: int) -> int:
        """Run SUMO; how often it crashed before it did not."""
        rules = self.rules
        command = [
            program("sumo"), "--net-file", str(self.network.path), "--route-files", "day.rou.xml", "--seed", str(seed),
            "--vehroute-output", "routes.xml", "--tripinfo-output", "trips.xml", "--statistic-output", "statistics.xml",
            "--time-to-teleport", str(rules.stuck_s), "--max-depart-delay", str(rules.wait_s), *QUIET,
        ]  # fmt: skip
        for crashes in range(ATTEMPTS):
            try:
                ran = subprocess.run(
                    command, cwd=folder, capture_output=True, text=True, timeout=rules.limit_s, check=False
                )
            except subprocess.TimeoutExpired:
                raise DataError(
                    f"SUMO did not end the day of seed {seed} within {rules.limit_s:g} s; its input is in {folder}; "
                    "allow more with --set day.limit_s=..."
                ) from None
            if ran.returncode == 0:
                return crashes
            if ran.returncode > 0:  # it said itself what is wrong: it would again
                break
        how = f"status {ran.returncode}" if ran.returncode > 0 else f"signal {-ran.returncode}, {crashes + 1} times"
        raise DataError(
            f"SUMO ended the day of seed {seed} with {how}: {said(ran.stderr)}; its input is kept in {folder}; run it "
            f"there: {' '.join(command)}"
        )

    def _read(self, folder: Path, choice: Ints, crashes: int) -> Outcome:
        count, length = len(self.depart), self.edges.shape[-1]
        left = np.full((count, length), np.nan)
        arrival = np.full(count, np.nan)
        stuck = 0
        for trip in _elements(folder / "trips.xml", "tripinfo"):
            gone = bool(trip.get("vaporized"))
            stuck += gone
            if not gone and float(trip.get("arrival", -1)) >= 0:
                arrival[int(trip.get("id", -1))] = float(trip.get("arrival", -1))
        for vehicle in _elements(folder / "routes.xml", "vehicle"):
            for route in vehicle.iter("route"):
                times = np.array(route.get("exitTimes", "").split(), float)[:length]
                left[int(vehicle.get("id", -1)), : len(times)] = np.where(times < 0, np.nan, times)
        arrived = ~np.isnan(arrival)
        last = (self.edges[np.arange(count), choice] >= 0).sum(-1) - 1
        left[np.arange(count), last] = arrival  # who was taken out on the last edge has not passed it
        passed = left - _entered(left, self.depart)
        penalty = np.maximum(self.rules.penalty_min, np.nansum(passed, 1) / 60)  # no less than was driven
        minutes = np.where(arrived, (arrival - self.depart) / 60, penalty)
        statistics = ElementTree.parse(folder / "statistics.xml").getroot()
        safety, teleports = statistics.find("safety"), statistics.find("teleports")
        counts = {
            "not arrived": float((~arrived).sum()),
            "stuck": float(stuck),
            "never set out": float((~arrived).sum() - stuck),
            "collisions": float(safety.get("collisions", 0)) if safety is not None else 0.0,
            "teleports": max(float(teleports.get("total", 0)) - stuck, 0.0) if teleports is not None else 0.0,
            "crashes": float(crashes),
        }
        return Outcome(minutes, arrived, passed, counts)


def _entered(left: Floats, depart: Floats) -> Floats:
    """When each edge was begun, `[n, L]`: where SUMO moved a car past an edge, what it took counts for the next one."""
    known = np.concatenate([depart[:, None], np.nan_to_num(left[:, :-1], nan=-np.inf)], 1)
    return np.maximum.accumulate(known, 1)


def _elements(path: Path, tag: str) -> Sequence[ElementTree.Element]:
    return ElementTree.parse(path).getroot().findall(tag)
