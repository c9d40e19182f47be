"""GMNS tables: columns, defaults, faults, and Sioux Falls as its TNTP file has it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgpg.errors import DataError
from dgpg.testing import damaged
from dgpg_traffic.assignment.assign import USER_EQUILIBRIUM
from dgpg_traffic.assignment.equilibrium import solve
from dgpg_traffic.data import load_network
from dgpg_traffic.network.network import Network

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
    assert network.notes == (
        "free-flow times are length / free_speed on 2 of 3 links, 4 min in the median; "
        "no config.csv: kilometres and km/h, or miles and mph, are assumed",
        "capacities are capacity times lanes",
        "demand of 5 within zones: left out",
        "length of links do not count: set distance_factor if they should",
    )


FAULTS = {
    "column": ("zone_id,x", "zone,x", r"node\.csv:1: the header has no column zone_id, expected node_id, zone_id"),
    "no node": (",10,1,0", ",,1,0", r"node\.csv:2: node_id: found nothing, expected a whole number"),
    "same node": (",30,7", ",10,7", r"node\.csv:4: node_id 10 occurs twice"),
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
    "no capacity": (
        "3,,800",
        "3,,",
        r"link\.csv:3: capacity: found 'nothing', expected a number above 0, or one in vdf",
    ),
    "lanes": ("2,2,900", "2,0,900", r"link\.csv:2: lanes: found '0', expected a number above 0 or a blank"),
    "both ways": (
        "20,30,true",
        "20,30,0",
        r"link\.csv:3: directed: found '0', expected '1': write one row for each",
    ),
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


def _changed(folder: Path, link: str = LINK, node: str = NODE, **files: str) -> Network:
    for name, text in {"node": node, "link": link, "demand": DEMAND, **files}.items():
        (folder / f"{name}.csv").write_text(text)
    return load_network(str(folder))


NUMBERED = """\
from_node_id,to_node_id,length,lanes,capacity,free_speed,VDF_ALPHA1,vdf_Beta1,VDF_fftt1,VDF_cap1,dir_flag,toll
10,20,2,2,900,60,0.3,3,7,5000,1.0,
20,30,3,2,800,60,,,,,1,4
30,10,5,1,,50,,,,600,,
"""


def test_columns_of_the_first_period_are_read(tmp_path: Path) -> None:
    network = _changed(tmp_path, NUMBERED)
    assert network.b.tolist() == [0.3, 0.15, 0.15] and network.power.tolist() == [3, 4, 4]
    assert network.free_time.tolist() == [7, 3, 6] and network.toll.tolist() == [0, 4, 0]
    assert network.capacity.tolist() == [5000, 1600, 600]  # VDF_cap1 is of all lanes
    assert "capacities are vdf_cap of whole links and capacity times lanes" in network.notes
    assert "toll and length of links do not count: set toll_factor and distance_factor if they should" in network.notes


def test_the_direction_of_geometry_is_no_direction_of_travel(tmp_path: Path) -> None:
    told = LINK.replace("capacity,", "capacity,dir_flag,", 1)
    for flag in ("-1", "0", "1", "-1.0"):
        rows = told.replace("2,900,", f"2,900,{flag},").replace(",,800,", ",,800,1,").replace("1,700,", "1,700,,")
        assert _changed(tmp_path, rows).head.tolist() == [1, 2, 0]
        if not flag.startswith("1"):  # where `directed` does not say it, the flag is that of older tools
            with pytest.raises(DataError, match=rf"link\.csv:2: dir_flag: found '{flag}', expected '1': .* directed"):
                _changed(tmp_path, rows.replace("1,10,20,1,", "1,10,20,,"))


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    twice = LINK.replace("lanes,", "Capacity,", 1)  # names are known in any case
    with pytest.raises(DataError, match=r"link\.csv:1: the header has the column capacity twice: rename or remove one"):
        _changed(tmp_path, twice)


def test_columns_of_performance_that_are_not_read_are_told(tmp_path: Path) -> None:
    more = NUMBERED.replace(",toll\n", ",toll,VDF_toll1,VDF_mu2\n").replace(",1,4\n", ",1,4,2.5,0\n")
    more = more.replace(",1.0,\n", ",1.0,,,\n").replace("600,,\n", "600,,,0,0\n")
    assert "link.csv: vdf_toll1: not read" in _changed(tmp_path, more).notes
    assert not any("not read" in note for note in _changed(tmp_path, NUMBERED).notes)


def test_columns_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    both = NUMBERED.replace("length,", "length,vdf_alpha,", 1).replace("10,20,2,", "10,20,2,0.15,", 1)
    both = both.replace("20,30,3,", "20,30,3,,").replace("30,10,5,", "30,10,5,,")
    with pytest.raises(DataError, match=r"link\.csv:2: vdf_alpha: found '0.15', expected that of vdf_alpha1, 0.3"):
        _changed(tmp_path, both)


@pytest.mark.parametrize(
    ("config", "factor", "told"),
    [
        ("dataset_name,long_length,speed\ntown,km,kph\n", 1.0, "lengths in km, speeds in kph"),
        ("long_length,speed\nMiles,MPH\n", 1.0, "lengths in Miles, speeds in MPH"),
        ("long_length,speed\nm,km/h\n", 1e-3, "lengths in m, speeds in km/h"),
        ("long_length,speed\nkm,mph\n", 1 / 1.609344, "lengths in km, speeds in mph"),
        ("Long_Length\nmiles\n", 1.0, "lengths in miles; it has no unit of speed: mph is assumed"),
        ("long_length\nfeet\n", 0.3048e-3 / 1.609344, "lengths in feet; it has no unit of speed: mph is assumed"),
        ("speed\nm/s\n", 1 / 3.6, "speeds in m/s; it has no unit of length: kilometres are assumed"),
        ("dataset_name\ntown\n", 1.0, "no units in config.csv: kilometres and km/h, or miles and mph, are assumed"),
    ],
)
def test_units_are_those_of_the_configuration(tmp_path: Path, config: str, factor: float, told: str) -> None:
    network = _changed(tmp_path, config=config)
    np.testing.assert_allclose(network.free_time, [2 * factor, 4.5, 12 * factor])  # the second is given in minutes
    assert told in network.notes[0]


def test_metres_are_not_taken_for_kilometres(tmp_path: Path) -> None:
    metres = LINK.replace("1,2,2,900", "1,2000,2,900").replace("1,5,1,700", "1,5000,1,700")
    with pytest.raises(
        DataError, match=r"link\.csv: free-flow times are 4e\+03 min in the median, if lengths are kilom"
    ):
        _changed(tmp_path, metres)
    for config in ("dataset_name\ntown\n", "speed\nkph\n"):  # which say nothing of lengths
        with pytest.raises(DataError, match="free-flow times are 4e\\+03 min in the median, if lengths are kilometres"):
            _changed(tmp_path, metres, config=config)
    network = _changed(tmp_path, metres, config="long_length,speed\nmeters,kph\n")
    np.testing.assert_allclose(network.free_time, [2, 4.5, 12])


def test_a_block_of_a_hundred_metres_takes_no_hour(tmp_path: Path) -> None:
    metres = LINK.replace("1,2,2,900", "1,100,2,900").replace("1,5,1,700", "1,50,1,700")
    with pytest.raises(
        DataError, match=r"free-flow times are 80 min in the median, .* expected at most 30: give the uni"
    ):
        _changed(tmp_path, metres)


def test_links_that_are_no_roads_and_columns_of_other_names_are_told(tmp_path: Path) -> None:
    lines = LINK.splitlines()
    more = [lines[0] + ",allowed_uses,BPR_alpha", lines[1] + ",auto;walk,0", lines[2] + ",walk,1", lines[3] + ",,"]
    notes = _changed(tmp_path, "\n".join(more) + "\n").notes
    assert "1 link is not for cars by allowed_uses, first in link.csv:3, and a road all the same" in notes
    assert "link.csv: bpr_alpha: not read" in notes


def test_nodes_of_no_zone_may_say_so_by_minus_one(tmp_path: Path) -> None:
    assert _changed(tmp_path, node=NODE.replace("middle,20,", "middle,20,-1")).origin.tolist() == [0]


def test_a_unit_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"config\.csv:2: long_length: found 'furlong', expected one unit, such as m, km"
    ):
        _changed(tmp_path, config="long_length\nfurlong\n")
    with pytest.raises(DataError, match=r"config\.csv:3: speed: found 'kph', expected one unit"):
        _changed(tmp_path, config="speed\nmph\nkph\n")


def test_a_zone_of_several_nodes_begins_at_any_of_them(tmp_path: Path) -> None:
    node = NODE.replace("middle,20,", "middle,20,1").replace("centroid\nmiddle", "\nmiddle")
    network = _changed(tmp_path, node=node)
    assert network.node_number.tolist() == [10, 20, 30, 31] and network.through.tolist() == [True, True, False, False]
    assert network.tail[3:].tolist() == [3, 3, 0, 1] and network.head[3:].tolist() == [0, 1, 3, 3]
    assert not network.free_time[3:].any() and not network.b[3:].any()
    assert (network.origin.tolist(), network.destination.tolist()) == ([3], [2])
    # By the node that is nearer: 4.5 (1 + 0.5 (100 / 800)^2) from 20 on, nothing on the way from 10.
    found = solve(network, USER_EQUILIBRIUM)
    assert found.flow[:3].tolist() == [0, 100, 0] and found.total_time == pytest.approx(100 * 4.5 * (1 + 0.5 / 64))


def test_centroids_of_one_zone_are_one_node_that_is_not_crossed(tmp_path: Path) -> None:
    """Each could only be reached by crossing it, so that no route led anywhere."""
    node = NODE.replace("middle,20,,,,", "middle,20,1,,,centroid") + ",40,,,,\n"
    link = LINK + "4,20,40,1,1,1,100,60,,,\n5,40,30,1,1,1,100,60,,,\n6,30,20,1,1,1,100,60,,,\n"
    network = _changed(tmp_path, link, node)
    assert network.node_number.tolist() == [10, 20, 30, 40, 41]
    assert network.tail.tolist() == [0, 4, 2, 4, 3, 2] and network.head.tolist() == [1, 2, 4, 3, 2, 4]
    assert network.through.tolist() == [False, False, False, True, False]
    assert (network.origin.tolist(), network.destination.tolist()) == ([4], [2])
    assert "1 zone has several centroids: taken as one node" in network.notes
    assert solve(network, USER_EQUILIBRIUM).flow[[0, 2, 5]].tolist() == [0, 0, 0]


def test_the_centroid_of_a_zone_is_where_it_begins(tmp_path: Path) -> None:
    network = _changed(tmp_path, node=NODE.replace("middle,20,", "middle,20,1"))
    assert network.num_nodes == 3 and network.origin.tolist() == [0]


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
