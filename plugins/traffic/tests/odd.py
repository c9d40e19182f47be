"""Odd networks by chance, as TNTP or GMNS files, and flows on them held to every route that there is.

Routes are written out and times are formulas of this file: none of the plugin's ways.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

FloatArray = NDArray[np.float64]
Rng = np.random.Generator


@dataclass
class Odd:
    """Links by the numbers of their nodes, columns of links, and demand of pairs of zones."""

    node: NDArray[np.int64]
    zone: NDArray[np.int64]
    through: int
    ends: list[tuple[int, int]]
    capacity: FloatArray
    length: FloatArray
    free_time: FloatArray
    b: FloatArray
    power: FloatArray
    toll: FloatArray
    pair: dict[tuple[int, int], float]


def odd_network(rng: Rng) -> Odd:
    """A ring of three to six nodes with chords, links side by side, times, powers and demands of 0."""
    count = int(rng.integers(3, 7))
    node = (
        np.arange(1, count + 1) if rng.random() < 0.5 else np.sort(rng.choice(np.arange(1, 200), count, replace=False))
    )
    order = rng.permutation(node)
    ends = [(int(a), int(b)) for a, b in zip(order, np.roll(order, -1), strict=True)]
    ends += [(int(a), int(b)) for a, b in (rng.choice(node, 2, replace=False) for _ in range(rng.integers(2, 7)))]
    ends.append(ends[0])
    size = len(ends)
    free_time = np.round(rng.uniform(0.5, 10, size), 2) * rng.choice([1.0] * 9 + [0.0], size)
    zone = rng.choice(node, int(rng.integers(2, count + 1)), replace=False)
    pairs = [tuple(int(x) for x in rng.choice(zone, 2, replace=False)) for _ in range(4)]
    return Odd(
        node=node,
        zone=zone,
        through=1 if rng.random() < 0.7 else int(rng.choice(node)),
        ends=ends,
        capacity=rng.choice([1.0, 10.0, 25.5, 100.0], size),
        length=np.round(rng.uniform(0, 5, size), 2),
        free_time=free_time,
        b=rng.choice([0.0, 0.15, 0.15, 1.0], size),
        power=rng.choice([0.0, 1.0, 1.5, 4.0, 4.0, 6.0], size),
        toll=np.round(rng.uniform(0, 3, size), 1) * (rng.random(size) < 0.3),
        pair={(o, d): float(rng.choice([0.0, 1.0, 5.0, 10.5])) for o, d in pairs} | {(pairs[0][0], pairs[0][1]): 7.0},
    )


def write_tntp(rng: Rng, odd: Odd, folder: Path) -> None:
    """PREFIX_net and PREFIX_trips; the columns of links in any order that the header names."""
    end, mark, gap = rng.choice(["\n", "\r\n"]), rng.choice(["", "\ufeff"]), rng.choice(["\t", " "])
    names = ["init_node", "term_node", "capacity", "length", "free_flow_time", "b", "power", "speed", "toll"]
    order = rng.permutation(len(names)) if rng.random() < 0.5 else np.arange(len(names))
    head = [f"<NUMBER OF ZONES> {len(odd.zone)}", f"<NUMBER OF NODES> {len(odd.node)} ~ said", "<ORIGINAL HEADER>~ x"]
    head += [f"<FIRST THRU NODE> {odd.through}", f"<NUMBER OF LINKS> {len(odd.ends)}", "<END OF METADATA>", ""]
    head.append("~" + gap + gap.join(names[k] for k in order) + gap + ";")
    columns = (odd.capacity, odd.length, odd.free_time, odd.b, odd.power, 0 * odd.toll, odd.toll)
    rows = [[*map(str, ends), *(repr(float(x[k])) for x in columns)] for k, ends in enumerate(odd.ends)]
    links = [gap + gap.join(row[k] for k in order) + rng.choice([" ;", ";", ""]) for row in rows]
    (folder / "odd_net.tntp").write_bytes((mark + end.join([*head, *links]) + end).encode())
    total = sum(odd.pair.values())
    trips = [f"<NUMBER OF ZONES> {len(odd.zone)}", f"<TOTAL OD FLOW> {total}", "<END OF METADATA>", ""]
    for zone in odd.zone.tolist():
        own = [f"{d} : {value}" for (o, d), value in odd.pair.items() if o == zone]
        own += [f"{d} : 0.0" for d in odd.zone.tolist() if (zone, d) not in odd.pair]
        trips += [f"Origin {zone}", rng.choice(["; ", f";{end}"]).join(own) + ";"]
    (folder / "odd_trips.tntp").write_bytes((mark + end.join(trips) + end).encode())


def write_gmns(rng: Rng, odd: Odd, folder: Path) -> None:
    """node.csv, link.csv and demand.csv; columns of any case, zones of numbers of their own."""
    end, mark, case = (
        rng.choice(["\n", "\r\n"]),
        rng.choice(["", "\ufeff"]),
        (str.upper, str.title, str)[rng.integers(3)],
    )
    zone = {number: 100 + k for k, number in enumerate(odd.zone.tolist())}
    lanes, first = int(rng.integers(1, 3)), rng.choice(["", "1"])
    tables: dict[str, list[list[object]]] = {
        "node.csv": [["node_id", "zone_id", "node_type"]],
        "link.csv": [["from_node_id", "to_node_id", "length", "capacity", "lanes", "directed", "dir_flag", "toll"]],
        "demand.csv": [["o_zone_id", "d_zone_id", "volume"]],
    }
    tables["link.csv"][0] += [f"vdf_{name}{first}" for name in ("fftt", "alpha", "beta")]
    for number in odd.node.tolist():
        tables["node.csv"].append([number, zone.get(number, ""), "centroid" if number < odd.through else ""])
    for k, (one, other) in enumerate(odd.ends):
        shape = [odd.length[k], odd.capacity[k] / lanes, lanes, "true", rng.choice(["1", "-1", "0", ""]), odd.toll[k]]
        tables["link.csv"].append([one, other, *shape, odd.free_time[k], odd.b[k], odd.power[k]])
    for (o, d), value in odd.pair.items():
        tables["demand.csv"].append([zone[o], zone[d], value])
    for name, rows in tables.items():
        lines = [",".join(case(str(cell)) if not k else str(cell) for cell in row) for k, row in enumerate(rows)]
        (folder / name).write_bytes((mark + end.join(lines) + end).encode())


@dataclass
class Judged:
    """What flows of links are worth, of one objective."""

    value: float
    """Beckmann's function, or the total cost."""
    gap: float
    """Most by which the least value of all is below it: f is convex, so f(y) >= f(x) - p (x - y); share of `p x`."""
    off: float
    """Distance from the nearest flows that meet every pair's demand on routes that there are."""


