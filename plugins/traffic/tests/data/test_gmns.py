"""GMNS tables: columns, defaults, faults, and Sioux Falls as its TNTP file has it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgpg.errors import DataError
from dgpg.testing import damaged
from dgpg_traffic.data import load_network

NODE = "name,node_id,zone_id,x_coord,y_coord,Node_Type\n,10,1,0,1,centroid\nmiddle,20,,,,\n,30,7,2,3.5,centroid\n"
LINK = """\
link_id,from_node_id,to_node_id,directed,length,lanes,capacity,free_speed,VDF_alpha,VDF_beta,VDF_fftt
1,10,20,1,2,2,900,60,,,
2,20,30,true,3,,800,,0.5,2,4.5
3,30,10,1,5,1,700,50,1,0,
"""
DEMAND = "o_zone_id,d_zone_id,volume\n1,7,100\n1,1,5\n7,1,0\n"


def _load(folder: Path, old: str = "", new: str = "") -> None:
    for name, text in (("node.csv", NODE), ("link.csv", LINK), ("demand.csv", DEMAND)):
        (folder / name).write_text("\ufeff" + (text.replace(old, new, 1) if old else text))
    load_network(str(folder))


def test_every_column_lands_where_it_belongs(tmp_path: Path) -> None:
    folder = tmp_path / "town"
    folder.mkdir()
    _load(folder)
    network = load_network(str(folder / "link.csv"))
    assert network.name == "town" and network.node_number.tolist() == [10, 20, 30]
    assert network.through.tolist() == [False, True, False]
    np.testing.assert_array_equal(network.place, [[0, 1], [np.nan, np.nan], [2, 3.5]])
    assert (network.tail.tolist(), network.head.tolist()) == ([0, 1, 2], [1, 2, 0])
    assert network.capacity.tolist() == [1800, 800, 700] and network.length.tolist() == [2, 3, 5]
    assert network.free_time.tolist() == [2, 4.5, 12]  # the last is 6 minutes (1 + 1), whatever the flow
    assert network.b.tolist() == [0.15, 0.5, 0] and network.power.tolist() == [4, 2, 1]
    assert (network.origin.tolist(), network.destination.tolist(), network.demand.tolist()) == ([0], [2], [100])
    assert network.notes == ("demand of 5 within zones: left out",)


FAULTS = {
    "column": ("zone_id,x", "zone,x", r"node\.csv:1: the header has no column zone_id, expected node_id, zone_id"),
    "no node": (",10,1,0", ",,1,0", r"node\.csv:2: node_id: found nothing, expected a whole number"),
    "same node": (",30,7", ",10,7", r"node\.csv:4: node_id 10 occurs twice"),
    "same zone": ("middle,20,", "middle,20,1", r"node\.csv:3: zone 1 is also that of an earlier node, expected one"),
    "fields": ("1,10,20,1,2,2,900,60,,,", "1,10,20", r"link\.csv:2: expected 11 fields, got 3"),
    "end": ("2,20,30", "2,20,99", r"link\.csv:3: to_node_id: found 99, expected one that node\.csv has"),
    "no end": ("2,20,30", "2,20,", r"link\.csv:3: to_node_id: found nothing, expected one that node\.csv has"),
    "undirected": (
        "30,true",
        "30,false",
        r"link\.csv:3: directed: found 'false', expected '1': write one row for each",
    ),
    "speed": ("900,60", "900,0", r"link\.csv:2: found free_speed 0 and no vdf_fftt, expected a speed above 0"),
    "number": ("3,,800", "3,,many", r"link\.csv:3: capacity: found 'many', expected a number"),
    "capacity": ("3,,800", "3,,0", r"link\.csv:3: link 20 to 30 has capacity 0, expected a number above 0"),
    "self loop": ("2,20,30", "2,20,20", r"link\.csv:3: link 20 to 20 leads from a node to itself"),
    "duplicate": ("3,30,10", "3,10,20", r"link\.csv:4: link 10 to 20 occurs twice"),
    "zone": ("1,7,100", "1,8,100", r"demand\.csv:2: d_zone_id: found 8, expected one that node\.csv has"),
    "negative": ("1,7,100", "1,7,-1", r"demand\.csv:2: pair 10 to 30 has demand -1, expected a number above 0"),
    "NaN": ("1,7,100", "1,7,NaN", r"demand\.csv:2: volume: found 'NaN', expected a number"),
    "no volume": ("1,7,100", "1,7,", r"demand\.csv:2: volume: found '', expected a number"),
    "again": ("7,1,0", "1,7,1", r"demand\.csv:4: pair 10 to 30 occurs twice"),
    "unreachable": ("2,20,30", "2,20,10", r"demand\.csv:2: no route leads along pair 10 to 30"),
    "quote": ("middle", '"mid', r"node\.csv:4: not valid CSV"),
    "no rows": ("1,7,100\n1,1,5\n7,1,0\n", "", r"demand\.csv: found no rows, expected at least one"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_file_and_line(tmp_path: Path, fault: str) -> None:
    old, new, message = FAULTS[fault]
    assert old in NODE + LINK + DEMAND
    with pytest.raises(DataError, match=message):
        _load(tmp_path, old, new)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_tables_load_or_are_named(tmp_path: Path, data: st.DataObject) -> None:
    old = data.draw(st.sampled_from([NODE, LINK, DEMAND]))
    pieces = ["", "-", "9" * 20, "nan", "inf", ",", '"', "\n", "0", ".5"]
    try:
        _load(tmp_path, old, data.draw(damaged(old, pieces)))
    except DataError as error:
        assert str(tmp_path) in str(error)


def test_sioux_falls_is_that_of_the_tntp_file(data_file: Callable[[str], Path]) -> None:
    gmns = load_network(str(data_file("gmns_sioux_falls")))
    tntp = load_network(str(data_file("tntp") / "SiouxFalls"))
    for field in ("node_number", "through", "tail", "head", "b", "power", "length", "origin", "destination", "demand"):
        np.testing.assert_array_equal(getattr(gmns, field), getattr(tntp, field), field)
    for field in ("capacity", "free_time", "place"):
        np.testing.assert_allclose(getattr(gmns, field), getattr(tntp, field), rtol=1e-9, err_msg=field)
