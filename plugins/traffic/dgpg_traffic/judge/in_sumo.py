"""Splits driven through SUMO's mesoscopic model, in which queues are physical and links let out what they are told to.

D. Krajzewicz, J. Erdmann et al., SUMO (extra `sumo`); N. Eissfeldt, Vehicle-based modelling of traffic (2004), is its
mesoscopic model: vehicles pass segments one after the other, each a headway behind the one before.

A link is a road, and a gate of one segment at its end whose headway is that of the link's capacity: a queue stands on
the link whose end it waits for, not before it. Junctions take no time and nobody gives way, as in the model.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from dgpg.errors import DataError
from dgpg_traffic.arrays import FloatArray
from dgpg_traffic.instance import Instance
from dgpg_traffic.judge import vehicles
from dgpg_traffic.judge.replay import Replay
from dgpg_traffic.judge.vehicles import JAM, LIMIT, PLATOON, ROOM, SPEED, Drive, Roads, busiest, departures, roads
from dgpg_traffic.programs import make, program, said

GATE = 50.0
"""Metres at the end of a link whose headway is its capacity's; half of a shorter link."""
EXIT = 20.0
"""Metres of the ways off, at each node: who leaves passes the gate like others. Not counted as travel."""
SPAN = 1 / JAM
"""Metres of a vehicle that stands."""
AT = 100.0
"""Metres between nodes of the drawing: lengths of roads are given apart."""
PLAIN = (
    "--no-internal-links", "--no-turnarounds", "false", "--offset.disable-normalization", "--no-warnings",
    "--junctions.limit-turn-speed", "-1", "--default.junctions.radius", "0",
)  # fmt: skip


def ready() -> None:
    """Nothing if SUMO is installed.

    Raises:
        ConfigError: it is not.
    """
    program("sumo")


