"""The grid: flows against bus angles and PYPOWER, outages against removal, costs, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypower import api

from dgpg.errors import DataError
from dgpg_power.data import load_network
from dgpg_power.factors import bridges, lodf, ptdf
from dgpg_power.network import Network, validate

from .oracle import angle_flows


def triangle(**changes: Any) -> Network:
    """Three buses in a ring and a fourth at the end of a bridge; two units."""
    fields: dict[str, Any] = dict(
        name="triangle",
        base_mva=100.0,
        bus_number=[10, 20, 30, 40],
        area=[1, 1, 1, 2],
        load=[0.0, 0.0, 50.0, 10.0],
        line_from=[0, 1, 0, 2],
        line_to=[1, 2, 2, 3],
        susceptance=[10.0, 10.0, 5.0, 8.0],
        resistance=[0.01, 0.01, 0.02, 0.01],
        shift_flow=[0.0, 0.0, 0.0, 0.0],
        flow_min=[-100.0, -100.0, -np.inf, -20.0],
        flow_max=[100.0, 100.0, np.inf, 20.0],
        unit_bus=[0, 1],
        unit_name=("a", "b"),
        unit_kind=("thermal", "wind"),
        unit_min=[10.0, 0.0],
        unit_max=[40.0, 40.0],
        ramp=[np.inf, 60.0],
        cost_constant=[5.0, 0.0],
        cost_linear=[10.0, 2.0],
        cost_quadratic=[0.5, 0.0],
        kink=[[20.0], [0.0]],
        kink_slope=[[3.0], [0.0]],
    )
    return Network(**(fields | changes))


def test_flows_of_a_ring_by_hand() -> None:
    network = validate(triangle())
    # from bus 0 to bus 2: 5 directly, and 10 and 10 in series, so each path carries half
    flow = ptdf(network) @ np.array([60.0, 0.0, -50.0, -10.0])
    np.testing.assert_allclose(flow, [30.0, 30.0, 30.0, 10.0])


def test_a_column_of_ptdf_serves_the_load() -> None:
    network = triangle()
    share = network.load / network.load.sum()
    np.testing.assert_allclose(ptdf(network) @ share, 0.0, atol=1e-12)
    np.testing.assert_allclose(ptdf(network)[:, 0], angle_flows(network, np.eye(4)[0] - share), atol=1e-12)


@pytest.mark.parametrize("name", ["case9", "case39", "case118", "case300", "synthetic-50"])
@given(seed=st.integers(0, 2**32 - 1))
def test_ptdf_agrees_with_bus_angles(name: str, seed: int) -> None:
    network = load_network(name)
    injection = np.random.default_rng(seed).normal(0, 100, network.num_buses)
    injection -= injection.mean()
    scale = np.abs(injection).sum()
    np.testing.assert_allclose(ptdf(network) @ injection, angle_flows(network, injection), atol=1e-7 * scale)


# PYPOWER 5.1 still builds numpy matrices.
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("name", ["case6ww", "case9", "case30"])
def test_flows_agree_with_pypower(name: str) -> None:
    network, case = load_network(name), getattr(api, name)()
    assert ((case["branch"][:, 8] == 0) | (case["branch"][:, 8] == 1)).all() and not case["branch"][:, 9].any()
    case["gen"] = case["gen"].astype(float)  # whole numbers would cut off what PYPOWER writes into them
    result, success = api.rundcpf(case, api.ppoption(VERBOSE=0, OUT_ALL=0))
    assert success
    injection = np.bincount(network.unit_bus, result["gen"][:, 1], network.num_buses) - network.load
    np.testing.assert_allclose(ptdf(network) @ injection, result["branch"][:, 13], atol=1e-6)


def _without(network: Network, line: int) -> Network:
    kept = np.arange(network.num_lines) != line
    names = ("line_from", "line_to", "susceptance", "resistance", "shift_flow", "flow_min", "flow_max")
    return replace(network, **{name: getattr(network, name)[kept] for name in names})


@pytest.mark.parametrize("name", ["case9", "case39", "synthetic-20"])
def test_lodf_agrees_with_removing_the_line(name: str) -> None:
    network = load_network(name)
    factors, bridge = ptdf(network), bridges(network)
    injection = np.random.default_rng(0).normal(0, 100, network.num_buses)
    injection -= injection.mean()
    flow = factors @ injection
    assert not bridge.all()
    for line in np.flatnonzero(~bridge):
        after = flow + lodf(network, int(line), factors) * flow[line]
        assert abs(after[line]) < 1e-9
        expected = angle_flows(_without(network, line), injection)
        np.testing.assert_allclose(np.delete(after, line), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["case14", "case39", "synthetic-20"])
def test_a_bridge_is_a_line_without_which_there_are_islands(name: str) -> None:
    network = load_network(name)
    found = bridges(network)
    for line in range(network.num_lines):
        try:
            validate(_without(network, line))
            assert not found[line]
        except DataError as error:
            assert found[line] and "2 islands" in str(error)


@pytest.mark.parametrize("last", [-15.0, -15.0 + 1e-14, 15.0])
def test_reactances_that_cancel_but_for_rounding_are_refused(last: float) -> None:
    """Three lines side by side: what flows on each is anything, as their sum carries nothing at any angle."""
    lines = {"line_from": [0, 1, 1, 1], "line_to": [1, 2, 2, 2], "susceptance": [8.0, 10, 5, last]}
    network = triangle(**lines, bus_number=[1, 2, 3], area=[1, 1, 1], load=[0.0, 0, 50], unit_bus=[0, 0])
    if last > 0:
        np.testing.assert_allclose(ptdf(network) @ np.array([30.0, 0, -30]), [30, 10, 5, 15])
        return
    message = (
        r"triangle: the susceptance matrix is singular: reactances at line 1 \(bus 2 to bus 3\) and beside it cancel"
    )
    with pytest.raises(DataError, match=message):
        ptdf(network)


def test_a_bridge_has_no_outage_factors() -> None:
    assert bridges(triangle()).tolist() == [False, False, False, True]
    with pytest.raises(DataError, match=r"triangle: line 3 \(bus 30 to bus 40\) is a bridge"):
        lodf(triangle(), 3)


def test_cost_by_hand_and_in_batches() -> None:
    network = triangle()
    np.testing.assert_allclose(network.cost([10.0, 4.0]), [5 + 100 + 50, 8])
    np.testing.assert_allclose(network.cost([[30.0, 0.0]] * 2), [[5 + 300 + 450 + 30, 0]] * 2)


def test_copies_change_what_they_say() -> None:
    network = triangle()
    half = network.scaled(load=0.5, limit=0.8)
    np.testing.assert_allclose(half.load, [0, 0, 25, 5])
    np.testing.assert_allclose(half.flow_max, [80, 80, np.inf, 16])
    np.testing.assert_allclose(half.flow_min, [-80, -80, -np.inf, -16])
    assert network.relaxed().unit_min.tolist() == [0, 0]
    assert network.relaxed().notes == ("minimum output of 1 unit set to 0",)
    assert network.unit_min.tolist() == [10, 0]


def test_arrays_are_read_only_copies() -> None:
    load = np.array([0.0, 0.0, 50.0, 10.0])
    network = triangle(load=load)
    load[2] = 1.0
    assert network.load[2] == 50.0
    with pytest.raises(ValueError, match="read-only"):
        network.load[2] = 1.0


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "islands": (
        {"line_from": [0, 1, 0, 0]} | {"line_to": [1, 2, 2, 1]},
        r"2 islands, .*buses 10, 20, 30; bus 40; .* take one with --set island=10",
    ),
    "no load": ({"load": [0.0] * 4}, "no bus has a load above 0"),
    "duplicate bus": ({"bus_number": [10, 20, 20, 40]}, "bus number 20 occurs more than once"),
    "unknown bus of a line": ({"line_to": [1, 2, 2, 4]}, "a line lies at bus position 4, expected 0 to 3"),
    "unknown bus of a unit": ({"unit_bus": [0, -1]}, "a unit lies at bus position -1"),
    "zero impedance": ({"susceptance": [10, 0, 5, 8]}, r"line 1 \(bus 20 to bus 30\) has reactance 0"),
    "not finite": ({"unit_max": [40, np.inf]}, "unit_max holds a number that is not finite"),
    "limits": ({"flow_min": [100, 1, 1, 1]}, r"line 0 \(bus 10 to bus 20\) has the limits 100 to 100 MW, expected the"),
    "no number": ({"flow_max": [1, np.nan, 1, 1]}, r"line 1 \(bus 20 to bus 30\) has the limits -100 to nan MW"),
    "no flow": ({"flow_min": [-np.inf] * 4, "flow_max": [-np.inf, 1, 1, 1]}, r"line 0 .* has the limits -inf to -inf"),
    "ramp": ({"ramp": [0, 1]}, "unit a has the ramp 0 MW per hour"),
    "minimum": ({"unit_min": [50, 0]}, "unit a has minimum output 50 MW above its maximum 40 MW"),
    "concave": ({"cost_quadratic": [0, -1]}, "unit b has a cost that is not convex"),
    "falling slope": ({"kink_slope": [[-1.0], [0.0]]}, "unit a has a cost that is not convex"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_fault_is_named_with_its_source(fault: str) -> None:
    changes, message = REFUSED[fault]
    with pytest.raises(DataError, match=f"^grid.m: .*{message}"):
        validate(triangle(**changes), "grid.m")


def test_islands_are_named_with_the_table_of_lines() -> None:
    parts = triangle(line_from=[0, 1, 0, 0], line_to=[1, 2, 2, 1])
    with pytest.raises(DataError, match=r"^grid\.m:7: mpc\.branch: 2 islands"):
        validate(parts, "grid.m", "grid.m:7: mpc.branch")


def test_no_unit_is_refused() -> None:
    empty = {name: [] for name in ("unit_bus", "unit_min", "unit_max", "ramp")}
    costs = {name: [] for name in ("cost_constant", "cost_linear", "cost_quadratic")}
    kinks = {"kink": np.zeros((0, 0)), "kink_slope": np.zeros((0, 0))}
    with pytest.raises(DataError, match="triangle: no unit in service"):
        validate(triangle(**empty, **costs, **kinks, unit_name=(), unit_kind=()))


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(DataError, match="columns differ in length"):
        triangle(unit_name=("a",))
    with pytest.raises(DataError, match=r"expected both \(units, kinks\)"):
        triangle(kink=[[1.0, 2.0], [1.0, 2.0]])
