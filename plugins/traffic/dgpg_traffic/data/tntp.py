"""Networks in the TNTP format: PREFIX_net.tntp, PREFIX_trips.tntp and, if it is there, PREFIX_node.tntp.

Format: the README of github.com/bstabler/TransportationNetworks. Tolls and weights of distance are not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgpg.errors import DataError
from dgpg.files import number, read_text, whole
from dgpg_traffic.arrays import FloatArray, IntArray
from dgpg_traffic.network.network import Network, validate

from .constant import constant_times

NET, TRIPS, NODE = "_net.tntp", "_trips.tntp", "_node.tntp"
_TAG = re.compile(r"<([^<>]+)>(.*)")
_ORIGIN = re.compile(r"origin\s+(\S+)", re.IGNORECASE)
_COLUMNS = ("capacity", "length", "free_flow_time", "b", "power")
_TOLERANCE = 1e-4
"""Share by which the trips may miss the total of their header: files round."""


@dataclass(frozen=True)
class _File:
    """One file: its tags with where they stand, and its lines below them without comments."""

    path: Path
    tags: dict[str, tuple[str, str]]
    lines: tuple[tuple[str, str], ...]

    def count(self, tag: str, high: int = 10_000_000) -> int:
        """The whole number from 1 to `high` behind a tag."""
        if tag not in self.tags:
            raise DataError(f"{self.path}: no <{tag}>, expected one above <END OF METADATA>: check the file")
        at, text = self.tags[tag]
        return whole(at, f"<{tag}>", text, 1, high)


def read_tntp(net: Path) -> Network:
    """Read a network by the path of its PREFIX_net.tntp; DataError names the file and line of the first fault."""
    prefix = net.name.removesuffix(NET)
    file = _read(net)
    nodes = file.count("NUMBER OF NODES")
    zones = file.count("NUMBER OF ZONES", nodes)
    through = file.count("FIRST THRU NODE") if "FIRST THRU NODE" in file.tags else 1
    ends, values, link_at = _links(file, nodes)
    pairs, demand, pair_at, notes = _trips(_read(net.with_name(prefix + TRIPS)), zones)
    free_time, b, power = constant_times(*values[:, 2:].T)
    network = Network(
        name=prefix,
        node_number=np.arange(1, nodes + 1),
        through=np.arange(1, nodes + 1) >= through,
        place=_places(net.with_name(prefix + NODE), nodes),
        tail=ends[:, 0] - 1,
        head=ends[:, 1] - 1,
        capacity=values[:, 0],
        free_time=free_time,
        b=b,
        power=power,
        length=values[:, 1],
        origin=pairs[:, 0] - 1,
        destination=pairs[:, 1] - 1,
        demand=demand,
        notes=notes,
    )
    return validate(network, str(net), link_at, pair_at)


def read_flow(path: Path, network: Network) -> FloatArray:
    """Published flows of a network's links, `[L]`, from a PREFIX_flow.tntp: rows of from, to, volume, cost.

    Raises:
        DataError: a link is missing or unknown, or the file is malformed.
    """
    position = {
        (int(network.node_number[tail]), int(network.node_number[head])): link
        for link, (tail, head) in enumerate(zip(network.tail, network.head, strict=True))
    }
    flow = np.full(network.num_links, np.nan)
    for index, line in enumerate(read_text(path).splitlines()[1:], start=2):
        cells = line.replace(";", " ").split()
        if not cells:
            continue
        at = f"{path}:{index}"
        if len(cells) < 3:
            raise DataError(f"{at}: expected from, to and volume, got {len(cells)} fields: fetch the file again")
        ends = whole(at, "from", cells[0], 0), whole(at, "to", cells[1], 0)
        if ends not in position:
            raise DataError(f"{at}: {network.name} has no link {ends[0]} to {ends[1]}: is it of another network?")
        flow[position[ends]] = number(at, "volume", cells[2])
    for link in np.flatnonzero(np.isnan(flow))[:1]:
        raise DataError(f"{path}: no row for {network.link_name(link)}: is it of another network?")
    return flow


def _read(path: Path) -> _File:
    tags: dict[str, tuple[str, str]] = {}
    lines: list[tuple[str, str]] | None = None
    for index, line in enumerate(read_text(path).splitlines(), start=1):
        at, text = f"{path}:{index}", line.split("~")[0].strip()
        if lines is not None:
            if text:
                lines.append((at, text))
        elif match := _TAG.match(line.strip()):
            tag = " ".join(match.group(1).split()).upper()
            if tag == "END OF METADATA":
                lines = []
            tags[tag] = at, match.group(2).strip()
        elif text:
            raise DataError(f"{at}: found {text[:30]!r}, expected <TAG> VALUE up to <END OF METADATA>: fetch it again")
    if lines is None:
        raise DataError(f"{path}: no <END OF METADATA>, expected it above the rows: the file may be truncated")
    return _File(path, tags, tuple(lines))


def _links(file: _File, nodes: int) -> tuple[IntArray, FloatArray, list[str]]:
    """Node numbers `[L, 2]`, `_COLUMNS` `[L, 5]` and the place of each row."""
    ends, values = [], []
    for at, text in file.lines:
        cells = text.replace(";", " ").split()
        if len(cells) < 7:
            wanted = f"init_node, term_node, {', '.join(_COLUMNS)}"
            raise DataError(f"{at}: expected at least 7 fields, got {len(cells)}: {wanted}")
        ends.append(
            [whole(at, name, cell, 1, nodes) for name, cell in zip(("init_node", "term_node"), cells[:2], strict=True)]
        )
        values.append([number(at, name, cell) for name, cell in zip(_COLUMNS, cells[2:7], strict=True)])
    if (count := file.count("NUMBER OF LINKS")) != len(ends):
        at, _ = file.tags["NUMBER OF LINKS"]
        raise DataError(f"{at}: <NUMBER OF LINKS> is {count}, found {len(ends)} rows: the file may be truncated")
    return np.array(ends), np.array(values), [at for at, _ in file.lines]


def _trips(file: _File, zones: int) -> tuple[IntArray, FloatArray, list[str], tuple[str, ...]]:
    """Zones `[N, 2]` and demand `[N]` of each pair, the place of each, and notes."""
    if (count := file.count("NUMBER OF ZONES")) != zones:
        at, _ = file.tags["NUMBER OF ZONES"]
        raise DataError(f"{at}: <NUMBER OF ZONES> is {count}, the network has {zones}: are both of one network?")
    origin, rows, places = 0, [], []
    for at, text in file.lines:
        if match := _ORIGIN.fullmatch(text):
            origin = whole(at, "Origin", match.group(1), 1, zones)
            continue
        for piece in filter(str.strip, text.split(";")):
            destination, colon, demand = piece.partition(":")
            if not (origin and colon):
                raise DataError(f"{at}: found {piece.strip()[:30]!r}, expected 'Origin ZONE', then 'ZONE : DEMAND;'")
            rows.append((origin, whole(at, "destination", destination, 1, zones), number(at, "demand", demand, 0)))
            places.append(at)
    table = np.array(rows).reshape(-1, 3)
    _check_total(file, float(table[:, 2].sum()))
    inside = table[:, 0] == table[:, 1]
    kept = (table[:, 2] > 0) & ~inside
    within = table[inside & ~kept, 2].sum()
    notes = (f"demand of {within:g} within zones: left out",) if within else ()
    kept_places = [place for place, keep in zip(places, kept, strict=True) if keep]
    return table[kept, :2].astype(np.int64), table[kept, 2], kept_places, notes


def _check_total(file: _File, found: float) -> None:
    if "TOTAL OD FLOW" in file.tags:
        at, text = file.tags["TOTAL OD FLOW"]
        total = number(at, "<TOTAL OD FLOW>", text)
        if abs(total - found) > _TOLERANCE * max(abs(total), abs(found)):
            raise DataError(f"{at}: <TOTAL OD FLOW> is {total:g}, the rows add up to {found:g}: correct one of them")


def _places(path: Path, nodes: int) -> FloatArray:
    """Coordinates `[V, 2]` from rows of number, x, y below a header; NaN where there is no file or no row."""
    place = np.full((nodes, 2), np.nan)
    if not path.exists():
        return place
    for index, line in enumerate(read_text(path).splitlines()[1:], start=2):
        cells = line.replace(";", " ").split()
        if cells:
            at = f"{path}:{index}"
            if len(cells) < 3:
                raise DataError(f"{at}: expected node, x and y, got {len(cells)} fields: fetch the file again")
            row = whole(at, "node", cells[0], 1, nodes) - 1
            place[row] = [number(at, name, cell) for name, cell in zip("xy", cells[1:3], strict=True)]
    return place
