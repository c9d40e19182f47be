"""The judge: trips in UXsim and in SUMO against free-flow times and the point queue, and what it refuses."""

import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgpg.domain import Policy, SupportsJudge
from dgpg.errors import ConfigError
from dgpg_traffic import programs
from dgpg_traffic.config import Config
from dgpg_traffic.domain import domain
from dgpg_traffic.instance import Instance, build
from dgpg_traffic.judge import in_sumo, judge, vehicles
from dgpg_traffic.judge.replay import Replay, replay

from ..made import STATIC, settings

INSTALL = {"uxsim": "judge", "sumo": "sumo"}


@pytest.fixture(params=list(INSTALL))
def simulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that drives a thousand platoons, or, in SUMO, as many vehicles."""
    name = str(request.param)
    monkeypatch.setattr(vehicles, "PLATOONS", 1000 if name == "uxsim" else 1000 // vehicles.PLATOON)
    pytest.importorskip(name, reason=f"{name} is not installed: pip install 'dgpg-plugin-traffic[{INSTALL[name]}]'")
    return judge.SIMULATORS[name]


NET = """<NUMBER OF ZONES> 3
<NUMBER OF NODES> 3
<FIRST THRU NODE> 1
<NUMBER OF LINKS> 2
<END OF METADATA>
~ init term capacity length time b power speed toll type ;
1 2 9000 1 4 0.15 4 0 0 1 ;
2 3 {capacity} 1 6 0.15 4 0 0 1 ;
"""
TRIPS = """<NUMBER OF ZONES> 3
<TOTAL OD FLOW> 2000
<END OF METADATA>
Origin 1
3 : 2000;
"""


FORK = """<NUMBER OF ZONES> 3
<NUMBER OF NODES> 4
<FIRST THRU NODE> 1
<NUMBER OF LINKS> {links}
<END OF METADATA>
~ init term capacity length time b power speed toll type ;
"""
FORK_TRIPS = """<NUMBER OF ZONES> 3
<TOTAL OD FLOW> 2000
<END OF METADATA>
Origin 1
2 : 1000; 3 : 1000;
"""


def loaded(folder: Path, net: str, trips: str, **settings: float) -> tuple[Instance, Replay]:
    """A network of these files, all on the shortest routes."""
    (folder / "road_net.tntp").write_text(net)
    (folder / "road_trips.tntp").write_text(trips)
    config = Config.model_validate({"network": str(folder / "road"), "horizon": 1} | STATIC | settings)
    rule = next(rule for rule in domain.baselines(config) if rule.name == "shortest")
    return build(config), replay(config, rule, 1, 0)


def road(folder: Path, capacity: float, **settings: float) -> tuple[Instance, Replay]:
    """2000 vehicles an hour over 4 minutes of a wide link and 6 of one with some capacity."""
    return loaded(folder, NET.format(capacity=capacity), TRIPS, **settings)


def fork(folder: Path, *links: str) -> tuple[Instance, Replay]:
    """1000 vehicles an hour from 1 to 2 and to 3, over links with tail, head, capacity, length and minutes."""
    rows = "".join(f"{link} 0.15 4 0 0 1 ;\n" for link in links)
    return loaded(folder, FORK.format(links=len(links)) + rows, FORK_TRIPS)


@pytest.mark.parametrize("capacity", [8000, 1e12])
def test_on_empty_roads_trips_take_their_free_flow_time(simulator: Any, tmp_path: Path, capacity: float) -> None:
    found = simulator.drive(*road(tmp_path, capacity), day=0)
    assert found.arrived.all() and len(found.time) == 1000
    assert found.time.mean() == pytest.approx(10, rel=0.03)


def test_times_of_the_network_are_in_the_unit_that_it_is_said_to_have(simulator: Any, tmp_path: Path) -> None:
    found = simulator.drive(*road(tmp_path, 8000, time_unit=36.0), day=0)
    assert found.time.mean() == pytest.approx(6, rel=0.05)


@pytest.mark.parametrize("capacity", [1000, 1500])
def test_at_a_bottleneck_trips_wait_as_in_a_point_queue(simulator: Any, tmp_path: Path, capacity: float) -> None:
    """For an hour more arrive than leave: the last waits 2000 / capacity - 1 hours, the mean half of that."""
    found = simulator.drive(*road(tmp_path, capacity), day=0)
    assert found.arrived.all()
    assert found.time.mean() - 10 == pytest.approx(60 * (2000 / capacity - 1) / 2, rel=0.1)


def test_who_waits_to_set_out_holds_up_none_who_goes_elsewhere(simulator: Any, tmp_path: Path) -> None:
    """To 3 the mean waits 30 minutes as in a point queue, to 2 nobody does; the link to 3 has no room for them all."""
    found = simulator.drive(*fork(tmp_path, "1 2 9000 1 4", "1 3 500 1 4"), day=0)
    assert found.arrived.all()
    assert found.time.mean() == pytest.approx(4 + 30 / 2, rel=0.05)


def test_who_waits_does_so_on_the_link_that_is_full(simulator: Any, tmp_path: Path) -> None:
    """To 3 the mean waits 7.5 minutes behind node 4, to 2 nobody does."""
    found = simulator.drive(*fork(tmp_path, "1 4 9000 1 4", "4 2 9000 1 4", "4 3 800 1 4"), day=0)
    assert found.arrived.all()
    assert found.time.mean() == pytest.approx(8 + 7.5 / 2, rel=0.05)


def test_the_optimum_of_braess_is_faster_than_its_equilibrium_in_queues_too(simulator: Any) -> None:
    config = settings(network="braess", horizon=1, **STATIC)
    means = {}
    for rule in domain.baselines(config):
        if rule.name in ("user-equilibrium", "system-optimum"):
            shown = replay(config, rule, 1, 0)
            halved = replace(shown, capacity=shown.capacity / 2)  # 1, where all wait: braess' capacities are anybody's
            means[rule.name] = simulator.drive(build(config), halved, 0).time.mean()
    assert means["system-optimum"] < 0.95 * means["user-equilibrium"]


def test_every_vehicle_of_a_route_drives_it_and_no_other() -> None:
    """Three routes of braess in halves, thirds of the rest: link flows are those of the splits."""
    platoons = np.array([[50.0, 25.0, 25.0]])
    found = vehicles.departures(platoons)
    slots = np.bincount([slot for _, slot, _ in found])
    assert slots.tolist() == [50, 25, 25]
    times = np.array([second for _, _, second in found])
    assert (np.diff(times) >= 0).all() and times.min() >= 0 and times.max() < vehicles.PERIOD


def test_few_vehicles_of_many_pairs_are_not_lost() -> None:
    found = vehicles.departures(np.full((1000, 2), 0.2))
    assert len(found) == 400


@pytest.mark.parametrize("name", list(INSTALL))
class TestDomain:
    def config(self, name: str) -> Config:
        pytest.importorskip(name)
        return settings(network="grid", horizon=2, demand={"noise": 0.1}, judge=name)

    def rules(self, config: Config, *names: str) -> dict[str, Policy]:
        return {rule.name: rule for rule in domain.baselines(config) if rule.name in names}

    @pytest.fixture(autouse=True)
    def fewer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vehicles, "PLATOONS", 500)

    def test_rows_compare_with_the_user_equilibrium(self, name: str) -> None:
        assert isinstance(domain, SupportsJudge)
        np.random.seed(3)
        random.seed(3)
        before = np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index]
        first, again = (
            domain.judge(self.config(name), self.rules(self.config(name), "shortest", "user-equilibrium"), 1, 0)
            for _ in range(2)
        )
        assert first == again
        assert (np.random.get_state()[1] == before[0]).all() and random.getstate() == before[1]  # type: ignore[index]
        rows = {row["name"]: row for row in first}
        assert list(rows) == ["shortest", "user-equilibrium"]
        assert rows["user-equilibrium"]["over_user_equilibrium_percent"] == 0
        assert float(rows["shortest"]["over_user_equilibrium_percent"]) > 20
        assert 0 < float(rows["shortest"]["arrived_percent"]) <= 100

    def test_the_equilibrium_is_needed(self, name: str) -> None:
        with pytest.raises(ConfigError, match="expected user-equilibrium among them"):
            judge.judge(self.config(name), self.rules(self.config(name), "shortest"), 1, 0)

    def test_what_to_install_is_said(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        config = self.config(name)

        def absent(program: str) -> str:
            raise ConfigError(f"{program} is not installed; it {programs.ABSENT}")

        monkeypatch.setitem(sys.modules, "uxsim", None)
        monkeypatch.setattr(in_sumo, "program", absent)
        with pytest.raises(ConfigError, match=rf"pip install 'dgpg-plugin-traffic\[{INSTALL[name]}\]'"):
            judge.judge(config, self.rules(config, "user-equilibrium"), 1, 0)


def test_tolls_and_lengths_that_count_are_added_to_the_times(simulator: Any, tmp_path: Path) -> None:
    plain, costly = (simulator.drive(*road(tmp_path, 9000, distance_factor=factor), 0) for factor in (0.0, 2.5))
    np.testing.assert_allclose(costly.time, plain.time + 2 * 2.5, rtol=1e-9)  # two links of length 1


def test_capacities_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    net = NET.replace(" 9000 1 4 0.15", " 1 1 4 1e-14").replace(" {capacity} 1 6 0.15", " 1 1 6 1e-14")
    (tmp_path / "road_net.tntp").write_text(net)
    (tmp_path / "road_trips.tntp").write_text(TRIPS)
    config = Config.model_validate({"network": str(tmp_path / "road"), "horizon": 1} | STATIC)
    rules: dict[str, Policy] = {rule.name: rule for rule in domain.baselines(config)}
    with pytest.raises(
        ConfigError, match=r"--judge .* road has capacities of 1 or less on 2 of the 2 links .* standard_b"
    ):
        judge.judge(config, rules, 1, 0)
    # 0.15 of the free-flow time is added at (0.15 / 1e-14)^(1/4) vehicles an hour.
    true = build(config.model_copy(update={"standard_b": 0.15}))
    np.testing.assert_allclose(true.network.capacity, (0.15 / 1e-14) ** 0.25)
    np.testing.assert_allclose(true.scales.congestion, build(config).scales.congestion)
    assert not true.meaningless
