"""Networks in the CSV files of GMNS: node.csv, link.csv, demand.csv and, if it is there, config.csv.

Format: General Modeling Network Specification, github.com/zephyr-data-specs/GMNS; its link performance and demand
columns as in DTALite, with or without the number of its first period (vdf_alpha, vdf_alpha1). Columns are known by name
in any case. Nodes of node_type "centroid" may not be crossed. `capacity` is per lane, `vdf_cap` of the whole link.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from dgpg.errors import DataError
from dgpg.files import Rows, csv_rows, wrong
from dgpg_traffic.arrays import FloatArray, IntArray
from dgpg_traffic.network.network import Network, validate

from .constant import constant_times
from .names import file_or
from .units import CONFIG, Units, read_units
from .zones import joined, zone_nodes

NODE, LINK, DEMAND = "node.csv", "link.csv", "demand.csv"
_COLUMNS = {
    NODE: ("node_id", "zone_id"),
    LINK: ("from_node_id", "to_node_id", "length"),
    DEMAND: ("o_zone_id", "d_zone_id", "volume"),
}
LONGEST = 30.0
"""Minutes of a median link above which units were guessed wrongly: blocks in metres or feet."""
_PERFORMANCE = ("alpha", "beta", "fftt", "bpr")
"""What other columns of link performance have in their names."""
_CARS = {"auto", "car", "all", "sov", "hov", "drive", "vehicle", "motor_vehicle", "truck", "bus", "passenger"}
"""Words of `allowed_uses` with which a link is a road."""
_VDF = ("vdf_fftt", "vdf_alpha", "vdf_beta", "vdf_cap")
_OPTIONAL = {
    NODE: ("node_type", "x_coord", "y_coord"),
    LINK: (
        "capacity",
        "lanes",
        "directed",
        "dir_flag",
        "free_speed",
        "toll",
        "allowed_uses",
        *_VDF,
        *(f"{name}1" for name in _VDF),
    ),
    DEMAND: (),
}


def read_gmns(folder: Path) -> Network:
    """Read the network of a folder; DataError names the file and line of the first fault."""
    nodes, links, trips = (
        csv_rows(file_or(folder / name), _COLUMNS[name], optional=_OPTIONAL[name], any_case=True)
        for name in (NODE, LINK, DEMAND)
    )
    number = _node_numbers(nodes)
    through = np.array([kind.lower() != "centroid" for kind in nodes.column("node_type")])
    zones = zone_nodes(nodes.whole("zone_id", low=-1, blank=-1), ~through)
    _check_directed(links)
    at = {int(value): position for position, value in enumerate(number)}
    free_time, times_told = _free_time(links, read_units(folder))
    capacity, capacity_told = _capacity(links)
    free_time, b, power = constant_times(free_time, _either(links, "vdf_alpha", 0.15), _either(links, "vdf_beta", 4.0))
    origin, destination = (_zones(trips, field, zones) for field in ("o_zone_id", "d_zone_id"))
    demand = trips.numbers("volume")
    inside = (origin == destination) & (demand > 0)
    kept = (demand != 0) & ~inside
    within = (f"demand of {demand[inside].sum():g} within zones: left out",) if inside.any() else ()
    network, place_of = joined(
        Network(
            name=folder.resolve().name,
            node_number=number,
            through=through,
            place=_places(nodes),
            tail=_positions(links, "from_node_id", at),
            head=_positions(links, "to_node_id", at),
            capacity=capacity,
            free_time=free_time,
            b=b,
            power=power,
            length=links.numbers("length"),
            origin=origin[kept],
            destination=destination[kept],
            demand=demand[kept],
            toll=links.numbers("toll", blank=0.0),
            notes=(times_told, capacity_told, *_unread(links), *_not_for_cars(links), *within),
        ),
        zones,
    )
    link_at = [links.at(row) for row in range(len(links))] + place_of(str(folder))
    pair_at = [trips.at(row) for row in np.flatnonzero(kept).tolist()]
    return validate(network, str(folder), link_at, pair_at)


def _places(rows: Rows) -> FloatArray:
    """Coordinates of the nodes, `[V, 2]`; NaN where one is empty."""
    place = np.stack([rows.numbers(field, blank=np.nan) for field in ("x_coord", "y_coord")], axis=1)
    place[np.isnan(place).any(axis=1)] = np.nan
    return place


def _node_numbers(rows: Rows) -> IntArray:
    """Numbers of the nodes `[V]`."""
    number, known = rows.whole("node_id", blank=-1), set()
    for position, node in enumerate(number.tolist()):
        if node < 0:
            raise DataError(f"{rows.at(position)}: node_id: found nothing, expected a whole number: correct it")
        if node in known:
            raise DataError(f"{rows.at(position)}: node_id {node} occurs twice, expected distinct numbers: correct it")
        known.add(node)
    return number


def _positions(rows: Rows, field: str, at: dict[int, int]) -> IntArray:
    """Position of the node that each row's field names, `[rows]`."""
    found = rows.whole(field, blank=-1)
    for row, value in enumerate(found.tolist()):
        if value not in at:
            shown = value if value >= 0 else "nothing"
            raise DataError(f"{rows.at(row)}: {field}: found {shown}, expected one that {NODE} has: correct it")
    return np.array([at[value] for value in found.tolist()], np.int64)


