"""Unit commitment: against trying every schedule, its rules, infeasible days, and what the cache does."""

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linprog

from dgpg.errors import DataError
from dgpg_power.commitment import schedule as commitment
from dgpg_power.commitment.schedule import Commitment, StartRules, commit
from dgpg_power.data import load_rts
from dgpg_power.factors import ptdf
from dgpg_power.network import Network

from ..oracle import angle_flows

NETWORK = Network(
    name="three units",
    base_mva=100.0,
    bus_number=[1, 2, 3],
    area=[1, 1, 1],
    load=[0.0, 60.0, 60.0],
    line_from=[0, 1, 0],
    line_to=[1, 2, 2],
    susceptance=[10.0, 10.0, 10.0],
    resistance=[0.0, 0.0, 0.0],
    shift_flow=[0.0, 0.0, 0.0],
    flow_min=[-50.0, -np.inf, -50.0],
    flow_max=[50.0, np.inf, 50.0],
    unit_bus=[0, 1, 2],
    unit_name=("coal", "gas", "wind"),
    unit_kind=("thermal", "thermal", "wind"),
    unit_min=[40.0, 10.0, 0.0],
    unit_max=[120.0, 70.0, 50.0],
    ramp=[np.inf] * 3,
    cost_constant=[100.0, 20.0, 0.0],
    cost_linear=[10.0, 25.0, 0.0],
    cost_quadratic=[0.0] * 3,
    kink=[[80.0], [30.0], [0.0]],
    kink_slope=[[5.0], [10.0], [0.0]],
)
RULES = StartRules(np.array([3, 1, 0]), np.array([2, 2, 0]), np.array([500.0, 60.0, 0.0]))
TOTAL = np.array([95.0, 118.0, 40.0, 20.0, 75.0])
LOAD = TOTAL[:, None] * np.array([0.0, 0.5, 0.5])
AVAILABLE = np.tile([120.0, 70.0, 0.0], (5, 1))
AVAILABLE[:, 2] = [10.0, 0.0, 35.0, 40.0, 0.0]


def _hour_cost(network: Network, on: tuple[bool, ...], load: np.ndarray, available: np.ndarray) -> float:
    """Least cost of one hour with the given units on, inf if there is no way."""
    switch, factors = np.array([*on, True]), ptdf(network)
    low = np.where(switch, network.unit_min, 0.0)
    high = np.where(switch, np.where(network.unit_min > 0, network.unit_max, available), 0.0)
    own, base = factors[:, network.unit_bus], factors @ load - angle_flows(network, np.zeros(3))
    own, base = np.hstack([own, np.zeros((3, 3))]), base  # three more variables: output above the kinks
    kept = np.isfinite(network.flow_max)
    above = np.hstack([np.eye(3), -np.eye(3)])
    result = linprog(
        np.concatenate([network.cost_linear, network.kink_slope[:, 0]]),
        A_ub=np.concatenate([own[kept], -own[kept], above]),
        b_ub=np.concatenate([(network.flow_max + base)[kept], (-network.flow_min - base)[kept], network.kink[:, 0]]),
        A_eq=[[1, 1, 1, 0, 0, 0]],
        b_eq=[load.sum()],
        bounds=[*zip(low, high, strict=True), *[(0, None)] * 3],
    )
    return float(result.fun + network.cost_constant[switch].sum()) if result.status == 0 else np.inf


def _allowed(on: np.ndarray, up: int, down: int) -> bool:
    """Do the runs of hours on and off, around the day, have their least lengths."""
    if on.all() or not on.any():
        return True
    turned = np.roll(on, -int(np.flatnonzero(on != np.roll(on, 1))[0]))
    return all(len(list(run)) >= (up if state else down) for state, run in itertools.groupby(turned.tolist()))


def _best(network: Network) -> float:
    """Least cost over all schedules of the two thermal units."""
    pairs = list(itertools.product((False, True), repeat=2))
    hour = {(t, on): _hour_cost(network, on, LOAD[t], AVAILABLE[t]) for t in range(5) for on in pairs}
    best = np.inf
    for plan in itertools.product(pairs, repeat=5):
        on = np.array(plan)
        if all(_allowed(on[:, k], RULES.min_up[k], RULES.min_down[k]) for k in range(2)):
            starts = (on & ~np.roll(on, 1, 0)).sum(0) @ RULES.cost[:2]
            best = min(best, starts + sum(hour[t, plan[t]] for t in range(5)))
    return float(best)


SHIFTED = replace(NETWORK, shift_flow=np.array([-12.0, 0, 0]), flow_min=np.array([-20.0, -np.inf, -50]))
"""A phase shifter in the ring, and a line whose limits differ by direction."""


@pytest.mark.parametrize("network", [*(NETWORK.scaled(limit=x) for x in (1.0, 0.9, 10.0)), SHIFTED])
def test_the_schedule_is_the_best_of_all(tmp_path: Path, network: Network) -> None:
    found = commit(network, RULES, LOAD, AVAILABLE, gap=0.0, cache=tmp_path)
    assert found.status == "optimal"
    assert found.cost == pytest.approx(_best(network), abs=1e-4)
    _check(network, RULES, LOAD, AVAILABLE, found)


