"""Written cases come back through the reader, number for number."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from dgpg_power.config import Flow
from dgpg_power.data.build import to_network
from dgpg_power.data.case import Case
from dgpg_power.data.load import load_case
from dgpg_power.data.matpower import read_matpower
from dgpg_power.data.write import matpower_text, with_network
from dgpg_power.network import Network


def again(case: Case, folder: Path, name: str = "again") -> Case:
    path = folder / f"{name}.m"
    path.write_text(matpower_text(case, name), encoding="utf-8")
    return read_matpower(path)


def same(one: Network, other: Network) -> None:
    """Every column but the name and the notes."""
    for field in fields(Network):
        if field.name not in ("name", "notes"):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


@pytest.mark.parametrize("name", ["case9", "case30pwl", "case24_ieee_rts", "case118", "case300"])
def test_built_in_cases_come_back(tmp_path: Path, name: str) -> None:
    case = load_case(name)
    found = again(case, tmp_path, "2 strange-names")
    for matrix in ("bus", "gen", "branch", "gencost"):
        assert getattr(found, matrix).rows == getattr(case, matrix).rows, matrix
    assert found.base_mva == case.base_mva
    same(to_network(found), to_network(case))


def test_a_published_case_comes_back(data_file: Callable[[str], Path], tmp_path: Path) -> None:
    case = read_matpower(data_file("pglib/pglib_opf_case118_ieee__api.m"))
    same(to_network(again(case, tmp_path)), to_network(case))


def test_names_and_kinds_come_back(tmp_path: Path) -> None:
    case = replace(load_case("case9"), unit_name=("it's", "b", "c"), unit_kind=("wind", "thermal", "pv"))
    network = to_network(again(case, tmp_path))
    assert network.unit_name == ("it's", "b", "c") and network.unit_kind == ("wind", "thermal", "pv")


@pytest.mark.parametrize("name", ["case9", "case24_ieee_rts"])
def test_a_changed_network_comes_back(tmp_path: Path, name: str) -> None:
    case = load_case(name)
    made, rng = to_network(case), np.random.default_rng(0)
    limit = made.flow_max * rng.uniform(0.5, 1.5, made.num_lines)
    network = replace(
        made,
        load=1.1 * made.load,
        flow_min=-limit,
        flow_max=limit,
        cost_linear=made.cost_linear + rng.standard_normal(made.num_units),
        cost_quadratic=made.cost_quadratic * rng.uniform(0.5, 1.5, made.num_units),
    )
    found = to_network(again(with_network(case, network), tmp_path))
    np.testing.assert_allclose(found.load, network.load, rtol=1e-14)
    same(replace(found, load=network.load), network)


def test_straight_pieces_keep_their_cost(tmp_path: Path) -> None:
    case = load_case("case30pwl")
    made = to_network(case)
    network = replace(made, cost_linear=made.cost_linear + 1.5, kink_slope=2 * made.kink_slope)
    found = to_network(again(with_network(case, network), tmp_path))
    for output in np.linspace(made.unit_min, made.unit_max, 9):
        np.testing.assert_allclose(found.cost(output), network.cost(output), rtol=1e-9, atol=1e-9)
    assert (found.cost(made.unit_max) > made.cost(made.unit_max) + 1).all()


def test_an_angle_limit_does_not_hide_a_wider_limit(tmp_path: Path) -> None:
    case = load_case("case9")
    tight = [(*row[:11], -1.0, 1.0, *row[13:]) for row in case.branch.rows]  # degrees
    case = replace(case, branch=replace(case.branch, rows=tuple(tight)))
    made = to_network(case)
    assert "limited by its angle difference" in " ".join(made.notes)
    found = to_network(again(with_network(case, made.scaled(limit=2)), tmp_path))
    np.testing.assert_array_equal(found.flow_max, 2 * made.flow_max)
    np.testing.assert_array_equal(found.flow_min, 2 * made.flow_min)


def test_limits_that_differ_by_direction_come_back_as_angles(tmp_path: Path) -> None:
    case = load_case("case14")
    rows = [list(row) for row in case.branch.rows]
    rows[1][9], rows[1][11], rows[1][12] = 4.0, -10.0, 20.0  # a shift, and limits about it
    rows[7][3] *= -1  # a series capacitor turns its limits around
    rows[7][11], rows[7][12] = -1.0, 5.0
    case = replace(case, branch=replace(case.branch, rows=tuple(map(tuple, rows))))
    made = to_network(case)
    network = made.scaled(limit=0.7)
    found = to_network(again(with_network(case, network), tmp_path))
    assert (network.flow_min != -network.flow_max).sum() == 2
    for field in ("flow_min", "flow_max", "shift_flow", "susceptance"):
        np.testing.assert_allclose(getattr(found, field), getattr(network, field), rtol=1e-12)


@pytest.mark.parametrize("flow", ["pglib", "matpower"])
def test_a_limit_one_way_keeps_that_of_the_other(tmp_path: Path, flow: Flow) -> None:
    """Rate A of 100 MW is an angle beyond all that count as limits, and was written as none."""
    case = load_case("case14", flow=flow)
    rows = [list(row) for row in case.branch.rows]
    for row, angles in ((1, (-0.5, 0.0)), (6, (0.0, 0.5)), (7, (-360.0, 0.0)), (8, (0.1, 360.0))):
        rows[row][3], rows[row][5], rows[row][11:13] = 9.0, 100.0, list(angles)
    rows[8][5] = 0.0
    case = replace(case, branch=replace(case.branch, rows=tuple(map(tuple, rows))))
    network = to_network(case).scaled(limit=1.3)
    assert network.flow_max[6] < 1 and network.flow_min[6] == 0 and network.flow_min[7] == -130
    found = to_network(again(with_network(case, network), tmp_path))
    for field in ("flow_min", "flow_max"):
        np.testing.assert_allclose(getattr(found, field), getattr(network, field), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("flow", ["pglib", "matpower"])
@pytest.mark.parametrize("name", ["new", "2 strange", "pglib_opf_new"])
def test_a_written_case_is_read_by_its_own_convention(tmp_path: Path, flow: Flow, name: str) -> None:
    case = load_case("case14", flow=flow)
    assert again(case, tmp_path, name).flow == flow