def drive(instance: Instance, shown: Replay, day: int) -> Drive:
    """The busiest period of a day of a replay in SUMO."""
    t = busiest(shown, day)
    going = shown.demand[t, day, :, None] * shown.splits[t, day]
    scale = vehicles.PLATOONS * PLATOON / going.sum()
    made = roads(instance, scale * shown.capacity[t, day])
    trips = departures(scale * going)
    with tempfile.TemporaryDirectory(prefix="dgpg-judge-") as folder:
        where = Path(folder)
        _network(where, instance, made)
        _types(where, instance.network.num_nodes, made)
        _vehicles(where, instance, trips)
        _run(where)
        arrival = _arrivals(where, len(trips))
    each = instance.config.agents_per_pair
    fixed = instance.routes.times(instance.network.fixed)
    added = np.array([fixed[agent // each, slot] for agent, slot, _ in trips])
    start = np.array([second for _, _, second in trips])
    arrived = np.isfinite(arrival)
    seconds = np.where(arrived, arrival - EXIT / SPEED, LIMIT) - start
    return Drive((seconds + instance.config.time_unit * added) / 60, arrived.astype(np.float64))


def _network(where: Path, instance: Instance, made: Roads) -> None:
    """`town.net.xml` of nodes, roads `r`, gates `g` and ways off `x`, connected as links follow each other."""
    network = instance.network
    tail, head, gate = network.tail.tolist(), network.head.tolist(), _gates(made)
    nodes = [(f"n{v}", v, 0) for v in range(network.num_nodes)]
    nodes += [(f"x{v}", v, 1) for v in range(network.num_nodes)]
    nodes += [(f"g{link}", link, 2) for link in range(network.num_links)]
    edges, links = [], []
    for link in range(network.num_links):
        body, lanes = made.length[link] - gate[link], int(made.lanes[link])
        edges.append(_edge(f"r{link}", f"n{tail[link]}", f"g{link}", body, lanes))
        edges.append(_edge(f"g{link}", f"g{link}", f"n{head[link]}", gate[link], lanes))
        links.append((f"r{link}", f"g{link}"))
        links.append((f"g{link}", f"x{head[link]}"))
    edges += [_edge(f"x{v}", f"n{v}", f"x{v}", EXIT, 1) for v in range(network.num_nodes)]
    links += [(f"g{a}", f"r{b}") for a, b in _followed(instance)]
    text = "".join(f'<node id="{n}" x="{AT * x}" y="{AT * y}" type="unregulated"/>' for n, x, y in nodes)
    (where / "town.nod.xml").write_text(f"<nodes>{text}</nodes>")
    (where / "town.edg.xml").write_text(f"<edges>{''.join(edges)}</edges>")
    text = "".join(f'<connection from="{a}" to="{b}" fromLane="0" toLane="0"/>' for a, b in links)
    (where / "town.con.xml").write_text(f"<connections>{text}</connections>")
    files = [f"--{kind}-files={where}/town.{name}.xml" for kind, name in _KINDS]
    make(where / "town.net.xml", "netconvert", [*files, *PLAIN])


_KINDS = (("node", "nod"), ("edge", "edg"), ("connection", "con"))


def _edge(name: str, tail: str, head: str, length: float, lanes: int) -> str:
    return (
        f'<edge id="{name}" from="{tail}" to="{head}" length="{length:.3f}" numLanes="{lanes}" speed="{SPEED}" '
        f'type="{name}"/>'
    )


def _gates(made: Roads) -> FloatArray:
    """Metres of each link's gate, `[L]`."""
    return np.minimum(GATE, made.length / 2)


def _followed(instance: Instance) -> list[tuple[int, int]]:
    """Links that some route takes one after the other."""
    links = instance.routes.links
    pairs = np.stack([links[..., :-1].ravel(), links[..., 1:].ravel()], -1)
    found: list[tuple[int, int]] = list(map(tuple, np.unique(pairs[(pairs >= 0).all(-1)], axis=0).tolist()))
    return found


def _types(where: Path, nodes: int, made: Roads) -> None:
    """Headways: a gate's are of what its link lets out, a road's of `ROOM` times that, and ways off have none."""
    lines = [_type(f"x{v}", 0.0) for v in range(nodes)]
    for link, (rate, lanes) in enumerate(zip(made.rate.tolist(), made.lanes.tolist(), strict=True)):
        lines += [_type(f"r{link}", lanes / (ROOM * rate)), _type(f"g{link}", lanes / rate)]
    (where / "town.add.xml").write_text(f"<additional>{''.join(lines)}</additional>")


def _type(name: str, headway: float) -> str:
    """One of edges whose lanes let out a vehicle every `headway` seconds, the time to pass its own length included."""
    tau = max(headway - SPAN / SPEED, 0.0)
    taus = " ".join(f'{one}="{tau:.4f}"' for one in ("tauff", "taufj", "taujf", "taujj"))
    return f'<type id="{name}"><meso {taus}/></type>'


def _vehicles(where: Path, instance: Instance, trips: list[tuple[int, int, float]]) -> None:
    """Vehicles of the trips, by agent, slot and second."""
    routes, head, each = instance.routes.links, instance.network.head, instance.config.agents_per_pair
    lines = [
        f'<vType id="car" length="{SPAN / 2}" minGap="{SPAN / 2}" tau="1" sigma="0" speedFactor="1" speedDev="0" '
        f'maxSpeed="{2 * SPEED}"/>'
    ]
    named: dict[tuple[int, int], str] = {}
    for n, (agent, slot, second) in enumerate(trips):
        pair = (agent // each, slot)
        if pair not in named:
            path = [int(link) for link in routes[pair] if link >= 0]
            named[pair] = f"{pair[0]}-{slot}"
            edges = " ".join(f"r{link} g{link}" for link in path)
            lines.append(f'<route id="{named[pair]}" edges="{edges} x{head[path[-1]]}"/>')
        lines.append(f'<vehicle id="{n}" type="car" route="{named[pair]}" depart="{second:.3f}" departSpeed="max"/>')
    (where / "town.rou.xml").write_text("<routes>\n" + "\n".join(lines) + "\n</routes>\n")


def _run(where: Path) -> None:
    command = [
        program("sumo"), "--mesosim", "--meso-multi-queue", "false", "--net-file", "town.net.xml", "--route-files",
        "town.rou.xml", "--additional-files", "town.add.xml", "--tripinfo-output", "trips.xml", "--end", str(LIMIT),
        "--step-length", "0.5", "--time-to-teleport", "-1", "--seed", "0", "--no-step-log", "--no-warnings",
        "--duration-log.disable", "--xml-validation", "never",
    ]  # fmt: skip
    ran = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise DataError(f"--judge: SUMO ended with status {ran.returncode}: {said(ran.stderr)}")


def _arrivals(where: Path, count: int) -> FloatArray:
    """Seconds at which vehicles were off the road, `[V]`; infinite where they were not."""
    found = np.full(count, np.inf)
    for trip in ElementTree.parse(where / "trips.xml").getroot().findall("tripinfo"):
        found[int(trip.get("id", -1))] = float(trip.get("arrival", np.inf))
    return found
