"""Odd demand and networks: read, left out with a note, or refused in one line that says what to do."""

import gzip
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dgpg.errors import ConfigError, DataError
from dgpg_traffic import programs
from dgpg_traffic.sumo import files, network, trips
from dgpg_traffic.sumo.config import Config
from dgpg_traffic.sumo.instance import build
from dgpg_traffic.sumo.network import Network

HEAD = "id,origin,destination,start_time\n"


@pytest.fixture(scope="module")
def net(town: Path) -> Network:
    return network.read(files.find(str(town), None).network)


def departures(net: Network, path: Path, ends: Path | None = None) -> dict[str, float]:
    found = trips.read(net, path, ends, 1.0, 0)
    return dict(zip(found.names, found.depart.tolist(), strict=True))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("vehicle;from;to\n1;oa;bz\n", "the header has no column id"),
        ("id;origin;destination;start_time\n1;oa;bz;0\n", "divide columns by commas, not by ';'"),
        ("ID,Origin,Destination,Start_time\n1,oa,bz,0\n", "has no column id"),
        ("id,origin,destination,start_time,id\n1,oa,bz,0,1\n", "the column id twice"),
        (HEAD, "found no rows"),
        (HEAD + "1,oa,bz\n", "expected 4 fields, got 3"),
        (HEAD + "1,oa,bz,-3\n", r":2: start_time: found '-3', expected .* 0"),
        (HEAD + "1,oa,bz,nan\n", "start_time: found 'nan'"),
        (HEAD + "1,oa,bz,07:30\n", "start_time: found '07:30'"),
        (HEAD + "1,oa,bz,1e9\n", "start_time: found '1e9'"),
        (HEAD + "1,oa,xx,0\n", r":2: destination: found 'xx', expected an edge of"),
        (HEAD + "1,oa,,0\n", "destination: found ''"),
        (HEAD + "1,oa,bz,0\n1,oa,bz,9\n", "id: found '1' 2 times, expected each once"),
    ],
)
def test_a_table_that_is_wrong_is_refused(net: Network, tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "agents.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=told):
        departures(net, path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('<trip id="t" depart="-5" from="oa" to="bz"/>', "trip 't': depart: found '-5', expected .* 0"),
        ('<trip id="t" depart="inf" from="oa" to="bz"/>', "depart: found 'inf'"),
        ('<trip id="t" from="oa" to="bz"/>', "depart: found ''"),
        ('<trip id="t" depart="1:2" from="oa" to="bz"/>', "depart: found '1:2'"),
        ('<trip id="t" depart="9:00:00:00" from="oa" to="bz"/>', "depart: found '777600.0'"),
        ('<trip id="t" depart="0" fromJunction="o" toJunction="z"/>', "holds fromJunction.*let duarouter find them"),
        ('<trip id="t" depart="0" fromTaz="1" toTaz="2"/>', "holds fromTaz, expected edges from and to"),
        ('<trip id="t" depart="0" from="oa"/>', "route: found none, expected one, or edges from and to"),
        ('<vehicle id="v" depart="0"/>', "vehicle 'v': route: found none"),
        ('<vehicle id="v" depart="0" route="r"/>', "found route 'r', which is not in the file"),
        ('<vehicle id="v" depart="0"><route edges=""/></vehicle>', "edges: found ''"),
        ('<routeDistribution id="d"/><vehicle id="v" depart="0" route="d"/>', "holds routeDistribution 'd'"),
        ('<vehicle id="v" depart="0"><route edges="oa nowhere"/></vehicle>', "to: found 'nowhere'"),
        ('<trip id="t" depart="0" from=":a_0" to="bz"/>', "from: found ':a_0'"),
        ('<trip id="t" depart="0" from="oa" to="bz"/>' * 2, "found 't' 2 times"),
        ('<flow id="f" from="oa" to="bz" begin="0" end="9" number="3"/>', "holds flow 'f'.*let duarouter write them"),
        ('<person id="p" depart="0"/>', "holds no trip; expected trips or vehicles"),
    ],
)  # fmt: skip
def test_a_file_of_sumo_that_is_wrong_is_refused(net: Network, tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "x.rou.xml"
    path.write_text(f"<routes>{content}</routes>")
    with pytest.raises(DataError, match=told):
        departures(net, path)


@pytest.mark.parametrize(
    "content",
    [
        '<flow id="f" from="oa" to="bz" begin="0" end="9" number="3"/>',
        '<trip id="t" depart="0" fromJunction="o" toJunction="z"/>',
    ],
)
def test_what_the_refusal_advises_helps(net: Network, tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.rou.xml"
    path.write_text(f"<routes>{content}</routes>")
    with pytest.raises(DataError) as error:
        departures(net, path)
    command = str(error.value).rpartition("duarouter --")[2].split()
    subprocess.run([programs.program("duarouter"), f"--{command[0]}", *command[1:]], check=True, cwd=tmp_path)
    found = trips.read(net, tmp_path / "routed.rou.xml", None, 1.0, 0)
    assert len(found.names) == (3 if "flow" in content else 1)
    assert {(net.edges[a], net.edges[b]) for a, b in found.ends} == {("oa", "bz")}


def test_times_of_the_clock_and_vehicles_with_two_edges(net: Network, tmp_path: Path) -> None:
    path = tmp_path / "x.rou.xml"
    path.write_text(
        '<routes><person id="p" depart="0"/><vehicle id="v" depart="0:01:30.5" from="oa" to="bz"/>'
        '<trip id="t" depart="1:00:00:02" from="oa" to="bz"/>'
        '<trip id="u" depart="12345.67" from="oa" to="bz"/></routes>'
    )
    found = trips.read(net, path, None, 1.0, 0)
    assert dict(zip(found.names, found.depart, strict=True)) == {"v": 90.5, "u": 12345.67, "t": 86402.0}
    assert found.notes == ("1 persons and containers of x.rou.xml are no cars: left out",)


def test_what_is_not_driven_as_it_is_written_is_told(net: Network, tmp_path: Path) -> None:
    path = tmp_path / "x.rou.xml"
    path.write_text(
        '<routes><vType id="bus" vClass="bus"/><route id="r" edges="oa ab bz" repeat="2"/>'
        '<vehicle id="b" type="bus" depart="0" route="r"/>'
        '<trip id="d" type="DEFAULT_VEHTYPE" depart="1" from="oa" to="bz"/>'
        '<trip id="v" depart="1" from="oa" to="bz" via="ac"/>'
        '<vehicle id="s" depart="2"><route edges="oa ab bz"/><stop edge="ab" duration="60"/></vehicle></routes>'
    )
    assert trips.read(net, path, None, 1.0, 0).notes == (
        "1 vehicles of x.rou.xml have a type ('bus' is the first): all are SUMO's default car",
        "3 vehicles of x.rou.xml stop, pass by somewhere or go round ('b' is the first): they drive from first edge "
        "to last",
    )


def test_names_stand_beside_numbers_and_blank_lines_do_not_count(net: Network, tmp_path: Path) -> None:
    path, ends = tmp_path / "agents.csv", tmp_path / "od_x.txt"
    ends.write_text('{"origins": ["oa"], "destinations": ["bz"]}')
    path.write_bytes(("\ufeff" + HEAD + "1,0,bz,1.5\r\n\r\n2,oa,0,0.25\r\n").encode())
    assert departures(net, path, ends) == {"1": 1.5, "2": 0.25}


def test_two_lists_of_edges_are_refused(new_town: Callable[..., Path]) -> None:
    folder = new_town()
    for name in ("od_a.txt", "od_b.txt"):
        (folder / name).write_text('{"origins": [], "destinations": []}')
    with pytest.raises(DataError, match=r"holds od_a\.txt, od_b\.txt; keep the one that agents\.csv is of"):
        files.find(str(folder), None)


@pytest.mark.parametrize("packed", ["agents.csv", "town.nod.xml", "town.net.xml"])
def test_packed_files_are_read(town: Path, new_town: Callable[..., Path], packed: str) -> None:
    folder = new_town()
    if packed == "town.net.xml":
        shutil.copy(files.find(str(town), None).network, folder / packed)
    with gzip.open(folder / f"{packed}.gz", "wb") as file:
        file.write((folder / packed).read_bytes())
    (folder / packed).unlink()
    instance = build(Config.model_validate({"network": str(folder), "humans": {"days": 1}, "closed": ["ac"]}))
    assert len(instance.names) == 12 and instance.humans.mean[0] > 0.5


def test_a_packed_network_that_is_cut_off_is_told(town: Path, tmp_path: Path) -> None:
    path = tmp_path / "town.net.xml.gz"
    path.write_bytes(gzip.compress(files.find(str(town), None).network.read_bytes())[:200])
    with pytest.raises(DataError, match="is no network of SUMO"):
        network.read(path)


def test_ends_that_nothing_connects_are_left_out_or_refused(new_town: Callable[..., Path]) -> None:
    folder = new_town()
    (folder / "agents.csv").write_text(HEAD + "1,oa,bz,0\n2,bz,oa,0\n3,oa,bz,9\n")
    settings = {"network": str(folder), "humans": {"days": 1}}
    instance = build(Config.model_validate(settings))
    assert instance.names == ("1", "3") and "1 drivers have no route ('2' is the first): left out" in instance.notes
    (folder / "agents.csv").write_text(HEAD + "2,bz,oa,0\n")
    build.cache_clear()
    with pytest.raises(DataError, match=r"of 1 drivers none has a route for cars \('2' is the first\)"):
        build(Config.model_validate(settings))


def test_a_closed_lane_is_nobodys_and_an_edge_is_all_of_its(new_town: Callable[..., Path]) -> None:
    folder = new_town()
    edges = (folder / "town.edg.xml").read_text().replace('id="ad" from="a" to="d" numLanes="1"',
                                                          'id="ad" from="a" to="d" numLanes="2"')  # fmt: skip
    (folder / "town.edg.xml").write_text(edges)

    def routes(*closed: str) -> list[set[str]]:
        found = build(Config.model_validate({"network": str(folder), "humans": {"days": 1}, "closed": closed}))
        ways, names = found.days.edges[0], found.network.edges
        return [{names[e] for e in way if e >= 0} for way, there in zip(ways, found.mask[0], strict=True) if there]

    assert len(routes()) == 2
    assert len(routes("ad_0")) == 2 and routes("ad_0", "ad_1") == routes("ad") == [{"oa", "ac", "cb", "bz"}]
    with pytest.raises(ConfigError, match=r"closed: found 'ad_2', expected a lane \(EDGE_0\) or an edge of"):
        routes("ad_2")
    with pytest.raises(DataError, match="origin: found 'oa', expected an edge of"):
        routes("oa")


def test_a_closed_lane_takes_longer(new_town: Callable[..., Path]) -> None:
    folder = new_town(120)
    edges = (folder / "town.edg.xml").read_text().replace('numLanes="1"', 'numLanes="2"')
    (folder / "town.edg.xml").write_text(edges)
    rows = (folder / "agents.csv").read_text().splitlines()
    same = [",".join([*row.split(",")[:3], "0", "Human"]) for row in rows[1:]]
    (folder / "agents.csv").write_text("\n".join([rows[0], *same]) + "\n")
    whole, coned = (
        build(Config.model_validate({"network": str(folder), "humans": {"days": 1}, "closed": closed})).humans.mean[0]
        for closed in ((), ("oa_1", "bz_1"))
    )
    assert coned > 1.2 * whole
