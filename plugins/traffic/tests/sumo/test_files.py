"""Which files make a town, and what is told where they do not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dgpg.errors import ConfigError, DataError
from dgpg_traffic import programs
from dgpg_traffic.sumo import files, network

from .conftest import EDGES


def test_a_network_is_made_of_its_parts_once(town: Path) -> None:
    found = files.find(str(town), None)
    assert found.demand == town / "agents.csv" and "netconvert" in found.notes[0]
    read = network.read(found.network)
    assert read.edges == tuple(sorted(EDGES))
    follows = {(read.edges[a], read.edges[b]) for a, b in zip(*read.follows, strict=True)}
    assert follows == {("oa", "ac"), ("oa", "ad"), ("ac", "cb"), ("ad", "db"), ("cb", "bz"), ("db", "bz")}
    others = {read.edges[e]: [read.edges[o] for o in read.others[e]] for e in range(6)}
    assert others == {"oa": [], "ac": [], "ad": [], "cb": ["db"], "db": ["cb"], "bz": []}
    made = found.network.stat().st_mtime_ns
    assert files.find(str(town), None).network.stat().st_mtime_ns == made


def test_times_without_traffic_are_length_over_limit(town: Path) -> None:
    read = network.read(files.find(str(town), None).network)
    lengths = np.array([float(x) for x in _lane_lengths(files.find(str(town), None).network, read.edges)])
    np.testing.assert_allclose(read.free_time, lengths / 10)


def _lane_lengths(path: Path, edges: tuple[str, ...]) -> list[str]:
    text = path.read_text()
    return [text.split(f'<lane id="{edge}_0"')[1].split('length="')[1].split('"')[0] for edge in edges]


def test_a_part_that_is_missing_or_twice_is_named(new_town: Callable[..., Path]) -> None:
    folder = new_town()
    shutil.copy(folder / "town.nod.xml", folder / "again.nod.xml")
    with pytest.raises(DataError, match=r"2 files \*\.nod\.xml"):
        files.find(str(folder), None)
    for path in folder.glob("*.nod.xml"):
        path.unlink()
    with pytest.raises(DataError, match=r"no file \*\.nod\.xml"):
        files.find(str(folder), None)
    with pytest.raises(DataError, match=r"does not exist; expected 'grid', a \.net\.xml file, or a folder"):
        files.find(str(folder / "elsewhere"), None)


def test_demand_must_be_one_file(new_town: Callable[..., Path]) -> None:
    folder = new_town()
    (folder / "more.trips.xml").write_text("<trips/>")
    with pytest.raises(DataError, match=r"found agents\.csv, more\.trips\.xml; name one with --set demand=FILE"):
        files.find(str(folder), None)
    assert files.find(str(folder), str(folder / "agents.csv")).demand == folder / "agents.csv"
    with pytest.raises(DataError, match="is no file"):
        files.find(str(folder), str(folder / "none.csv"))


def test_a_file_that_is_no_network_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.net.xml"
    path.write_text("<net><edge")
    with pytest.raises(DataError, match="is no network of SUMO"):
        network.read(path)
    path.write_text('<net version="1.16"></net>')
    with pytest.raises(DataError, match="0 edges for cars and connects none"):
        network.read(path)


def test_edges_without_nodes_are_netconverts_error(new_town: Callable[..., Path]) -> None:
    folder = new_town()
    (folder / "town.edg.xml").write_text('<edges><edge id="x" from="o" to="nowhere"/></edges>')
    with pytest.raises(DataError, match=r"netconvert made no network: .*nowhere.*run it yourself"):
        files.find(str(folder), None)


def test_without_sumo_one_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    def absent(name: str, *rest: object, **named: object) -> object:
        if name == "sumolib":
            raise ImportError(name)
        return real(name, *rest, **named)  # type: ignore[arg-type]

    def unknown(name: str) -> object:
        raise programs.metadata.PackageNotFoundError(name)

    real = builtins.__import__
    monkeypatch.setattr(programs.metadata, "distribution", unknown)
    monkeypatch.setattr(builtins, "__import__", absent)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("SUMO_HOME", raising=False)
    for ask in (lambda: programs.program("netconvert"), programs.sumolib):
        with pytest.raises(
            ConfigError, match=r"not installed; it needs SUMO: pip install 'dgpg-plugin-traffic\[sumo\]'"
        ):
            ask()
