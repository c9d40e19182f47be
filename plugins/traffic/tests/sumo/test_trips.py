"""Drivers from every kind of file, and what is wrong with one."""

from pathlib import Path

import pytest

from dgpg.errors import DataError
from dgpg_traffic.sumo import files, network, trips
from dgpg_traffic.sumo.network import Network


@pytest.fixture(scope="module")
def net(town: Path) -> Network:
    return network.read(files.find(str(town), None).network)


def rows(net: Network, path: Path, ends: Path | None = None, scale: float = 1.0) -> list[tuple[str, float, str, str]]:
    found = trips.read(net, path, ends, scale, 0)
    named = [(net.edges[a], net.edges[b]) for a, b in found.ends]
    return [(name, float(at), *ends) for name, at, ends in zip(found.names, found.depart, named, strict=True)]


def test_agents_come_in_the_order_of_departures(net: Network, tmp_path: Path) -> None:
    path = tmp_path / "agents.csv"
    path.write_text("id,origin,destination,start_time,kind\n1,oa,bz,9,Human\n0,ac,bz,3.5,Human\n")
    assert rows(net, path) == [("0", 3.5, "ac", "bz"), ("1", 9.0, "oa", "bz")]


def test_numbers_are_of_the_edges_of_another_file(net: Network, tmp_path: Path) -> None:
    path, ends = tmp_path / "agents.csv", tmp_path / "od_x.txt"
    ends.write_text('{"origins": ["ad", "oa"], "destinations": ["bz"]}')
    path.write_text("id,start_time,origin,destination\n7,1,1,0\n")
    assert rows(net, path, ends) == [("7", 1.0, "oa", "bz")]
    path.write_text("id,start_time,origin,destination\n7,1,1,0\n8,2,2,0\n")
    with pytest.raises(DataError, match=r"agents.csv:3: origin: found '2', expected a number below 2"):
        rows(net, path, ends)
    ends.write_text("origins: x")
    with pytest.raises(DataError, match="expected a dictionary with the lists origins and destinations"):
        rows(net, path, ends)


def test_trips_and_vehicles_with_routes_inside_or_named(net: Network, tmp_path: Path) -> None:
    path = tmp_path / "x.rou.xml"
    path.write_text(
        '<routes><route id="r" edges="oa ac cb"/><vehicle id="v" depart="2" route="r"/>'
        '<vehicle id="w" depart="1.00"><route edges="ad db"/></vehicle>'
        '<trip id="t" depart="3" from="oa" to="db"/></routes>'
    )
    assert rows(net, path) == [("w", 1.0, "ad", "db"), ("v", 2.0, "oa", "cb"), ("t", 3.0, "oa", "db")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('<routes><flow id="f"/></routes>', "holds flow 'f', expected trips or vehicles"),
        ('<routes><vehicle id="v" depart="triggered"/></routes>', "vehicle 'v': depart: found 'triggered'"),
        (
            '<routes><trip id="t" depart="1" from="oa" to="xx"/></routes>',
            "trip 't': to: found 'xx', expected an edge of",
        ),
        ("<routes><trip", "is no XML"),
        ("<routes></routes>", "holds no trip"),
        ('<routes><trip id="t" depart="1" from="oa" to="oa"/></routes>', "no trip from one edge to another"),
    ],
)
def test_what_is_wrong_is_named(net: Network, tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "x.trips.xml"
    path.write_text(content)
    with pytest.raises(DataError, match=told):
        rows(net, path)


def test_who_stays_is_left_out_and_counted(net: Network, tmp_path: Path) -> None:
    path = tmp_path / "x.trips.xml"
    stay = '<trip id="s" depart="0" from="oa" to="oa"/>'
    path.write_text(f'<routes>{stay}<trip id="t" depart="1" from="oa" to="bz"/></routes>')
    found = trips.read(net, path, None, 1.0, 0)
    assert found.names == ("t",) and found.notes == ("1 trips begin and end on one edge (s is the first): left out",)


def test_scale_copies_drivers_near_their_time_or_leaves_some_out(net: Network, tmp_path: Path) -> None:
    path = tmp_path / "agents.csv"
    lines = "".join(f"{i},oa,bz,{1000 + i},H\n" for i in range(200))
    path.write_text("id,origin,destination,start_time,kind\n" + lines)
    twice = rows(net, path, scale=2.0)
    assert len(twice) == 400
    at = {name: when for name, when, *_ in twice}
    assert all(abs(at[f"{i}.1"] - at[str(i)]) <= 60 for i in range(200))
    assert 70 <= len(rows(net, path, scale=0.5)) <= 130  # of 200, four standard deviations and more
    with pytest.raises(DataError, match=r"scale = 0\.0001: of 200 trips none is left"):
        rows(net, path, scale=1e-4)
