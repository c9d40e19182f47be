"""How fit routes are: bounds that hold, routes that are added, and what cannot be mended is told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM, USER_EQUILIBRIUM, Objective, assign
from dgpg_traffic.assignment.equilibrium import solve
from dgpg_traffic.assignment.fitness import FIT, Occasions, excess, fitted
from dgpg_traffic.assignment.routes import generate
from dgpg_traffic.data import load_network
from dgpg_traffic.network.bpr import Bpr
from dgpg_traffic.network.incidence import Incidence, Routes
from dgpg_traffic.network.network import Network
from dgpg_traffic.network.paths import cheapest

from ..made import made


def _now(network: Network) -> Occasions:
    """The network as it is, once."""
    return Occasions(network.demand[None].copy(), network.capacity[None].copy())


def _shortest(network: Network) -> Routes:
    """One route a pair."""
    _, links = cheapest(network.graph(), network.free_time, network.origin, network.destination)
    return Routes(links[:, None])


def _true_excess(network: Network, routes: Routes, objective: Objective) -> float:
    links, demand = Bpr.of(network), torch.from_numpy(network.demand.copy())[None]
    found = assign(links, Incidence(routes, network.num_links), demand, objective, tolerance=1e-8)
    return float(objective.value(links, found.flow)) / solve(network, objective, tolerance=1e-8).value - 1


def test_the_bound_of_pigous_roads() -> None:
    # One pair, a road of time 1 and one of time x, 1 vehicle, all of it on the second: marginal cost 2 against 1, so
    # total time is 1 and at least 1 - (2 - 1) = 0; alone on the first it is 1, at least 1 - (1 - 0).
    pigou = made(
        free_time=[1, 1e-9, 0, 0, 1], capacity=[1, 1e-9, 1, 1, 1], b=[0, 1, 0, 0, 0], power=[1] * 5, demand=[1.0, 1.0]
    )
    lone = excess(pigou, Routes(np.array([[[1, 3]], [[4, -1]]])), _now(pigou))
    # Of both pairs: total 1 + 1, the way back costs 1: (2 - 1) / (2 - (2 - 1)); Beckmann's: no road is faster than 1.
    assert lone.system_optimum == pytest.approx(1.0, rel=1e-6) and lone.user_equilibrium == pytest.approx(0, abs=1e-6)


@settings(max_examples=12)
@given(scale=st.floats(0.3, 5.0), most=st.integers(1, 3))
def test_bounds_hold(scale: float, most: int) -> None:
    network = load_network("grid").scaled(demand=scale)
    routes = generate(network, most=most, levels=(1.0,))
    told = excess(network, routes, _now(network))
    for objective, bound in ((USER_EQUILIBRIUM, told.user_equilibrium), (SYSTEM_OPTIMUM, told.system_optimum)):
        assert _true_excess(network, routes, objective) <= bound + 1e-6


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 5.0])
def test_routes_are_added_until_they_fit(scale: float) -> None:
    network = load_network("grid").scaled(demand=scale)
    few = _shortest(network)
    assert scale == 0.5 or excess(network, few, _now(network)).most > 0.05
    routes, told = fitted(network, few, _now(network), 6)
    np.testing.assert_array_equal(routes.links[:, 0, : few.links.shape[-1]], few.links[:, 0])
    assert told.most <= FIT and routes.exists.shape[1] <= 6
    assert max(_true_excess(network, routes, objective) for objective in (USER_EQUILIBRIUM, SYSTEM_OPTIMUM)) <= FIT


def test_what_too_few_routes_lose_is_told() -> None:
    network = load_network("grid")
    routes, told = fitted(network, _shortest(network), _now(network), 1)
    assert routes.exists.shape[1] == 1 and told.most > 0.05


def test_an_occasion_with_less_capacity_counts() -> None:
    network = load_network("grid")
    routes = generate(network)
    now = _now(network)
    cut = now.capacity.copy()
    cut[0, :20] *= 0.3
    both = Occasions(np.repeat(now.demand, 2, 0), np.concatenate([now.capacity, cut]))
    assert excess(network, routes, now).most < FIT < excess(network, routes, both).most
    routes, told = fitted(network, routes, both, 6)
    assert told.most <= FIT


def test_roads_that_take_no_time_have_no_excess() -> None:
    network = made(free_time=[0.0] * 5)
    assert excess(network, _shortest(network), _now(network)).most == 0


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.5, 2.0, 5.0])
@pytest.mark.parametrize("name", ["SiouxFalls", "friedrichshain-center", "Anaheim"])
def test_real_networks_at_other_demands(
    tmp_path: Path, data_file: Callable[[str], Path], name: str, scale: float
) -> None:
    network = load_network(str(data_file("tntp") / name)).scaled(demand=scale)
    routes, told = fitted(network, generate(network, cache=tmp_path), _now(network), 6)
    assert told.most <= FIT and _true_excess(network, routes, SYSTEM_OPTIMUM) <= FIT
