"""Generated grids: their size, what their limits do at the optimum, and that they come out the same."""

import time
from dataclasses import replace

import numpy as np
import pytest

from dgpg.errors import DataError
from dgpg_power.data import load_network
from dgpg_power.data.synthetic import FEWEST, cheapest, synthetic
from dgpg_power.factors import ptdf

from ..oracle import dc_optimum


@pytest.mark.parametrize("units", [5, 20, 100, 300, 1000])
def test_size(units: int) -> None:
    network = load_network(f"synthetic-{units}")
    assert network.num_units == units
    assert network.num_buses == round(1.5 * units)
    assert network.num_lines == pytest.approx(1.4 * network.num_buses, abs=1)
    assert len(set(network.unit_bus.tolist())) == units


def test_a_thousand_units_take_seconds() -> None:
    began = time.monotonic()
    load_network("synthetic-1000")
    assert time.monotonic() - began < 20  # 0.8 s alone on a core; the margin is for a busy machine


def test_the_same_seed_gives_the_same_grid_and_another_another() -> None:
    first, again, other = synthetic(30, 1), synthetic(30, 1), synthetic(30, 2)
    for field in ("load", "line_from", "flow_max", "cost_linear"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
        assert not np.array_equal(getattr(first, field), getattr(other, field))


def test_the_cheapest_output_is_the_optimum_without_lines() -> None:
    network = synthetic(30)
    output, found = cheapest(network, network.load.sum()), dc_optimum(network, lines=False)
    assert found is not None and output.sum() == pytest.approx(network.load.sum())
    assert network.cost(output).sum() == pytest.approx(found[0], rel=1e-5)


def test_a_few_percent_of_the_lines_bind_and_the_cheapest_output_overloads_them() -> None:
    network = synthetic(100)
    found = dc_optimum(network)
    assert found is not None
    cost, output = found

    def loading(p: np.ndarray) -> np.ndarray:
        injection = np.bincount(network.unit_bus, p, network.num_buses) - network.load
        return np.asarray(np.abs(ptdf(network) @ injection) / network.flow_max)

    blind = cheapest(network, network.load.sum())
    assert 0.01 <= (loading(output) > 1 - 1e-6).mean() <= 0.08
    assert loading(output).max() < 1 + 1e-6 and loading(blind).max() > 1.2
    assert cost > 1.01 * network.cost(blind).sum()


@pytest.mark.parametrize("units", [20, 60])
def test_feasible_from_85_to_100_percent_with_noise(units: int) -> None:
    network, rng = synthetic(units), np.random.default_rng(0)
    for _ in range(20):
        noise = 1 + 0.05 * rng.standard_normal(network.num_buses)
        drawn = replace(network, load=network.load * rng.uniform(0.85, 1.0) * noise)
        assert dc_optimum(replace(drawn, cost_quadratic=np.zeros(units))) is not None


@pytest.mark.parametrize("name", ["synthetic-4", "synthetic-0", "synthetic-abc", "synthetic-1000000", "synthetic100"])
def test_a_name_of_no_grid_says_what_names_there_are(name: str) -> None:
    with pytest.raises(
        DataError, match=f"network '{name}': expected synthetic-N, N units, {FEWEST} <= N < 10.6, such as"
    ):
        load_network(name)


def test_the_smallest_grid_is_made() -> None:
    assert load_network(f"synthetic-{FEWEST}").num_units == FEWEST
