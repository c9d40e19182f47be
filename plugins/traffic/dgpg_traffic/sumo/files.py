"""Which files of a folder are the network and the demand; a network that is missing is made of its parts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dgpg.errors import DataError
from dgpg.files import cache, read_text
from dgpg_traffic.programs import make

GRID = "grid"
PARTS = {
    "nod": "--node-files", "edg": "--edge-files", "con": "--connection-files", "tll": "--tllogic-files",
    "typ": "--type-files",
}  # fmt: skip
"""Files that netconvert makes a network of, by the middle of their names; nodes and edges are needed."""


@dataclass(frozen=True)
class Files:
    """Of one town."""

    network: Path
    demand: Path | None
    """None where trips are drawn."""
    ends: Path | None
    """Edges that `agents.csv` names by number."""
    notes: tuple[str, ...] = ()


def find(network: str, demand: str | None) -> Files:
    """Files of a town.

    Args:
        network: `grid`, a folder, or a `.net.xml`.
        demand: a file; None takes the only one of the folder.

    Raises:
        DataError: there is none, or there are several.
    """
    if network == GRID:
        return Files(_grid(), Path(demand) if demand else None, None)
    path = Path(network)
    if not path.exists():
        raise DataError(
            f"network: {path} does not exist; expected '{GRID}', a .net.xml file, or a folder with one, or "
            "with .nod.xml and .edg.xml"
        )
    folder = path if path.is_dir() else path.parent
    net, notes = (path, ()) if path.is_file() else _network(path)
    wishes, ends = _demand(folder, demand), sorted(folder.glob("od_*.txt"))
    if len(ends) > 1 and ".csv" in wishes.suffixes:
        raise DataError(
            f"demand: {folder} holds {', '.join(p.name for p in ends)}; keep the one that {wishes.name} is of"
        )
    return Files(net, wishes, ends[0] if ends else None, notes)


def _network(folder: Path) -> tuple[Path, tuple[str, ...]]:
    nets = _of(folder, "*.net.xml")
    if len(nets) > 1:
        raise DataError(f"network: {folder} holds {', '.join(p.name for p in nets)}; name one of them")
    if nets:
        return nets[0], ()
    parts = {middle: _of(folder, f"*.{middle}.xml") for middle in PARTS}
    for middle, found in parts.items():
        if len(found) > 1 or (not found and middle in ("nod", "edg")):
            count = f"{len(found)} files" if found else "no file"
            raise DataError(
                f"network: {folder} holds no .net.xml, and {count} *.{middle}.xml; expected one to make it of"
            )
    files = {middle: found[0] for middle, found in parts.items() if found}
    digest = hashlib.sha256()
    for middle, file in files.items():
        digest.update(middle.encode() + file.read_bytes())
    out = cache.folder("sumo") / f"{files['edg'].name.split('.')[0]}-{digest.hexdigest()[:16]}.net.xml"
    if not out.exists():
        named = [word for middle, file in files.items() for word in (PARTS[middle], str(file))]
        # Plain files of an extract name connections of edges that the extract lacks.
        make(out, "netconvert", [*named, "--ignore-errors", "--no-warnings"])
    return out, (f"no .net.xml in {folder}: netconvert --ignore-errors made {out} of {len(files)} files",)


def _grid() -> Path:
    """A grid of 5 x 5 junctions with signals, 150 m apart."""
    out = cache.folder("sumo") / "grid-5-150.net.xml"
    if not out.exists():
        made = ["--grid", "--grid.number=5", "--grid.length=150", "--default-junction-type=traffic_light"]
        make(out, "netgenerate", [*made, "--no-turnarounds=true", "--seed=1"])
    return out


def _demand(folder: Path, named: str | None) -> Path:
    if named is not None:
        path = Path(named)
        if not path.is_file():
            raise DataError(f"demand: {path} is no file; expected agents.csv, .trips.xml or .rou.xml")
        return path
    found = [*_of(folder, "agents.csv"), *_of(folder, "*.trips.xml")]
    found = found or [path for path in _of(folder, "*.rou.xml") if "<vehicle" in read_text(path)]
    if len(found) != 1:
        held = ", ".join(path.name for path in found) or "none"
        raise DataError(
            f"demand: expected one agents.csv, .trips.xml or .rou.xml with vehicles in {folder}, found {held}; "
            "name one with --set demand=FILE"
        )
    return found[0]


def _of(folder: Path, pattern: str) -> list[Path]:
    """Files of a pattern, packed ones too."""
    return sorted([*folder.glob(pattern), *folder.glob(f"{pattern}.gz")])