def judged(odd: Odd, flow: FloatArray, scale: float, fixed: FloatArray, beckmann: bool) -> Judged | None:
    """Flows `[L]` against every route that there is; None where a pair has none.

    `fixed` is what links cost beside their time.
    """
    y = (flow / odd.capacity) ** odd.power
    time, slope = odd.free_time * (1 + odd.b * y), odd.free_time * odd.b * odd.power * y
    price = time + fixed + (0.0 if beckmann else slope)
    spread = odd.b * y / (odd.power + 1 if beckmann else 1.0)
    value = float(flow @ (odd.free_time * (1 + spread) + fixed))
    least, uses, demands = 0.0, [], []
    for k, ((origin, destination), demand) in enumerate(odd.pair.items()):
        routes = _routes(odd, [], origin, destination) if demand else []
        if demand and not routes:
            return None
        least += scale * demand * min((float(price[route].sum()) for route in routes), default=0.0)
        demands.append(scale * demand)
        for route in routes:
            column = np.zeros(len(flow) + len(odd.pair))
            np.add.at(column, route, 1.0)
            column[len(flow) + k] = 1.0
            uses.append(column)
    off = float(nnls(np.stack(uses, -1), np.concatenate([flow, demands]))[1])
    paid = float(price @ flow)
    return Judged(value, 1 - least / paid if paid > 0 else 0.0, off)


def _routes(odd: Odd, route: list[int], at: int, goal: int) -> list[list[int]]:
    if at == goal:
        return [route]
    seen = {odd.ends[route[0]][0]} | {odd.ends[link][1] for link in route} if route else {at}
    if route and at < odd.through:
        return []
    nexts = [(link, head) for link, (tail, head) in enumerate(odd.ends) if tail == at and head not in seen]
    return [found for link, head in nexts for found in _routes(odd, [*route, link], head, goal)]
