"""Who drives from where to where and when: `agents.csv`, `.trips.xml`, `.rou.xml`, or drawn."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from dgpg.errors import DataError
from dgpg.files import csv_rows, read_text, wrong
from dgpg_traffic.sumo.network import Floats, Ints, Network

DRAWN, OVER = 120, 600
"""Trips that are drawn on a network without demand, and the seconds in which they depart."""


@dataclass(frozen=True)
class Trips:
    """n drivers in the order of their departures."""

    names: tuple[str, ...]
    depart: Floats
    """Seconds, `[n]`."""
    ends: Ints
    """First and last edge, `[n, 2]`."""
    notes: tuple[str, ...] = ()


def read(network: Network, path: Path | None, ends: Path | None, scale: float, seed: int) -> Trips:
    """Trips of a file, or drawn.

    Args:
        network: that they are in.
        path: `agents.csv`, `.trips.xml` or `.rou.xml`; None draws them.
        ends: names of the edges that `agents.csv` has numbers of; None where it has names.
        scale: drivers for each one of the file: those above one drive at times near his, those below are left out.
        seed: of all that is drawn.

    Raises:
        DataError: naming file, line or vehicle, and what is wrong; or a scale that leaves no trip.
    """
    generator = np.random.default_rng([seed, 1])
    if path is None:
        return _ordered(_scaled(_drawn(network, generator), scale, generator), network)
    found = _csv(network, path, ends) if path.suffix == ".csv" else _xml(network, path)
    if not found:
        raise DataError(f"demand: {path} holds no trip")
    return _ordered(_scaled(found, scale, generator), network, path)


Row = tuple[str, float, int, int]
"""Name, departure, first and last edge."""


def _ordered(rows: list[Row], network: Network, path: Path | None = None) -> Trips:
    rows = sorted(rows, key=lambda row: (row[1], row[0]))
    stay = [row[0] for row in rows if row[2] == row[3]]
    rows = [row for row in rows if row[2] != row[3]]
    notes = (f"{len(stay)} trips begin and end on one edge ({stay[0]} is the first): left out",) if stay else ()
    if not rows:
        raise DataError(f"demand: {path} holds no trip from one edge to another")
    return Trips(
        tuple(row[0] for row in rows),
        np.array([row[1] for row in rows]),
        np.array([row[2:] for row in rows], np.int64),
        notes,
    )


def _scaled(rows: list[Row], scale: float, generator: np.random.Generator) -> list[Row]:
    """`scale` drivers for each, copies within a minute of the first."""
    whole, part = int(scale), scale - int(scale)
    more = generator.random(len(rows)) < part
    found = []
    for row, extra in zip(rows, more, strict=True):
        for copy in range(whole + int(extra)):
            shift = round(generator.uniform(-60, 60)) if copy else 0
            name = f"{row[0]}.{copy}" if copy else row[0]
            found.append((name, max(row[1] + shift, 0.0), row[2], row[3]))
    if not found:
        raise DataError(f"scale = {scale:g}: of {len(rows)} trips none is left; raise it")
    return found


def _drawn(network: Network, generator: np.random.Generator) -> list[Row]:
    ends = generator.integers(len(network.edges), size=(2 * DRAWN, 2))
    ends = ends[ends[:, 0] != ends[:, 1]][:DRAWN]
    depart = np.sort(generator.integers(OVER, size=len(ends)))
    names = [str(n) for n in range(len(ends))]
    return list(zip(names, depart.astype(float).tolist(), ends[:, 0].tolist(), ends[:, 1].tolist(), strict=True))


def _csv(network: Network, path: Path, ends: Path | None) -> list[Row]:
    rows = csv_rows(path, ("id", "origin", "destination", "start_time"))
    names = _ends(ends) if ends else None
    depart = rows.numbers("start_time", low=0)
    first, last = (
        [_edge(network, rows.at(n), field, text, names) for n, text in enumerate(rows.column(field))]
        for field in ("origin", "destination")
    )
    return list(zip(rows.column("id"), depart.tolist(), first, last, strict=True))


def _ends(path: Path) -> dict[str, list[str]]:
    """Names of edges by number, URB's `od_NAME.txt`: a dictionary of `origins` and `destinations`."""
    try:
        found = ast.literal_eval(read_text(path).strip())
        return {"origin": list(found["origins"]), "destination": list(found["destinations"])}
    except (ValueError, SyntaxError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected a dictionary with the lists origins and destinations ({error})") from None


def _edge(network: Network, at: str, field: str, text: str, names: dict[str, list[str]] | None) -> int:
    edge = text
    if names is not None:
        listed = names[field]
        if not (text.isdigit() and int(text) < len(listed)):
            raise wrong(at, field, text, f"a number below {len(listed)}, the edges of {field}s in od_*.txt")
        edge = listed[int(text)]
    if edge not in network.number:
        raise wrong(at, field, edge, f"an edge of {network.path.name} that cars may use")
    return network.number[edge]


def _xml(network: Network, path: Path) -> list[Row]:
    try:
        root = ElementTree.fromstring(read_text(path))
    except ElementTree.ParseError as error:
        raise DataError(f"demand: {path} is no XML ({error}); expected .trips.xml or .rou.xml") from None
    routes = {element.get("id"): element.get("edges", "") for element in root.iter("route") if element.get("id")}
    found: list[Row] = []
    for element in root:
        if element.tag == "flow":
            raise DataError(
                f"demand: {path} holds flow '{element.get('id')}'; expected trips or vehicles: let duarouter write them"
            )
        if element.tag in ("trip", "vehicle"):
            found.append(_vehicle(network, path, element, routes))
    return found


def _vehicle(network: Network, path: Path, element: ElementTree.Element, routes: dict[str | None, str]) -> Row:
    name = element.get("id") or "without id"
    at = f"{path}: {element.tag} '{name}'"
    try:
        depart = float(element.get("depart", ""))
    except ValueError:
        raise wrong(at, "depart", element.get("depart", ""), "seconds") from None
    if element.tag == "trip":
        ends: Iterable[str] = (element.get("from", ""), element.get("to", ""))
    else:
        inner = element.find("route")
        edges = (inner.get("edges", "") if inner is not None else routes.get(element.get("route"), "")).split()
        ends = (edges[0], edges[-1]) if edges else ("", "")
    first, last = (_edge(network, at, field, edge, None) for field, edge in zip(("from", "to"), ends, strict=True))
    return name, depart, first, last
