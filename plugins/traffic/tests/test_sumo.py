"""Vehicles in a running SUMO follow the splits; a vehicle on a junction keeps the edge ahead."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgpg.errors import DataError
from dgpg_traffic.deploy import Scales
from dgpg_traffic.deploy.sumo import Router, ahead, named
from dgpg_traffic.domain import domain

from .made import settings

EXAMPLE = Path(__file__).parents[3] / "docs/examples/traffic-sumo/route.py"


@pytest.mark.parametrize(
    ("index", "road", "expected"),
    [
        (0, "a", ["a", "d", "c"]),
        (1, "b", None),  # it is past the fork
        (0, ":junction_0", None),  # it can no longer turn
        (2, "c", ["c"]),
    ],
)
def test_a_route_goes_on_from_where_the_vehicle_is(index: int, road: str, expected: list[str] | None) -> None:
    assert ahead(("a", "b", "c"), index, road, ["a", "d", "c"]) == expected


def test_on_a_junction_the_edge_ahead_is_kept() -> None:
    assert ahead(("a", "b", "c"), 0, ":junction_0", ["a", "b", "e"]) == ["a", "b", "e"]


class Sumo:
    """As much of TraCI as a router asks for: vehicles that depart, and roads that take twice as long as they should."""

    def __init__(self, edges: list[str], scales: Scales) -> None:
        self.simulation = self.vehicle = self.edge = self
        self.edges, self.free, self.now = edges, dict(zip(edges, scales.free_time.tolist(), strict=True)), 0.0
        self.departed: list[str] = []
        self.route: dict[str, Any] = {}

    def getIDList(self) -> list[str]:
        return self.edges

    def getTime(self) -> float:
        return self.now

    def getDepartedIDList(self) -> list[str]:
        return self.departed

    def getTraveltime(self, edge: str) -> float:
        return 2 * 60 * self.free[edge]

    def getRoute(self, vehicle: str) -> Any:
        return tuple(self.route[vehicle])

    def getRouteIndex(self, vehicle: str) -> int:
        return 0

    def getRoadID(self, vehicle: str) -> str:
        return str(self.route[vehicle][0])

    def setRoute(self, vehicle: str, edges: list[str]) -> None:
        self.route[vehicle] = edges


def test_the_router_asks_with_what_it_saw_and_draws_by_the_splits() -> None:
    scales = Scales.read(json.loads(json.dumps(domain.plain(settings()))))
    edges, asked = named(scales), []

    def splits(rows: Any) -> np.ndarray:
        asked.append(rows)
        return np.array([[0.5, 0.25, 0.25]])

    sumo = Sumo(edges, scales)
    router = Router(sumo, splits, scales, edges, period_s=100.0)
    first = [edges[k] for k in scales.routes[0, 0]]
    for second in range(200):
        sumo.now, sumo.departed = float(second), [f"{second}.{n}" for n in range(10)]
        sumo.route |= {vehicle: list(first) for vehicle in sumo.departed}
        router.step()
    assert len(asked) == 2
    # 1000 vehicles where the usual day has a handful: the second period expects many, and saw roads twice as slow.
    assert asked[1]["agent"][0, 0] > 3.9 > abs(asked[0]["agent"][0, 0]) + 3.8
    counts = np.array([sum(way == [edges[k] for k in route if k >= 0] for way in sumo.route.values())
                       for route in scales.routes[0]])  # fmt: skip
    on_first = [edges[k] for k in scales.routes[0, 0]]
    same = [k for k, route in enumerate(scales.routes[0]) if edges[route[0]] == on_first[0]]
    assert counts.sum() == 2000 and router.routed == counts[1:].sum()
    for k in same[1:]:
        assert counts[k] / 2000 == pytest.approx(0.25, abs=0.04)


def test_edges_that_are_not_there_are_told() -> None:
    scales = Scales.read(domain.plain(settings()))
    edges = named(scales)
    sumo = Sumo(edges, scales)
    sumo.edges = edges[:-1]
    with pytest.raises(DataError, match="it has no '4-2'"):
        Router(sumo, lambda rows: rows["mask"], scales, edges, 100.0)


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path) -> None:
    for name in ("libsumo", "sumo", "onnx", "onnxscript"):
        pytest.importorskip(name, reason="needs the extras sumo and export")
    run = [sys.executable, "-m", "dgpg"]
    sets = ["--set", "agents_per_pair=1", "--set", "horizon=4"]
    subprocess.run([*run, "train", "traffic", *sets, "--iterations", "2", "--out", tmp_path / "run"], check=True)
    subprocess.run([*run, "export", tmp_path / "run", "--out", tmp_path / "out", "--decisions", "100"], check=True)
    command = [sys.executable, str(EXAMPLE), str(tmp_path / "out"), "--periods", "2", "--seconds", "200"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["departed"] > 100 and told["given another route"] > 10
    assert runpy.run_path(str(EXAMPLE), run_name="read")["UNIT_S"] == 60
