"""TNTP files: every real one parses; faults are named with file and line; damaged files load or are named."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgpg.errors import DataError
from dgpg.testing import damaged
from dgpg_traffic.data import load_network, read_flow
from dgpg_traffic.network.network import Network, validate

NET = """\
<NUMBER OF ZONES> 2
<NUMBER OF NODES> 4
<FIRST THRU NODE> 3
<NUMBER OF LINKS> 5
<ORIGINAL HEADER>~ \tInit node \tTerm node \t;
<END OF METADATA>

~\tinit_node\tterm_node\tcapacity\tlength\tfree_flow_time\tb\tpower\tspeed\ttoll\tlink_type\t;
\t1\t3\t10\t1.5\t6\t0.15\t4\t0\t0\t1\t;
\t1\t4\t20\t2\t0.0\t0\t0\t0\t0\t1\t;
\t3\t2\t10\t1\t3\t0.5\t0\t0\t0\t1;
\t4\t3\t10\t1\t1\t1\t1
\t2\t3\t1e1\t1\t2\t1\t2\t0\t0\t1\t;
"""
TRIPS = """\
<NUMBER OF ZONES> 2
<TOTAL OD FLOW> 17.5
<END OF METADATA>

Origin \t1
    1 :     2.5;     2 :    10.0;
