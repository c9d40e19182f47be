"""Networks in the CSV files of GMNS: node.csv, link.csv and demand.csv.

Format: General Modeling Network Specification, github.com/zephyr-data-specs/GMNS; its link performance and demand
columns as in DTALite. Columns are known by name in any case. A zone is the one node that carries its zone_id; nodes of
node_type "centroid" may not be crossed. Capacity is per lane. Free-flow times are vdf_fftt, or else minutes,
60 length / free_speed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dgpg.errors import DataError
from dgpg.files import Rows, csv_rows
from dgpg_traffic.arrays import FloatArray, IntArray
from dgpg_traffic.network.network import Network, validate

from .constant import constant_times

NODE, LINK, DEMAND = "node.csv", "link.csv", "demand.csv"
_COLUMNS = {
    NODE: ("node_id", "zone_id"),
    LINK: ("from_node_id", "to_node_id", "capacity", "length"),
    DEMAND: ("o_zone_id", "d_zone_id", "volume"),
}
_OPTIONAL = {
    NODE: ("node_type", "x_coord", "y_coord"),
    LINK: ("lanes", "directed", "dir_flag", "free_speed", "vdf_fftt", "vdf_alpha", "vdf_beta"),
    DEMAND: (),
}


def read_gmns(folder: Path) -> Network:
    """Read the network of a folder; DataError names the file and line of the first fault."""
    nodes, links, trips = (
        csv_rows(folder / name, _COLUMNS[name], optional=_OPTIONAL[name], any_case=True)
        for name in (NODE, LINK, DEMAND)
    )
    number, zone_at = _nodes(nodes)
    _check_directed(links)
    at = {int(value): position for position, value in enumerate(number)}
    times = _free_time(links), links.numbers("vdf_alpha", blank=0.15), links.numbers("vdf_beta", blank=4.0)
    free_time, b, power = constant_times(*times)
    origin, destination = (_positions(trips, field, zone_at) for field in ("o_zone_id", "d_zone_id"))
    demand = trips.numbers("volume")
    inside = (origin == destination) & (demand > 0)
    kept = (demand != 0) & ~inside
    network = Network(
        name=folder.resolve().name,
        node_number=number,
        through=np.array([kind.lower() != "centroid" for kind in nodes.column("node_type")]),
        place=_places(nodes),
        tail=_positions(links, "from_node_id", at),
        head=_positions(links, "to_node_id", at),
        capacity=links.numbers("capacity") * links.numbers("lanes", blank=1.0),
        free_time=free_time,
        b=b,
        power=power,
        length=links.numbers("length"),
        origin=origin[kept],
        destination=destination[kept],
        demand=demand[kept],
        notes=(f"demand of {demand[inside].sum():g} within zones: left out",) if inside.any() else (),
    )
    link_at = [links.at(row) for row in range(len(links))]
    pair_at = [trips.at(row) for row in np.flatnonzero(kept).tolist()]
    return validate(network, str(folder), link_at, pair_at)


def _places(rows: Rows) -> FloatArray:
    """Coordinates of the nodes, `[V, 2]`; NaN where one is empty."""
    place = np.stack([rows.numbers(field, blank=np.nan) for field in ("x_coord", "y_coord")], axis=1)
    place[np.isnan(place).any(axis=1)] = np.nan
    return place


def _nodes(rows: Rows) -> tuple[IntArray, dict[int, int]]:
    """Numbers of the nodes `[V]`, and the position of the node of each zone."""
    number, zone = rows.whole("node_id", blank=-1), rows.whole("zone_id", blank=-1)
    known: set[int] = set()
    zone_at: dict[int, int] = {}
    for position, (node, own) in enumerate(zip(number.tolist(), zone.tolist(), strict=True)):
        if node < 0:
            raise DataError(f"{rows.at(position)}: node_id: found nothing, expected a whole number: correct it")
        if node in known:
            raise DataError(f"{rows.at(position)}: node_id {node} occurs twice, expected distinct numbers: correct it")
        if own > 0 and own in zone_at:
            message = f"zone {own} is also that of an earlier node, expected one node a zone: leave zone_id empty"
            raise DataError(f"{rows.at(position)}: {message}")
        known.add(node)
        if own > 0:
            zone_at[own] = position
    return number, zone_at


def _positions(rows: Rows, field: str, at: dict[int, int]) -> IntArray:
    """Position of the node that each row's field names, `[rows]`."""
    found = rows.whole(field, blank=-1)
    for row, value in enumerate(found.tolist()):
        if value not in at:
            shown = value if value >= 0 else "nothing"
            raise DataError(f"{rows.at(row)}: {field}: found {shown}, expected one that {NODE} has: correct it")
    return np.array([at[value] for value in found.tolist()], np.int64)


def _check_directed(links: Rows) -> None:
    """A row is one direction; a file may say so in either of two columns."""
    for field, fine in (("directed", ("1", "true")), ("dir_flag", ("1",))):
        for row, cell in enumerate(links.column(field)):
            if cell and cell.lower() not in fine:
                message = f"{field}: found {cell!r}, expected {fine[0]!r}: write one row for each direction"
                raise DataError(f"{links.at(row)}: {message}")


def _free_time(links: Rows) -> FloatArray:
    """Free-flow times of the links, `[L]`."""
    given, speed = links.numbers("vdf_fftt", blank=np.nan), links.numbers("free_speed", blank=0.0)
    for row in np.flatnonzero(np.isnan(given) & ~(speed > 0))[:1]:
        found = f"found free_speed {speed[row]:g} and no vdf_fftt"
        raise DataError(f"{links.at(row)}: {found}, expected a speed above 0 or a time: correct it")
    computed = 60 * links.numbers("length") / np.where(speed > 0, speed, 1.0)
    return np.where(np.isnan(given), computed, given)
