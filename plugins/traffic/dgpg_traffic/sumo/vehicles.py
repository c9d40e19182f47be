"""Trips of SUMO's own files: `.trips.xml` and `.rou.xml`, of which first and last edges count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from dgpg.errors import DataError
from dgpg.files import number, read_text, wrong
from dgpg_traffic.sumo.network import Network

Row = tuple[str, float, int, int]
"""Name, departure, first and last edge."""
LAST = 7 * 86_400.0
"""Latest departure, seconds: days are counted in windows from their midnight."""
OTHERS = ("person", "personFlow", "container", "containerFlow")
"""Elements of who or what is no car."""
DEFAULT = "DEFAULT_VEHTYPE"
"""Name of SUMO's own type of cars."""
UNITS = (1, 60, 3600, 86_400)
"""Seconds of the parts of SUMO's D:HH:MM:SS, from the last."""


def read(network: Network, path: Path) -> tuple[list[Row], tuple[str, ...]]:
    """Rows of a file, and what was left out.

    Raises:
        DataError: naming file, vehicle, and what is wrong.
    """
    root = elements(path)
    routes = {element.get("id"): element for element in root if element.tag in ("route", "routeDistribution")}
    found: list[Row] = []
    for element in root:
        if element.tag == "flow":
            raise DataError(
                f"demand: {path} holds flow '{element.get('id')}', expected trips or vehicles: let duarouter write "
                f"them: {_duarouter(network, path)}"
            )
        if element.tag in ("trip", "vehicle"):
            found.append(_vehicle(network, path, element, routes))
    return found, tuple(_left(root, routes, path.name))


def _left(root: ElementTree.Element, routes: Mapping[str | None, ElementTree.Element], file: str) -> Iterator[str]:
    """What of a file is not what is driven."""
    others = sum(element.tag in OTHERS for element in root)
    if others:
        yield f"{others} persons and containers of {file} are no cars: left out"
    cars = [element for element in root if element.tag in ("trip", "vehicle")]
    types = [kind for kind in (car.get("type", DEFAULT) for car in cars) if kind != DEFAULT]
    if types:
        yield f"{len(types)} vehicles of {file} have a type ('{types[0]}' is the first): all are SUMO's default car"
    detours = [car.get("id") for car in cars if _detour(car, routes)]
    if detours:
        yield (
            f"{len(detours)} vehicles of {file} stop, pass by somewhere or go round ('{detours[0]}' is the first): "
            "they drive from first edge to last"
        )


def _detour(car: ElementTree.Element, routes: Mapping[str | None, ElementTree.Element]) -> bool:
    """Whether there is more to its trip than two edges."""
    inner, named = car.find("route"), routes.get(car.get("route"))
    parts = [part for part in (car, inner, named) if part is not None]
    return "via" in car.attrib or any("repeat" in part.attrib or part.find("stop") is not None for part in parts)


def elements(path: Path) -> ElementTree.Element:
    """The root of a file, packed or not.

    Raises:
        DataError: it is no XML.
    """
    try:
        return ElementTree.fromstring(read_text(path))
    except ElementTree.ParseError as error:
        raise DataError(f"demand: {path} is no XML ({error}); expected agents.csv, .trips.xml or .rou.xml") from None


def edge(network: Network, at: str, field: str, name: str) -> int:
    """Number of an edge.

    Raises:
        DataError: cars may not use it, or there is none.
    """
    if name not in network.number:
        raise wrong(at, field, name, f"an edge of {network.path.name} that cars may use")
    return network.number[name]


def seconds(at: str, text: str) -> float:
    """A departure in seconds, or as [D:]HH:MM:SS."""
    parts = text.split(":")
    if not 2 < len(parts) <= len(UNITS):
        return number(at, "depart", text, 0, LAST)
    spent = [number(at, "depart", part, 0, LAST) * unit for part, unit in zip(reversed(parts), UNITS, strict=False)]
    return number(at, "depart", str(sum(spent)), 0, LAST)


def _vehicle(network: Network, path: Path, element: ElementTree.Element, routes: Mapping[str | None, object]) -> Row:
    name = element.get("id") or "without id"
    at = f"{path}: {element.tag} '{name}'"
    depart = seconds(at, element.get("depart", ""))
    first, last = _ends(network, path, at, element, routes)
    return name, depart, edge(network, at, "from", first), edge(network, at, "to", last)


def _ends(
    network: Network, path: Path, at: str, element: ElementTree.Element, routes: Mapping[str | None, object]
) -> tuple[str, str]:
    """First and last edge, by name."""
    inner, named = element.find("route"), routes.get(element.get("route"))
    route = inner if inner is not None else named
    if isinstance(route, ElementTree.Element) and route.tag == "route":
        edges = route.get("edges", "").split()
        if not edges:
            raise wrong(at, "edges", "", "the names of its route's edges")
        return edges[0], edges[-1]
    first, last = element.get("from"), element.get("to")
    if first is not None and last is not None:
        return first, last
    elsewhere = [key for key in element.attrib if key.endswith(("Junction", "Taz", "TAZ", "XY", "LonLat"))]
    if elsewhere or route is not None:
        held = elsewhere[0] if elsewhere else f"routeDistribution '{element.get('route')}'"
        raise DataError(
            f"{at}: holds {held}, expected edges from and to, or one route: let duarouter find them: "
            f"{_duarouter(network, path)}"
        )
    asked = element.get("route")
    found = f"route '{asked}', which is not in the file" if asked else "none"
    raise DataError(f"{at}: route: found {found}, expected one, or edges from and to: correct it")


def _duarouter(network: Network, path: Path) -> str:
    return f"duarouter --net-file {network.path} --route-files {path} --output-file routed.rou.xml --junction-taz"
