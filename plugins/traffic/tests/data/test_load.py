"""Names and paths of networks: which one is meant, and what a user hears who named none."""

import re
from pathlib import Path

import numpy as np
import pytest

from dgpg.errors import DataError
from dgpg_traffic.data import NAMES, load_network

BUILTIN = Path(load_network.__code__.co_filename).parent / "networks"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the networks braess and grid."""
    for file in BUILTIN.glob("*.tntp"):
        (tmp_path / file.name).write_text(file.read_text())
    return tmp_path


def test_the_networks_that_come_along() -> None:
    assert {file.name.removesuffix("_net.tntp") for file in BUILTIN.glob("*_net.tntp")} == set(NAMES)
    braess, grid = (load_network(name) for name in NAMES)
    assert (braess.num_nodes, braess.num_links, braess.demand.tolist()) == (4, 5, [6.0])
    assert (grid.num_nodes, grid.num_links, grid.num_pairs, grid.demand.sum()) == (24, 76, 140, 15390.0)
    assert np.isfinite(braess.place).all() and np.isfinite(grid.place).all()


@pytest.mark.parametrize("name", ["grid", "grid_net.tntp", "grid_trips.tntp", "grid_node.tntp"])
def test_one_of_several_is_named_by_prefix_or_file(folder: Path, name: str) -> None:
    assert load_network(str(folder / name)).num_pairs == 140


def test_a_folder_with_one_network_is_enough(folder: Path) -> None:
    (folder / "braess_net.tntp").unlink()
    assert load_network(str(folder)).name == "grid"


def test_a_folder_with_several_names_them(folder: Path) -> None:
    both = f"{folder}: holds 2 networks, expected one: name one of {folder / 'braess'}, {folder / 'grid'}"
    with pytest.raises(DataError, match=re.escape(both)):
        load_network(str(folder))
    (folder / "link.csv").write_text("")
    with pytest.raises(DataError, match=re.escape(f"holds 3 networks, expected one: name one of {folder}")):
        load_network(str(folder))


def test_a_wrong_prefix_names_the_nearest(folder: Path) -> None:
    with pytest.raises(DataError, match=re.escape(f"did you mean '{folder / 'grid'}'?")):
        load_network(str(folder / "grids"))


def test_a_wrong_name_names_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown network 'gird': did you mean 'grid'\? .*; or a folder of TNTP"):
        load_network("gird")
    with pytest.raises(DataError, match=r": holds no network, expected PREFIX_net\.tntp and PREFIX_trips\.tntp"):
        load_network(str(tmp_path))
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"notes\.txt: not the file of a network, expected PREFIX_net\.tntp or link\.c"):
        load_network(str(tmp_path / "notes.txt"))
