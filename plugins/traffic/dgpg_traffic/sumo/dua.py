"""SUMO's own iterated assignment, `duaIterate.py`: any route of the network, not one of K, to an equilibrium or beyond.

Gawron's dynamic user equilibrium (1998) by default; with `--marginal-cost`, costs by finite differences of two days,
with logit choice as its authors advise.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from dgpg.errors import DataError
from dgpg_traffic.programs import program, said
from dgpg_traffic.sumo.day import Days
from dgpg_traffic.sumo.vehicles import elements

AGGREGATION = 300
"""Seconds that edge times are averaged over."""


def assign(days: Days, iterations: int, *, marginal_cost: bool) -> Days:
    """The drivers of a town on the routes that duaIterate.py gave them: days of one route each.

    Args:
        days: of the town; of its routes first and last edges count.
        iterations: days that duaIterate.py plays.
        marginal_cost: for the system instead of for themselves.

    Raises:
        DataError: it failed, or left out drivers.
    """
    with tempfile.TemporaryDirectory(prefix="dgpg-dua-") as folder:
        where, last = Path(folder), iterations - 1
        (where / "town.trips.xml").write_text(_trips(days))
        command, home = _command(days, last, marginal_cost), {"SUMO_HOME": str(_home())}
        ran = subprocess.run(command, cwd=where, env=os.environ | home, capture_output=True, text=True, check=False)
        found = [path for path in sorted((where / f"{last:03d}").glob(f"town_{last:03d}.rou.xml*")) if path.is_file()]
        if ran.returncode or not found:
            raise DataError(f"duaIterate.py failed: {said(ran.stderr or ran.stdout[-2000:])}")
        routes = {int(one.get("id", -1)): _edges(days, one) for one in elements(found[0]) if one.tag == "vehicle"}
    if len(routes) != len(days.depart):
        raise DataError(f"duaIterate.py routed {len(routes)} of {len(days.depart)} drivers; expected all")
    edges = np.full((len(routes), 1, max(map(len, routes.values()))), -1, np.int64)
    for i, route in routes.items():
        edges[i, 0, : len(route)] = route
    return Days(days.network, days.depart, edges, days.rules)


def _home() -> Path:
    return Path(program("sumo")).parents[1]


def _command(days: Days, last: int, marginal_cost: bool) -> list[str]:
    more = ["--marginal-cost", "--logit"] if marginal_cost else []
    return [
        sys.executable, str(_home() / "tools" / "assign" / "duaIterate.py"), "--net-file", str(days.network.path),
        "--trips", "town.trips.xml", "--last-step", str(last + 1), "--aggregation", str(AGGREGATION),
        "--time-to-teleport", str(days.rules.stuck_s), "--disable-summary", "--disable-tripinfos", *more,
    ]  # fmt: skip


def _trips(days: Days) -> str:
    names, first = days.network.edges, days.edges[:, 0]
    ends = zip(first[:, 0].tolist(), first[np.arange(len(first)), (first >= 0).sum(-1) - 1].tolist(), strict=True)
    lines = [
        f'<trip id="{i}" depart="{depart:.2f}" from="{names[a]}" to="{names[b]}"/>'
        for i, (depart, (a, b)) in enumerate(zip(days.depart.tolist(), ends, strict=True))
    ]
    return "<routes>\n" + "\n".join(lines) + "\n</routes>\n"


def _edges(days: Days, vehicle: ElementTree.Element) -> list[int]:
    route = vehicle.find("route")
    return [days.network.number[name] for name in route.get("edges", "").split()] if route is not None else []