def _zones(rows: Rows, field: str, zones: dict[int, list[int]]) -> IntArray:
    """Zone that each row's field names, as its place among `zones`, `[rows]`."""
    return _positions(rows, field, {zone: place for place, zone in enumerate(zones)})


def _check_directed(links: Rows) -> None:
    """A row is one direction; a file may say so in either of two columns.

    GMNS has `directed` for that, and -1, 0 or 1 in `dir_flag` for the direction of the geometry; where there is no
    `directed`, `dir_flag` is all that files of older tools have.
    """
    for row, (directed, flag) in enumerate(zip(links.column("directed"), links.column("dir_flag"), strict=True)):
        if directed and not _is_one(directed):
            raise wrong(links.at(row), "directed", directed, "'1'", "write one row for each direction")
        if flag and not (_is_one(flag) or (directed and _is_one(flag.lstrip("-"), 0.0))):
            advice = "write one row for each direction, or fill the column directed"
            raise wrong(links.at(row), "dir_flag", flag, "'1'", advice)


def _is_one(cell: str, *others: float) -> bool:
    if cell.lower() in ("true", "t", "yes"):
        return True
    try:
        return float(cell) in (1.0, *others)
    except ValueError:
        return False


def _unread(links: Rows) -> tuple[str, ...]:
    """A note on columns of link performance that say something and are not read."""
    known = {*_VDF, *(f"{name}1" for name in _VDF)}
    said = [
        name
        for name in dict.fromkeys(links.header)
        if (name.startswith("vdf_") or any(word in name for word in _PERFORMANCE))
        and name not in known
        and any(cell not in ("", "0", "0.0") for cell in links.column(name))
    ]
    return (f"{LINK}: {', '.join(said)}: not read",) if said else ()


def _not_for_cars(links: Rows) -> tuple[str, ...]:
    """A note on links that say what may use them, and name nothing that drives."""
    uses = [set(re.findall("[a-z_]+", cell.lower())) for cell in links.column("allowed_uses")]
    rows = [row for row, words in enumerate(uses) if words and not words & _CARS]
    if not rows:
        return ()
    count = "1 link is" if len(rows) == 1 else f"{len(rows)} links are"
    return (f"{count} not for cars by allowed_uses, first in {LINK}:{links.line[rows[0]]}, and a road all the same",)


def _either(links: Rows, name: str, blank: float) -> FloatArray:
    """Numbers of the column `name` or of its first period's, `[L]`; `blank` where both are empty."""
    plain, first = (links.numbers(field, blank=np.nan) for field in (name, f"{name}1"))
    for row in np.flatnonzero(~(np.isnan(plain) | np.isnan(first) | (plain == first)))[:1]:
        raise wrong(links.at(row), name, f"{plain[row]:g}", f"that of {name}1, {first[row]:g}", "leave one empty")
    both = np.where(np.isnan(plain), first, plain)
    return np.where(np.isnan(both), blank, both)


def _capacity(links: Rows) -> tuple[FloatArray, str]:
    """Capacities of whole links, `[L]`, and what they were taken from."""
    whole, lane, lanes = (
        _either(links, "vdf_cap", np.nan),
        links.numbers("capacity", blank=np.nan),
        links.numbers("lanes", blank=1.0),
    )
    given = ~np.isnan(whole)
    for row in np.flatnonzero(~given & np.isnan(lane))[:1]:
        raise wrong(links.at(row), "capacity", "nothing", "a number above 0, or one in vdf_cap")
    for row in np.flatnonzero(~given & ~(lanes > 0))[:1]:
        raise wrong(links.at(row), "lanes", f"{lanes[row]:g}", "a number above 0 or a blank")
    sources = ("vdf_cap of whole links",) * bool(given.any()) + ("capacity times lanes",) * bool((~given).any())
    return np.where(given, whole, lane * lanes), f"capacities are {' and '.join(sources)}"


def _free_time(links: Rows, units: Units) -> tuple[FloatArray, str]:
    """Free-flow times of the links in minutes, `[L]`, and what they were taken from."""
    given, speed = _either(links, "vdf_fftt", np.nan), links.numbers("free_speed", blank=0.0)
    missing = np.isnan(given)
    for row in np.flatnonzero(missing & ~(speed > 0))[:1]:
        found = f"found free_speed {speed[row]:g} and no vdf_fftt"
        raise DataError(f"{links.at(row)}: {found}, expected a speed above 0 or a time: correct it")
    computed = units.minutes * links.numbers("length") / np.where(speed > 0, speed, 1.0)
    if not missing.any():
        return given, "free-flow times are vdf_fftt, in minutes"
    median = float(np.median(computed[missing]))
    if units.guessed and median > LONGEST:
        found = f"{median:.3g} min in the median, if lengths are kilometres or miles"
        expected = f"expected at most {LONGEST:g}: give the units in columns long_length and speed of {CONFIG}"
        raise DataError(f"{links.path}: free-flow times are {found}, {expected}")
    middle = f"{median:.3g} min in the median"
    some = "" if missing.all() else f" on {missing.sum()} of {len(missing)} links"
    return np.where(missing, computed, given), f"free-flow times are length / free_speed{some}, {middle}; {units.told}"
