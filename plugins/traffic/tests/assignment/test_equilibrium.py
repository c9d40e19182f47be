"""Equilibrium and optimum over all routes: published values and flows, Wardrop's conditions, closed zones."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dgpg.errors import SolverError
from dgpg_traffic.assignment import equilibrium
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM, USER_EQUILIBRIUM
from dgpg_traffic.assignment.equilibrium import solve
from dgpg_traffic.data import load_network, read_flow
from dgpg_traffic.network.bpr import Bpr, link_time, total_time
from dgpg_traffic.network.network import weighed

from ..made import frank_wolfe, made

FILES = {"SiouxFalls": "SiouxFalls", "EMA": "EMA", "Braess": "Braess", "friedrichshain-center": "Berlin-Friedrichshain"}


def test_braess_paradox() -> None:
    network = load_network("braess")
    selfish, best = solve(network, USER_EQUILIBRIUM), solve(network, SYSTEM_OPTIMUM)
    # 2 vehicles on each of 3 routes of 92 minutes; without the shortcut 3 on each of 2 routes of 83.
    assert (selfish.total_time, best.total_time) == (pytest.approx(552), pytest.approx(498))
    np.testing.assert_allclose(selfish.flow, [4, 2, 2, 2, 4], rtol=1e-6)
    np.testing.assert_allclose(best.flow, [3, 3, 3, 0, 3], atol=1e-5)
    assert selfish.value == pytest.approx(386)


@pytest.mark.parametrize("name", FILES)
def test_totals_are_the_published_ones(data_file: Callable[[str], Path], name: str) -> None:
    with data_file("tntp/ue_so_reference_public.csv").open() as file:
        published = {row["network"]: row for row in csv.DictReader(file)}[FILES[name]]
    network = load_network(str(data_file("tntp") / name))
    # The equilibrium's total time is no objective: it settles only where the gap is far smaller than the default's.
    selfish, best = solve(network, USER_EQUILIBRIUM, tolerance=1e-10), solve(network, SYSTEM_OPTIMUM)
    time = published["ue_tstt_from_flow_file"] or published["ue_tstt_computed"]
    assert selfish.total_time == pytest.approx(float(time), rel=1e-6)
    assert selfish.value == pytest.approx(float(published["ue_beckmann_computed"]), rel=1e-8)
    assert best.total_time == best.value == pytest.approx(float(published["so_tstt_computed"]), rel=1e-7)
    assert max(selfish.gap, best.gap) <= 1e-7


def test_flows_of_sioux_falls_are_the_published_ones(data_file: Callable[[str], Path]) -> None:
    network = load_network(str(data_file("tntp/SiouxFalls_net.tntp")))
    published = read_flow(data_file("tntp/SiouxFalls_flow.tntp"), network)
    found = solve(network, USER_EQUILIBRIUM, tolerance=1e-10)
    np.testing.assert_allclose(found.flow, published, rtol=1e-5)


def test_no_other_route_is_faster_in_equilibrium() -> None:
    network = load_network("grid")
    found = solve(network, USER_EQUILIBRIUM, tolerance=1e-10)
    time = link_time(Bpr.of(network), torch.tensor(found.flow)).numpy()
    least = _floyd_warshall(network.num_nodes, network.tail, network.head, time)[network.origin, network.destination]
    times = found.routes.times(time)
    used = found.route_flow > 1e-3 * network.demand[:, None]
    assert used.any(1).all()
    np.testing.assert_allclose(np.where(used, times / least[:, None], 1.0), 1.0, rtol=1e-5)
    np.testing.assert_allclose(found.route_flow.sum(1), network.demand, rtol=1e-12)


def _floyd_warshall(nodes: int, tail: np.ndarray, head: np.ndarray, cost: np.ndarray) -> np.ndarray:
    distance = np.where(np.eye(nodes, dtype=bool), 0.0, np.inf)
    distance[tail, head] = cost
    for via in range(nodes):
        distance = np.minimum(distance, distance[:, [via]] + distance[[via]])
    return distance


def test_a_solution_is_a_start_for_another_demand() -> None:
    network = load_network("grid")
    first = solve(network, SYSTEM_OPTIMUM)
    again = solve(network, SYSTEM_OPTIMUM, start=first)
    assert again.rounds == 1 and again.total_time == pytest.approx(first.total_time, rel=1e-7)
    more = network.scaled(demand=1.3)
    warm, cold = solve(more, SYSTEM_OPTIMUM, start=first), solve(more, SYSTEM_OPTIMUM)
    assert warm.total_time == pytest.approx(cold.total_time, rel=1e-6)


def test_no_route_crosses_a_closed_zone() -> None:
    open_, closed = made(), made(through=[True, False, True, True])
    assert solve(open_, SYSTEM_OPTIMUM).flow[2] > 1
    found = solve(closed, SYSTEM_OPTIMUM)
    np.testing.assert_allclose(found.flow, [0, 25, 0, 25, 5])


def test_too_few_rounds_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equilibrium, "ROUNDS", 1)
    with pytest.raises(SolverError, match=r"grid: system-optimum: column generation has a gap of .* after 1 rounds"):
        solve(load_network("grid"), SYSTEM_OPTIMUM)


def test_links_side_by_side_share_in_equilibrium() -> None:
    # Two links of times 1 + x / 10 and 2 + x / 20 from 1 to 2, then one of time 1: 25 vehicles split where both are
    # equal, 1 + x / 10 = 2 + (25 - x) / 20, x = 15; at the optimum 1 + 2 x / 10 = 2 + 2 (25 - x) / 20, x = 35 / 3.
    network = made(
        tail=[0, 0, 1, 2, 3], head=[1, 1, 3, 3, 0], capacity=[10.0, 40, 1, 1, 1], free_time=[1.0, 2, 1, 1, 3],
        b=[1.0, 1, 0, 0, 0], power=[1.0] * 5,
    )  # fmt: skip
    for objective, first in ((USER_EQUILIBRIUM, 15), (SYSTEM_OPTIMUM, 35 / 3)):
        found = solve(network, objective, tolerance=1e-10)
        np.testing.assert_allclose(found.flow, [first, 25 - first, 25, 0, 5], rtol=1e-5)


def test_roads_that_take_no_time_are_in_equilibrium() -> None:
    found = solve(made(free_time=[0.0] * 5), USER_EQUILIBRIUM)
    assert (found.total_time, found.gap) == (0, 0) and found.flow.sum() > 0


def test_the_optimum_counts_tolls_and_lengths() -> None:
    tolls = np.where(np.arange(76) % 3 == 0, 40.0, 0.0)
    plain = replace(load_network("grid"), toll=tolls)
    found = solve(weighed(plain, 0.2, 1.5), SYSTEM_OPTIMUM)
    lowest, highest = frank_wolfe(plain, 1e-3, fixed=0.2 * tolls + 1.5 * plain.length)
    assert lowest <= found.total_time <= 1.0001 * highest
    timed = total_time(Bpr.of(plain), torch.tensor(solve(plain, SYSTEM_OPTIMUM).flow))
    assert float(total_time(Bpr.of(plain), torch.tensor(found.flow))) > float(timed)  # time alone is no longer least