Origin 2
1 : 0.0; 2 : 5;
"""
NODES = "Node\tX\tY\t;\n1\t0.5\t-1\t;\n3 2 3 ;\n"


def _write(folder: Path, net: str = NET, trips: str = TRIPS) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "town_net.tntp").write_text(net)
    (folder / "town_trips.tntp").write_text(trips)
    return folder


def test_every_column_lands_where_it_belongs(tmp_path: Path) -> None:
    (tmp_path / "town_node.tntp").write_text(NODES)
    network = load_network(str(_write(tmp_path)))
    assert network.name == "town" and network.node_number.tolist() == [1, 2, 3, 4]
    assert network.through.tolist() == [False, False, True, True]
    assert network.tail.tolist() == [0, 0, 2, 3, 1] and network.head.tolist() == [2, 3, 1, 2, 2]
    assert network.capacity.tolist() == [10, 20, 10, 10, 10] and network.length.tolist() == [1.5, 2, 1, 1, 1]
    # Links 1 to 4 and 3 to 2 have constant times, 0 and 3 (1 + 0.5).
    assert network.free_time.tolist() == [6, 0, 4.5, 1, 2]
    assert network.b.tolist() == [0.15, 0, 0, 1, 1] and network.power.tolist() == [4, 1, 1, 1, 2]
    assert (network.origin.tolist(), network.destination.tolist(), network.demand.tolist()) == ([0], [1], [10])
    np.testing.assert_array_equal(network.place, [[0.5, -1], [np.nan] * 2, [2, 3], [np.nan] * 2])
    silent = "length of links do not count: set distance_factor if they should"
    assert network.notes == ("demand of 7.5 within zones: left out", silent)


FAULTS = {
    "tag": ("<NUMBER OF ZONES> 2", "<ZONES> 2", r"_net\.tntp: no <NUMBER OF ZONES>, expected one above"),
    "count of nodes": ("NODES> 4", "NODES> 4.5", r"_net\.tntp:2: <NUMBER OF NODES>: found '4.5', expected a whole num"),
    "zones": ("ZONES> 2", "ZONES> 5", r"_net\.tntp:1: <NUMBER OF ZONES>: found '5', expected .* from 1 to 4"),
    "count of links": ("LINKS> 5", "LINKS> 6", r"_net\.tntp:4: <NUMBER OF LINKS> is 6, found 5 rows: the file may be"),
    "end": ("<END OF METADATA>", "<END>", r"_net\.tntp:9: found .* expected <TAG> VALUE up to <END OF METADATA>"),
    "node": ("\t1\t3\t10", "\t1\t9\t10", r"_net\.tntp:9: term_node: found '9', expected a whole number from 1 to 4"),
    "word": ("\t1.5\t", "\tfar\t", r"_net\.tntp:9: length: found 'far', expected a number"),
    "short": (
        "\t4\t3\t10\t1\t1\t1\t1",
        "\t4\t3\t10\t1",
        r"_net\.tntp:12: expected at least 7 fields, got 4: init_node",
    ),
    "self loop": ("\t4\t3\t10", "\t3\t3\t10", r"_net\.tntp:12: link 3 to 3 leads from a node to itself"),
    "toll": ("2\t0\t0\t1\t;", "2\t0\tdear\t1\t;", r"_net\.tntp:13: toll: found 'dear', expected a number"),
    "negative toll": ("2\t0\t0\t1\t;", "2\t0\t-3\t1\t;", r"_net\.tntp:13: link 2 to 3 has toll -3, expected .* 0 or"),
    "tag again": ("<NUMBER OF LINKS> 5", "<NUMBER OF NODES> 5", r"_net\.tntp:4: <NUMBER OF NODES> is 5, and 4 further"),
    "zone beyond": ("2 : 5;", "4 : 5;", r"_trips\.tntp:8: destination: found '4', expected .* from 1 to 2, or 2 dist"),
    "capacity": ("\t1\t4\t20", "\t1\t4\t0", r"_net\.tntp:10: link 1 to 4 has capacity 0, expected a number above 0"),
    "power": (
        "\t1\t2\t0\t0\t1",
        "\t1\t0.2\t0\t0\t1",
        r"_net\.tntp:13: link 2 to 3 has power 0.2, expected .* 1 or more",
    ),
    "zones of trips": (
        "ZONES> 2\n<TOTAL",
        "ZONES> 3\n<TOTAL",
        r"_trips\.tntp:1: <NUMBER OF ZONES> is 3, the network ha",
    ),
    "total": ("FLOW> 17.5", "FLOW> 18", r"_trips\.tntp:2: <TOTAL OD FLOW> is 18, the rows add up to 17.5"),
    "negative": ("2 :    10.0", "2 : -10", r"_trips\.tntp:6: demand: found '-10', expected a number from 0"),
    "NaN": ("2 :    10.0", "2 :    nan", r"_trips\.tntp:6: demand: found 'nan', expected a number"),
    "origin": ("Origin 2", "Origin 7", r"_trips\.tntp:7: Origin: found '7', expected a whole number from 1 to 2"),
    "no origin": ("Origin \t1\n", "", r"_trips\.tntp:5: found '1 :     2.5', expected 'Origin ZONE', then"),
    "colon": ("1 : 0.0;", "1 0.0;", r"_trips\.tntp:8: found '1 0.0', expected 'Origin ZONE', then 'ZONE : DEMAND;'"),
    "unreachable": ("1 : 0.0; 2 : 5;", "1 : 5;", r"_trips\.tntp:8: no route leads along pair 2 to 1: add links, or"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_file_and_line(tmp_path: Path, fault: str) -> None:
    old, new, message = FAULTS[fault]
    assert old in NET + TRIPS
    trips = TRIPS.replace(old, new, 1)
    with pytest.raises(DataError, match=r"town" + message):
        load_network(str(_write(tmp_path, NET if old in TRIPS and old not in NET else NET.replace(old, new, 1), trips)))


def test_a_pair_that_occurs_twice(tmp_path: Path) -> None:
    trips = TRIPS.replace("2 :    10.0;", "2 : 4; 2 : 6;")
    with pytest.raises(DataError, match=r"town_trips\.tntp:6: pair 1 to 2 occurs twice: add up the two"):
        load_network(str(_write(tmp_path, trips=trips)))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "town_trips.tntp").unlink()
    with pytest.raises(DataError, match=r"town_trips\.tntp: no such file"):
        load_network(str(tmp_path))
    (tmp_path / "town_net.tntp").write_text("\n")
    with pytest.raises(DataError, match=r"town_net\.tntp: the file is empty"):
        load_network(str(tmp_path))
    (tmp_path / "town_net.tntp").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"town_net\.tntp: not a text file \(byte 0\)"):
        load_network(str(tmp_path))
    (tmp_path / "town_net.tntp").write_text("<NUMBER OF ZONES> 2\n")
    with pytest.raises(DataError, match=r"town_net\.tntp: no <END OF METADATA>, expected it above the rows"):
        load_network(str(tmp_path))


def test_nodes_and_flows_that_do_not_fit(tmp_path: Path) -> None:
    network = load_network(str(_write(tmp_path)))
    node, flow = tmp_path / "town_node.tntp", tmp_path / "town_flow.tntp"
    rows = "From To Volume Cost\n1 3 1 6\n1 4 2 0 ;\n\n3 2 3 4\n4 3 4 1\n2 3 0 2\n"
    flow.write_text(rows)
    assert read_flow(flow, network).tolist() == [1, 2, 3, 4, 0]
    for old, new, message in (
        ("1 4 2 0", "1 2 2 0", r"_flow\.tntp:3: town has no link 1 to 2: is it of another network"),
        ("4 3 4 1\n", "", r"_flow\.tntp: no row for link 4 to 3"),
        ("1 3 1 6", "1 3", r"_flow\.tntp:2: expected from, to and volume, got 2 fields"),
    ):
        flow.write_text(rows.replace(old, new))
        with pytest.raises(DataError, match=message):
            read_flow(flow, network)
    for text, message in (
        ("Node X Y\n9 1 1", r"_node\.tntp:2: node: found '9'"),
        ("X\n1 1", r"_node\.tntp:2: expected"),
    ):
        node.write_text(text)
        with pytest.raises(DataError, match=message):
            load_network(str(tmp_path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_loads_or_is_named(tmp_path: Path, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([NET, TRIPS]))
    pieces = ["", "-", "9" * 20, "nan", "inf", ";", ":", "<", ">", "~", "\n", "Origin", "0"]
    text = data.draw(damaged(whole, pieces))
    folder = _write(tmp_path, *((text, TRIPS) if whole is NET else (NET, text)))
    try:
        network = load_network(str(folder))
    except DataError as error:
        assert str(folder / "town_") in str(error)
    else:
        assert validate(network) is network


def test_a_node_file_needs_no_header(tmp_path: Path) -> None:
    (tmp_path / "town_node.tntp").write_text("~ places\n" + NODES.split("\n", 1)[1])
    assert load_network(str(_write(tmp_path))).place[[0, 2]].tolist() == [[0.5, -1], [2, 3]]


def test_a_header_of_links_need_not_be_a_comment(tmp_path: Path) -> None:
    plain, bare = _write(tmp_path / "a"), _write(tmp_path / "b", NET.replace("~\tinit", "\tinit"))
    np.testing.assert_array_equal(load_network(str(bare)).free_time, load_network(str(plain)).free_time)


ORDERS = {
    "comment": "~\tinit_node\tterm_node\tlength\tcapacity\tpower\tb\tfree_flow_time\tlink_type\ttoll\t;",
    "words": "~ init_node term_node length capacity power b free_flow_time link_type toll ;",
    "words of several": "~ Init node Term node Length Capacity Power B Free Flow Time Link type Toll ;",
    "other names": "~\tfrom\tto\tlength (in ft)\tcapacity\tbeta\talpha\tFFT\ttype\ttoll\t;",
    "comment below": "~ init_node term_node length capacity power b free_flow_time link_type toll ;\n~ --- in feet",
    "no comment": "Tail\tHead\tLength (ft)\tCapacity (veh/h)\tPower\tB\tFree Flow Time (min)\tType\tToll\t;",
}


@pytest.mark.parametrize("header", ORDERS)
def test_columns_stand_where_the_header_says(tmp_path: Path, header: str) -> None:
    rows = ["1 3 1.5 10 4 0.15 6 1 7;", "3 2 1 20 2 0.5 3 1 0;", "2 3 1 30 1 1 2 1 0;", "3 4 1 40 1 1 1;"]
    top = NET.split("~\tinit_node")[0].replace("LINKS> 5", "LINKS> 4")
    _write(tmp_path, top + ORDERS[header] + "\n" + "\n".join(rows) + "\n", TRIPS)
    network = load_network(str(tmp_path))
    assert network.capacity.tolist() == [10, 20, 30, 40] and network.length.tolist() == [1.5, 1, 1, 1]
    assert network.power.tolist() == [4, 2, 1, 1] and network.free_time.tolist() == [6, 3, 2, 1]
    assert network.b.tolist() == [0.15, 0.5, 1, 1] and network.toll.tolist() == [7, 0, 0, 0]


def test_a_header_that_names_some_columns_in_another_order_is_refused(tmp_path: Path) -> None:
    """Capacities were read as lengths and lengths as capacities, without a word."""
    head = "\tcapacity\tlength\tfree_flow_time"
    assert head in NET
    message = (
        r"net\.tntp:8: length is column 3 of the header, usually 4, which names no capacity, expected all of init_no"
    )
    with pytest.raises(DataError, match=message):
        load_network(str(_write(tmp_path / "swapped", NET.replace(head, "\tlength\tcap\tfree_flow_time"))))
    with pytest.raises(DataError, match="toll is column 8 of the header, usually 9, which names no capacity"):
        load_network(
            str(_write(tmp_path / "toll", NET.replace("capacity", "cap").replace("speed\ttoll", "toll\tspeed")))
        )


@pytest.mark.parametrize("header", ["\tcap\tlength\ttime", "\tc\tl\tt"])
def test_a_header_that_names_some_columns_moves_none(tmp_path: Path, header: str) -> None:
    plain = load_network(str(_write(tmp_path / "plain")))
    other = NET.replace("\tcapacity\tlength\tfree_flow_time", header)
    other = other.replace("~\tinit", "~ length in miles, capacity in vehicles an hour\n~\tinit")
    assert other.count("~") > NET.count("~") and header in other
    assert load_network(str(_write(tmp_path / "other", other))).capacity.tolist() == plain.capacity.tolist()


def test_a_node_that_is_placed_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "town_node.tntp").write_text(NODES + "1 0 0 ;\n")
    with pytest.raises(DataError, match=r"town_node\.tntp:4: node 1 occurs twice, expected one row a node"):
        load_network(str(_write(tmp_path)))


RENUMBERED = {1: 101, 2: 205, 3: 300, 4: 7}


def _renumbered(text: str) -> str:
    """Rows of a network whose nodes have other numbers."""
    rows = []
    for row in text.split("\n"):
        cells = row.split("\t")
        rows.append(
            "\t".join(["", *(str(RENUMBERED[int(x)]) for x in cells[1:3]), *cells[3:]]) if row[:1] == "\t" else row
        )
    return "\n".join(rows)


def test_nodes_and_zones_may_have_any_numbers(tmp_path: Path) -> None:
    trips = re.sub(r"(?<=Origin )\s*(\d+)|(\d+)(?= :)", lambda x: str(RENUMBERED[int(x[0])]), TRIPS)
    (tmp_path / "town_node.tntp").write_text("101 0.5 -1\n300 2 3\n")
    plain, other = _write(tmp_path / "a"), _write(tmp_path, _renumbered(NET.replace("NODE> 3", "NODE> 1")), trips)
    network, same = load_network(str(other)), load_network(str(plain))
    assert network.node_number.tolist() == [7, 101, 205, 300] and network.through.all()
    place = {number: position for position, number in enumerate(network.node_number.tolist())}
    for field in ("tail", "head", "origin", "destination"):
        expected = [place[RENUMBERED[int(x) + 1]] for x in getattr(same, field)]
        assert getattr(network, field).tolist() == expected, field
    assert network.place[[1, 3]].tolist() == [[0.5, -1], [2, 3]] and np.isnan(network.place[[0, 2]]).all()


def test_links_side_by_side_are_two(tmp_path: Path) -> None:
    network = load_network(str(_write(tmp_path, NET.replace("\t4\t3\t10", "\t1\t3\t10"))))
    assert network.tail.tolist() == [0, 0, 2, 0, 1] and network.head.tolist() == [2, 3, 1, 2, 2]
    flow = tmp_path / "town_flow.tntp"
    rows = "1 3 1 6\n1 4 2 0\n3 2 3 4\n1 3 4 1\n2 3 0 2\n"
    flow.write_text(rows)
    assert read_flow(flow, network).tolist() == [1, 2, 3, 4, 0]
    flow.write_text(rows + "1 3 5 5\n")
    with pytest.raises(DataError, match=r"_flow\.tntp:6: link 1 to 3 occurs once more than in town: remove a row"):
        read_flow(flow, network)


def test_names_of_files_may_differ_in_case(tmp_path: Path) -> None:
    (tmp_path / "Town_Net.tntp").write_text(NET)
    (tmp_path / "Town_Trips.tntp").write_text(TRIPS)
    (tmp_path / "Town_Node.tntp").write_text(NODES)
    for name in ("", "Town", "Town_Net.tntp", "Town_net.tntp", "Town_Trips.tntp", "town"):
        network = load_network(str(tmp_path / name))
        assert network.num_links == 5 and network.place[0, 0] == 0.5
    (tmp_path / "Town_TRIPS.tntp").write_text(TRIPS)
    with pytest.raises(DataError, match=r"holds Town_TRIPS\.tntp and Town_Trips\.tntp, expected one of them"):
        load_network(str(tmp_path))


def test_a_file_may_say_what_tolls_and_lengths_count(tmp_path: Path) -> None:
    tags = "<TOLL FACTOR> 0.02 ~ minutes a cent\n<DISTANCE FACTOR>0.5\n<END"
    net = NET.replace("<END", tags, 1).replace("2\t0\t0\t1\t;", "2\t0\t50\t1\t;")
    network = load_network(str(_write(tmp_path, net)))
    np.testing.assert_allclose(network.fixed, [0.75, 1, 0.5, 0.5, 0.5 + 1])
    np.testing.assert_allclose(network.free_time, [6.75, 1, 5, 1.5, 3.5])
    assert network.cost_name == "generalised cost" and "0.02 for each unit of toll" in network.notes[-2]
    mine = load_network(str(tmp_path), toll_factor=0, distance_factor=0)
    assert not mine.fixed.any() and mine.free_time.tolist() == [6, 0, 4.5, 1, 2]
    assert mine.cost_name == "travel time" and len(mine.notes) == 1  # who said 0 is not told so


SIZES = {
    "Anaheim": (416, 914, 1406, 38, 104694.4),
    "Braess": (4, 5, 1, 0, 6.0),
    "EMA": (74, 258, 1113, 0, 65576.37543099989),
    "SiouxFalls": (24, 76, 528, 0, 360600.0),
    "friedrichshain-center": (224, 523, 506, 23, 11205.1),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_real_networks_parse(data_file: Callable[[str], Path], name: str) -> None:
    network: Network = load_network(str(data_file("tntp") / name))
    closed = int((~network.through).sum())
    assert (network.num_nodes, network.num_links, network.num_pairs, closed) == SIZES[name][:4]
    assert network.demand.sum() == pytest.approx(SIZES[name][4])
    drawn = name in ("SiouxFalls", "friedrichshain-center")
    assert np.isfinite(network.place).all() if drawn else np.isnan(network.place).all()
