"""A network some lanes of which cars may not use, as on a day of roadworks."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from dgpg.errors import ConfigError, DataError
from dgpg.files import cache, read_text


def without(network: Path, closed: Sequence[str]) -> Path:
    """A copy of a `.net.xml` in which nobody may use these lanes, kept by what it holds.

    Junctions, signals and connections stay as they are, as they do where a lane is coned off.

    Args:
        network: the file; it stays as it is.
        closed: lanes (`EDGE_0`), or edges with all of theirs.

    Raises:
        ConfigError: one is neither.
        DataError: the file is no XML.
    """
    if not closed:
        return network
    text = read_text(network)
    key = hashlib.sha256("\n".join((text, *sorted(closed))).encode()).hexdigest()[:16]
    out = cache.folder("sumo") / f"{network.name.split('.')[0]}-closed-{key}.net.xml"
    if out.exists():
        return out
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DataError(f"network: {network} is no network of SUMO ({error}); expected a .net.xml") from None
    _close(root, closed, network)
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=out.parent)
    with os.fdopen(handle, "wb") as file:
        ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)
    os.replace(part, out)  # no reader sees half of it
    return out


def _close(root: ElementTree.Element, closed: Sequence[str], network: Path) -> None:
    edges = {edge.get("id"): edge.findall("lane") for edge in root.iter("edge") if edge.get("function") != "internal"}
    lanes = {lane.get("id"): lane for own in edges.values() for lane in own}
    for name in closed:
        found = [lanes[name]] if name in lanes else edges.get(name, [])
        if not found:
            raise ConfigError(
                f"closed: found '{name}', expected a lane (EDGE_0) or an edge of {network.name}: correct it"
            )
        for lane in found:
            lane.attrib.pop("allow", None)
            lane.set("disallow", "all")
