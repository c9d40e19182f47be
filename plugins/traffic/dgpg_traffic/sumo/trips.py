"""Who drives from where to where and when: `agents.csv`, `.trips.xml`, `.rou.xml`, or drawn."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgpg.errors import DataError
from dgpg.files import csv_rows, read_text, wrong
from dgpg_traffic.sumo import vehicles
from dgpg_traffic.sumo.network import Floats, Ints, Network
from dgpg_traffic.sumo.vehicles import LAST, Row

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
    is_table = path.name.removesuffix(".gz").endswith(".csv")
    found, notes = (_csv(network, path, ends), ()) if is_table else vehicles.read(network, path)
    if not found:
        raise DataError(f"demand: {path} holds no trip; expected trips or vehicles")
    name, times = Counter(row[0] for row in found).most_common(1)[0]
    if times > 1:
        raise DataError(f"demand: {path}: id: found '{name}' {times} times, expected each once: was it joined twice?")
    return _ordered(_scaled(found, scale, generator), network, path, notes)


def _ordered(rows: list[Row], network: Network, path: Path | None = None, notes: tuple[str, ...] = ()) -> Trips:
    rows = sorted(rows, key=lambda row: (row[1], row[0]))
    stay = [row[0] for row in rows if row[2] == row[3]]
    rows = [row for row in rows if row[2] != row[3]]
    if stay:
        notes = (*notes, f"{len(stay)} trips begin and end on one edge ({stay[0]} is the first): left out")
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
    depart = rows.numbers("start_time", low=0, high=LAST)
    first, last = (
        [_end(network, rows.at(n), field, text, names) for n, text in enumerate(rows.column(field))]
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


def _end(network: Network, at: str, field: str, text: str, names: dict[str, list[str]] | None) -> int:
    """Edge of a name, or of a number where there are names by number."""
    if names is None or not text.isdigit():
        return vehicles.edge(network, at, field, text)
    if int(text) >= len(names[field]):
        expected = f"a number below {len(names[field])}, the edges of {field}s in od_*.txt, or an edge's name"
        raise wrong(at, field, text, expected)
    return vehicles.edge(network, at, field, names[field][int(text)])
