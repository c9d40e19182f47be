"""Networks by name: PYPOWER's cases against its own columns, and names that do not exist."""

import importlib
from typing import Any

import numpy as np
import pytest
from pypower import api

from dgpg.errors import DataError
from dgpg_power.data import load_network
from dgpg_power.data.builtin import NAMES

from ..oracle import dc_optimum


@pytest.mark.parametrize("name", NAMES)
def test_every_name_loads_with_the_totals_of_its_case(name: str) -> None:
    network, case = load_network(name), getattr(api, name)()
    on = (case["gen"][:, 7] > 0) & (case["gen"][:, 8] > 0)
    assert network.name == name and network.num_units == on.sum()
    assert network.load.sum() == pytest.approx(case["bus"][:, 2].sum() + case["bus"][:, 4].sum())
    assert network.unit_max.sum() == pytest.approx(case["gen"][on, 8].sum())


def test_costs_agree_with_those_of_pypower() -> None:
    case, network = api.case30pwl(), load_network("case30pwl")
    output = np.linspace(network.unit_min, network.unit_max, 7)
    for at in output:
        np.testing.assert_allclose(network.cost(at), api.totcost(case["gencost"], at), rtol=1e-12)


@pytest.mark.parametrize(("name", "limit"), [("case24_ieee_rts", 0.6), ("case39", 0.7)])
def test_merit_order_overloads_lines_where_limits_are_tight(name: str, limit: float) -> None:
    network = load_network(name).relaxed().scaled(limit=limit)
    blind, kept = dc_optimum(network, lines=False), dc_optimum(network)
    assert blind is not None and kept is not None
    assert kept[0] > 1.05 * blind[0]


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(DataError, match=r"unknown network 'case38': did you mean 'case39'?.* path of a MATPOWER file"):
        load_network("case38")


def test_pypower_missing_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(DataError, match=r"case9 needs PYPOWER .*pip install PYPOWER"):
        load_network("case9")