def test_lines_change_the_schedule(tmp_path: Path) -> None:
    assert _best(NETWORK.scaled(limit=0.9)) > _best(NETWORK.scaled(limit=10.0)) + 1.0
    assert _best(SHIFTED) != pytest.approx(_best(NETWORK), abs=1.0)


def _check(network: Network, rules: StartRules, load: np.ndarray, available: np.ndarray, found: Commitment) -> None:
    """The schedule keeps every limit."""
    on, output = found.on, found.output
    switched = network.unit_min > 0
    most = np.where(switched, network.unit_max, available)
    assert (output >= np.where(on, network.unit_min, 0) - 1e-5).all() and (output <= np.where(on, most, 0) + 1e-5).all()
    np.testing.assert_allclose(output.sum(1), load.sum(1), atol=1e-5)
    injection = -load.copy()
    np.add.at(injection.T, network.unit_bus, output.T)
    flow = injection @ ptdf(network).T + angle_flows(network, np.zeros(network.num_buses))
    slack = 2e-5 * network.reach
    assert (flow <= network.flow_max + slack).all() and (flow >= network.flow_min - slack).all()
    for n in np.flatnonzero(switched):
        assert _allowed(on[:, n], rules.min_up[n], rules.min_down[n])
    starts = (on & ~np.roll(on, 1, 0)).sum(0) @ rules.cost
    generation = np.where(on, network.cost(output), 0.0).sum()
    assert generation + starts == pytest.approx(found.cost, rel=1e-6)


def test_quadratic_costs_come_in_pieces(tmp_path: Path) -> None:
    network = replace(NETWORK, cost_quadratic=np.array([0.05, 0.1, 0.0]))
    found = commit(network, RULES, LOAD, AVAILABLE, gap=0.0, cache=tmp_path)
    exact = np.where(found.on, network.cost(found.output), 0.0).sum()
    exact += (found.on & ~np.roll(found.on, 1, 0)).sum(0) @ RULES.cost
    assert exact <= found.cost <= 1.05 * exact  # chords lie above a convex cost


def test_an_infeasible_day_is_reported_and_kept(tmp_path: Path) -> None:
    load = np.full((5, 3), 90.0)
    found = commit(NETWORK, RULES, load, AVAILABLE, cache=tmp_path)
    assert (found.status, found.cost, found.gap) == ("infeasible", np.inf, np.inf)
    assert not found.on.any() and not found.output.any() and found.on.shape == (5, 3)
    assert commit(NETWORK, RULES, load, AVAILABLE, cache=tmp_path).status == "infeasible"


def test_a_result_is_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = commit(NETWORK, RULES, LOAD, AVAILABLE, cache=tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]  # no temporary file is left

    def solved(*_: object, **__: object) -> None:
        raise AssertionError("solved again")

    monkeypatch.setattr(commitment, "milp", solved)
    again = commit(NETWORK, RULES, LOAD, AVAILABLE, cache=tmp_path)
    np.testing.assert_array_equal(again.on, first.on)
    np.testing.assert_array_equal(again.output, first.output)
    assert (again.status, again.cost, again.gap) == (first.status, first.cost, first.gap)
    for changed in (NETWORK.scaled(limit=0.9), replace(NETWORK, cost_linear=NETWORK.cost_linear + 1)):
        with pytest.raises(AssertionError, match="solved again"):
            commit(changed, RULES, LOAD, AVAILABLE, cache=tmp_path)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut short", b"text"])
def test_a_damaged_cache_file_is_replaced(tmp_path: Path, damage: bytes) -> None:
    first = commit(NETWORK, RULES, LOAD, AVAILABLE, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage)
    again = commit(NETWORK, RULES, LOAD, AVAILABLE, cache=tmp_path)
    assert again.cost == pytest.approx(first.cost)
    assert file.stat().st_size > len(damage)


def test_the_cache_lies_below_xdg_cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    commit(NETWORK, RULES, LOAD, AVAILABLE)
    assert [path.suffix for path in (tmp_path / "dgpg" / "power").iterdir()] == [".npz"]


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert commit(NETWORK, RULES, LOAD, AVAILABLE, cache=tmp_path / "file" / "below").status == "optimal"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"load": LOAD[:, :2]}, r"three units: load has the shape \(5, 2\), expected \(5, 3\)"),
        ({"available": AVAILABLE[:4]}, r"available has the shape \(4, 3\), expected \(5, 3\)"),
        ({"rules": replace(RULES, cost=np.zeros(2))}, r"cost has the shape \(2,\), expected \(3,\)"),
        ({"load": LOAD * np.nan}, "load and available must be finite"),
    ],
)
def test_inputs_that_do_not_fit(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    inputs = {"rules": RULES, "load": LOAD, "available": AVAILABLE} | changes
    with pytest.raises(DataError, match=message):
        commit(NETWORK, cache=tmp_path, **inputs)  # type: ignore[arg-type]


def test_a_day_of_rts_gmlc(tmp_path: Path, data_file: Callable[[str], Path]) -> None:
    rts = load_rts(data_file("rts_gmlc"))
    day = rts.series.select([1], [6])
    began = time.monotonic()
    found = commit(rts.network, rts.rules, day.load, day.available, cache=tmp_path)
    assert found.status == "optimal" and found.gap <= 0.01
    assert found.seconds <= time.monotonic() - began
    _check(rts.network, rts.rules, day.load, day.available, found)
    assert 0 < found.on[:, rts.network.unit_min > 0].mean() < 1
