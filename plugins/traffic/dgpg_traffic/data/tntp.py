"""Networks in the TNTP format: PREFIX_net.tntp, PREFIX_trips.tntp and, if it is there, PREFIX_node.tntp.

Format: the README of github.com/bstabler/TransportationNetworks. Nodes are numbered from 1 on or, where they are not,
by as many distinct numbers as <NUMBER OF NODES> says; zones likewise. <TOLL FACTOR> and <DISTANCE FACTOR> are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgpg.errors import DataError
from dgpg.files import number, read_text, whole, wrong
from dgpg_traffic.arrays import FloatArray, IntArray
from dgpg_traffic.network.network import Network, validate

from .constant import constant_times
from .names import file_like, file_or

NET, TRIPS, NODE = "_net.tntp", "_trips.tntp", "_node.tntp"
_TAG = re.compile(r"<([^<>]+)>(.*)")
_ORIGIN = re.compile(r"origin\s+(\S+)", re.IGNORECASE)
_ENDS, _COLUMNS = ("init_node", "term_node"), ("capacity", "length", "free_flow_time", "b", "power")
_USUAL = (*_ENDS, *_COLUMNS, "speed", "toll")
"""Columns of the rows of links where no header says otherwise."""
_ALSO = {
    "tail": "init_node",
    "head": "term_node",
    "from": "init_node",
    "to": "term_node",
    "alpha": "b",
    "beta": "power",
}
_ALSO |= dict.fromkeys(("fft", "fftt", "fftime", "free_flow_travel_time"), "free_flow_time")
_PHRASE = re.compile("(?:init|from|term|to) node|free flow (?:travel )?time|speed limit|link type")
"""Names of several words, which blanks divide as they divide names."""
_FEW = 3
"""Names of columns from which a comment is a header."""
_TOLERANCE = 1e-4
"""Share by which the trips may miss the total of their header: files round."""


@dataclass(frozen=True)
class _File:
    """One file: its tags with where they stand, its lines below them without comments, and the comments above these."""

    path: Path
    tags: dict[str, tuple[str, str]]
    lines: tuple[tuple[str, str], ...]
    comments: tuple[tuple[str, str], ...]

    def count(self, tag: str, high: int = 10_000_000) -> int:
        """The whole number from 1 to `high` behind a tag."""
        if tag not in self.tags:
            raise DataError(f"{self.path}: no <{tag}>, expected one above <END OF METADATA>: check the file")
        at, text = self.tags[tag]
        return whole(at, f"<{tag}>", text, 1, high)

    def factor(self, tag: str) -> float | None:
        """The number of at least 0 behind a tag; None without the tag."""
        return number(*(self.tags[tag][0], f"<{tag}>", self.tags[tag][1]), 0) if tag in self.tags else None


def read_tntp(net: Path) -> Network:
    """Read a network by the path of its PREFIX_net.tntp; DataError names the file and line of the first fault."""
    prefix = net.name[: -len(NET)]
    file = _read(file_or(net))
    nodes = file.count("NUMBER OF NODES")
    zones = file.count("NUMBER OF ZONES", nodes)
    through = file.count("FIRST THRU NODE") if "FIRST THRU NODE" in file.tags else 1
    ends, values, link_at = _links(file)
    node_number = _numbering(ends, nodes, link_at)
    pairs, demand, pair_at, notes = _trips(_read(file_or(net.with_name(prefix + TRIPS))), zones, node_number)
    free_time, b, power = constant_times(*values[:, 2:5].T)
    network = Network(
        name=prefix,
        node_number=node_number,
        through=node_number >= through,
        place=_places(file_like(net.with_name(prefix + NODE)), node_number),
        tail=np.searchsorted(node_number, ends[:, 0]),
        head=np.searchsorted(node_number, ends[:, 1]),
        capacity=values[:, 0],
        free_time=free_time,
        b=b,
        power=power,
        length=values[:, 1],
        origin=np.searchsorted(node_number, pairs[:, 0]),
        destination=np.searchsorted(node_number, pairs[:, 1]),
        demand=demand,
        toll=values[:, 5],
        toll_factor=file.factor("TOLL FACTOR"),
        distance_factor=file.factor("DISTANCE FACTOR"),
        notes=notes,
    )
    return validate(network, str(file.path), link_at, pair_at)


def read_flow(path: Path, network: Network) -> FloatArray:
    """Published flows of a network's links, `[L]`, from a PREFIX_flow.tntp: rows of from, to, volume, cost.

    Rows of links between the same nodes stand in the order of these.

    Raises:
        DataError: a link is missing, unknown or given twice, or the file is malformed.
    """
    left: dict[tuple[int, int], list[int]] = {}
    for link, (tail, head) in enumerate(zip(network.tail, network.head, strict=True)):
        left.setdefault((int(network.node_number[tail]), int(network.node_number[head])), []).append(link)
    flow = np.full(network.num_links, np.nan)
    for at, cells in _table(path, "from, to and volume"):
        ends = whole(at, "from", cells[0], 0), whole(at, "to", cells[1], 0)
        if ends not in left:
            raise DataError(f"{at}: {network.name} has no link {ends[0]} to {ends[1]}: is it of another network?")
        if not left[ends]:
            raise DataError(f"{at}: link {ends[0]} to {ends[1]} occurs once more than in {network.name}: remove a row")
        flow[left[ends].pop(0)] = number(at, "volume", cells[2])
    for link in np.flatnonzero(np.isnan(flow))[:1]:
        raise DataError(f"{path}: no row for {network.link_name(link)}: is it of another network?")
    return flow


def _read(path: Path) -> _File:
    tags: dict[str, tuple[str, str]] = {}
    lines: list[tuple[str, str]] | None = None
    comments: list[tuple[str, str]] = []
    for index, line in enumerate(read_text(path).splitlines(), start=1):
        at, text = f"{path}:{index}", line.split("~")[0].strip()
        if lines is not None:
            if text:
                lines.append((at, text))
            elif not lines and line.strip():
                comments.append((at, line.strip().lstrip("~")))
        elif match := _TAG.match(line.strip()):
            tag = " ".join(match.group(1).split()).upper()
            if tag == "END OF METADATA":
                lines = []
            value = match.group(2).split("~")[0].strip()
            if tag in tags and tags[tag][1] != value:
                raise DataError(f"{at}: <{tag}> is {value}, and {tags[tag][1]} further up: correct one of them")
            tags[tag] = at, value
        elif text:
            raise DataError(f"{at}: found {text[:30]!r}, expected <TAG> VALUE up to <END OF METADATA>: fetch it again")
    if lines is None:
        raise DataError(f"{path}: no <END OF METADATA>, expected it above the rows: the file may be truncated")
    return _File(path, tags, tuple(lines), tuple(comments))


def _links(file: _File) -> tuple[IntArray, FloatArray, list[str]]:
    """Node numbers `[L, 2]`, `_COLUMNS` and the toll `[L, 6]`, and the place of each row."""
    ends, values, headers = [], [], file.comments
    rows = [(at, text.replace(";", " ").split()) for at, text in file.lines]
    if rows and not any(map(_is_number, rows[0][1])):  # a header that is no comment
        headers = (*headers, file.lines[0])
        del rows[0]
    place = _places_of(headers)
    needed = 1 + max(place[name] for name in (*_ENDS, *_COLUMNS))
    for at, cells in rows:
        if len(cells) < needed:
            wanted = ", ".join((*_ENDS, *_COLUMNS))
            raise DataError(f"{at}: expected at least {needed} fields, got {len(cells)}: {wanted}")
        ends.append([whole(at, name, cells[place[name]], 1) for name in _ENDS])
        toll = number(at, "toll", cells[place["toll"]]) if len(cells) > place["toll"] else 0.0
        values.append([*(number(at, name, cells[place[name]]) for name in _COLUMNS), toll])
    if (count := file.count("NUMBER OF LINKS")) != len(ends):
        at, _ = file.tags["NUMBER OF LINKS"]
        raise DataError(f"{at}: <NUMBER OF LINKS> is {count}, found {len(ends)} rows: the file may be truncated")
    return np.array(ends), np.array(values), [at for at, _ in rows]


def _places_of(headers: tuple[tuple[str, str], ...]) -> dict[str, int]:
    """Place of each column of links in their rows: that of a header that names all it must, else the usual one.

    `headers` are comments, of which the last may be a header, or one further up, with where they stand.

    Raises:
        DataError: a header names some of the columns, and one in another place than the usual.
    """
    usual, needed = {name: place for place, name in enumerate(_USUAL)}, (*_ENDS, *_COLUMNS)
    for at, text in reversed(headers):
        found, count = _named(text)
        missing = [name for name in needed if name not in found]
        if not missing:
            return {name: found.get(name, count) for name in _USUAL}
        moved = [name for name in (*needed, "toll") if found.get(name, usual[name]) != usual[name]]
        if moved and len(needed) - len(missing) >= _FEW:
            place = f"{moved[0]} is column {found[moved[0]] + 1} of the header, usually {usual[moved[0]] + 1}"
            expected = f"which names no {', '.join(missing)}, expected all of {', '.join(needed)}"
            raise DataError(
                f"{at}: {place}, {expected}: name them all, or take the header out if the order is the usual"
            )
    return usual


def _named(header: str) -> tuple[dict[str, int], int]:
    """Place of each column that a header names, and how many it has."""
    text = re.sub(r"\(.*?\)", "", header.replace(";", " ").lower()).strip()
    joined = _PHRASE.sub(lambda words: words.group().replace(" ", "_"), text)
    names = ["_".join(word.split()) for word in (text.split("\t") if "\t" in text else joined.split()) if word.strip()]
    return {_ALSO.get(name, name): place for place, name in reversed(list(enumerate(names)))}, len(names)


def _numbering(ends: IntArray, nodes: int, link_at: list[str]) -> IntArray:
    """Numbers of the nodes, ascending, `[V]`."""
    beyond = np.argwhere(ends > nodes)
    distinct: IntArray = np.unique(ends)
    if not len(beyond):
        return np.arange(1, nodes + 1)
    if len(distinct) == nodes:
        return distinct
    row, side = beyond[0]
    expected = f"a whole number from 1 to {nodes}, or {nodes} distinct numbers in all (there are {len(distinct)})"
    raise wrong(link_at[row], ("init_node", "term_node")[side], str(ends[row, side]), expected)


def _trips(file: _File, zones: int, node_number: IntArray) -> tuple[IntArray, FloatArray, list[str], tuple[str, ...]]:
    """Zones `[N, 2]` and demand `[N]` of each pair, the place of each, and notes."""
    if (count := file.count("NUMBER OF ZONES")) != zones:
        at, _ = file.tags["NUMBER OF ZONES"]
        raise DataError(f"{at}: <NUMBER OF ZONES> is {count}, the network has {zones}: are both of one network?")
    origin, rows, places = 0, [], []
    named: list[tuple[str, str, int]] = []
    for at, text in file.lines:
        if match := _ORIGIN.fullmatch(text):
            origin = whole(at, "Origin", match.group(1), 1)
            named.append((at, "Origin", origin))
            continue
        for piece in filter(str.strip, text.split(";")):
            destination, colon, demand = piece.partition(":")
            if not (origin and colon):
                raise DataError(f"{at}: found {piece.strip()[:30]!r}, expected 'Origin ZONE', then 'ZONE : DEMAND;'")
            rows.append((origin, whole(at, "destination", destination, 1), number(at, "demand", demand, 0)))
            places.append(at)
            named.append((at, "destination", rows[-1][1]))
    _check_zones(named, zones, node_number)
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


def _check_zones(named: list[tuple[str, str, int]], zones: int, node_number: IntArray) -> None:
    """Are zones, by place, field and number, those from 1 to `zones` or so many others, and nodes of the network."""
    nodes, distinct = set(node_number.tolist()), len({zone for _, _, zone in named})
    for at, field, zone in named:
        if zone > zones and distinct != zones:
            expected = f"a whole number from 1 to {zones}, or {zones} distinct zones in all (there are {distinct})"
            raise wrong(at, field, str(zone), expected)
        if zone not in nodes:
            raise wrong(at, field, str(zone), "a node of the network")


def _places(path: Path | None, node_number: IntArray) -> FloatArray:
    """Coordinates `[V, 2]` from rows of number, x, y; NaN where there is no file or no row."""
    place = np.full((len(node_number), 2), np.nan)
    row_of = {int(node): row for row, node in enumerate(node_number)}
    seen: set[int] = set()
    for at, cells in _table(path, "node, x and y") if path else ():
        node = whole(at, "node", cells[0], 1)
        if node not in row_of:
            raise wrong(at, "node", cells[0], f"one of the network's {len(node_number)} nodes")
        if node in seen:
            raise DataError(f"{at}: node {node} occurs twice, expected one row a node: remove one")
        seen.add(node)
        place[row_of[node]] = [number(at, name, cell) for name, cell in zip("xy", cells[1:3], strict=True)]
    return place


def _table(path: Path, columns: str) -> list[tuple[str, list[str]]]:
    """Place and cells of each row of at least three, without comments, tags and a header: a first row of no number."""
    rows: list[tuple[str, list[str]]] = []
    first = True
    for index, line in enumerate(read_text(path).splitlines(), start=1):
        cells = line.split("~")[0].replace(";", " ").split()
        if not cells or _TAG.match(line.strip()):
            continue
        header = first and not any(map(_is_number, cells))
        first = False
        if header:
            continue
        if len(cells) < 3:
            raise DataError(f"{path}:{index}: expected {columns}, got {len(cells)} fields: fetch the file again")
        rows.append((f"{path}:{index}", cells))
    return rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
