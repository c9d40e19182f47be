"""A policy routes the vehicles of a running SUMO.

    pip install 'dgpg-plugin-traffic[sumo]'
    python route.py policy --periods 3 --seconds 600

The roads are made from what the export says of its network: an edge a link, as long as its free-flow time at 50 km/h.
Every vehicle departs on its pair's first route; the router gives it one by the policy's splits.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import tempfile
from pathlib import Path

import libsumo
import numpy as np
import sumo

from dgpg.deploy import Policy
from dgpg_traffic.deploy import Scales
from dgpg_traffic.deploy.sumo import Router, greedy, named

SPEED = 50 / 3.6
"""m/s."""
UNIT_S = 60.0
"""The network's unit of time, seconds."""


def roads(scales: Scales, place: Path) -> Path:
    """A network of SUMO with an edge for each link."""
    nodes = np.unique(scales.links)
    turn = {int(node): 2 * math.pi * n / len(nodes) for n, node in enumerate(nodes)}
    where = "".join(
        f'<node id="{node}" x="{1000 * math.cos(a):.1f}" y="{1000 * math.sin(a):.1f}"/>' for node, a in turn.items()
    )
    lengths = np.maximum(scales.free_time * UNIT_S * SPEED, 30.0)
    edges = "".join(
        f'<edge id="{name}" from="{a}" to="{b}" speed="{SPEED:.2f}" length="{length:.1f}" numLanes="2"/>'
        for name, (a, b), length in zip(named(scales), scales.links.tolist(), lengths, strict=True)
    )
    (place / "nodes.xml").write_text(f"<nodes>{where}</nodes>")
    (place / "edges.xml").write_text(f"<edges>{edges}</edges>")
    files = ["-n", place / "nodes.xml", "-e", place / "edges.xml", "-o", place / "net.xml", "--no-turnarounds"]
    subprocess.run([Path(sumo.SUMO_HOME) / "bin" / "netconvert", *files, "--no-warnings"], check=True)
    return place / "net.xml"


def main() -> None:
    """One JSON line: vehicles by pair and route, and how many were given another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy", type=Path)
    parser.add_argument("--periods", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=600, help="of a period")
    parser.add_argument("--vehicles", type=float, default=60, help="of a pair in a period, of the usual demand's mean")
    args = parser.parse_args()
    policy = Policy.load(args.policy)
    scales = Scales.read(policy.description["plain"])
    edges, sampled = named(scales), args.vehicles / float(scales.demand.mean())
    rng, count, found = np.random.default_rng(0), 0, {}
    with tempfile.TemporaryDirectory() as place:
        libsumo.start(["sumo", "-n", str(roads(scales, Path(place))), "--no-step-log", "--no-warnings"])
        router = Router(libsumo, greedy(policy), scales, edges, args.seconds, UNIT_S, sampled)
        for pair, links in enumerate(scales.routes[:, 0]):
            libsumo.route.add(str(pair), [edges[link] for link in links if link >= 0])
        rate = scales.demand.reshape(len(scales.pairs), -1).sum(1) * sampled / args.seconds
        for second in range(int(args.periods * args.seconds)):
            level = scales.usual[int(second // args.seconds) % len(scales.usual)]
            for pair in np.flatnonzero(rng.random(len(rate)) < rate * level).tolist():
                libsumo.vehicle.add(f"{pair}.{count}", str(pair))
                count += 1
            libsumo.simulationStep()
            router.step()
            for vehicle in libsumo.simulation.getDepartedIDList():
                found[vehicle] = "-".join(libsumo.vehicle.getRoute(vehicle))
        libsumo.close()
    ways = {}
    for vehicle, way in found.items():
        own = ways.setdefault("-".join(map(str, scales.pairs[int(vehicle.partition(".")[0])])), {})
        own[way] = own.get(way, 0) + 1
    print(json.dumps({"departed": len(found), "given another route": router.routed, "pairs": ways}))


if __name__ == "__main__":
    main()
