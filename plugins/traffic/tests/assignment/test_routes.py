"""Routes: what is kept, how near the optimum on them is to that on all routes, and what the cache does."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from dgpg.errors import ConfigError
from dgpg.files import cache as store
from dgpg_traffic.assignment import routes as module
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM, USER_EQUILIBRIUM, assign
from dgpg_traffic.assignment.equilibrium import solve
from dgpg_traffic.assignment.routes import generate
from dgpg_traffic.data import load_network
from dgpg_traffic.network.bpr import Bpr
from dgpg_traffic.network.incidence import Incidence, Routes
from dgpg_traffic.network.network import Network

from ..made import made


def _check(network: Network, routes: Routes, most: int) -> None:
    """Every route is a walk of its pair that crosses no closed zone; all differ; the first is the shortest."""
    assert routes.exists.shape[0] == network.num_pairs and routes.exists.shape[1] <= most
    assert routes.exists[:, 0].all() and (np.diff(routes.exists.astype(int), axis=1) <= 0).all()
    for n in range(network.num_pairs):
        kept = [tuple(row[row >= 0].tolist()) for row in routes.links[n] if row[0] >= 0]
        assert len(set(kept)) == len(kept)
        for links in kept:
            inner = network.head[list(links[:-1])]
            assert network.tail[links[0]] == network.origin[n] and network.head[links[-1]] == network.destination[n]
            assert (network.tail[list(links[1:])] == inner).all() and network.through[inner].all()
    times = routes.times(network.free_time)
    assert (times[:, 0] <= times.min(1) * (1 + 1e-12)).all()


def _excess(network: Network, routes: Routes, level: float) -> float:
    """The larger of the shares by which the minima of the objectives on these routes exceed those on all."""
    network = network.scaled(demand=level)
    links, incidence = Bpr.of(network), Incidence(routes, network.num_links)
    demand = torch.tensor(np.array(network.demand))[None]
    shares = []
    for objective in (USER_EQUILIBRIUM, SYSTEM_OPTIMUM):
        found = assign(links, incidence, demand, objective, tolerance=1e-7)
        shares.append(float(objective.value(links, found.flow)) / solve(network, objective).value - 1)
    return max(shares)


def test_the_routes_of_braess() -> None:
    routes = generate(load_network("braess"))
    assert routes.links.tolist() == [[[0, 3, 4], [1, 4, -1], [0, 2, -1]]] or routes.links.tolist() == [
        [[0, 3, 4], [0, 2, -1], [1, 4, -1]]
    ]


@pytest.mark.parametrize("most", [1, 2, 6])
def test_what_is_kept_on_the_grid(most: int) -> None:
    network = load_network("grid")
    routes = generate(network, most=most)
    _check(network, routes, most)
    assert routes.exists.shape[1] == most


def test_pairs_with_fewer_routes_leave_slots_empty() -> None:
    network = made()
    routes = generate(network)
    _check(network, routes, 6)
    assert routes.exists.tolist() == [[True, True], [True, False]]


def test_the_optimum_on_the_grids_routes_is_that_on_all() -> None:
    network = load_network("grid")
    routes = generate(network)
    assert max(_excess(network, routes, level) for level in (0.6, 0.7, 1.0, 1.1, 1.2)) < 1e-4
    assert _excess(network, generate(network, most=1), 1.0) > 0.1


@pytest.mark.parametrize(
    "name", ["SiouxFalls", "EMA", "friedrichshain-center", pytest.param("Anaheim", marks=pytest.mark.slow)]
)
def test_the_optimum_on_real_routes_is_that_on_all(tmp_path: Path, data_file: Callable[[str], Path], name: str) -> None:
    network = load_network(str(data_file("tntp") / name))
    began = time.process_time()
    routes = generate(network, cache=tmp_path)
    assert time.process_time() - began < 30
    _check(network, routes, 6)
    assert max(_excess(network, routes, level) for level in (0.6, 0.9, 1.2)) < 1e-4


@pytest.mark.slow
def test_routes_of_a_large_network_are_made_in_a_minute(tmp_path: Path) -> None:
    """As many nodes, links and pairs as Barcelona: 33 x 33 crossings, 7,920 pairs of 90 zones at random."""
    side, rng = 33, np.random.default_rng(0)
    number = np.arange(side * side).reshape(side, side)
    right, down = (number[:, :-1], number[:, 1:]), (number[:-1], number[1:])
    roads = [np.stack([x.ravel(), y.ravel()]) for a, b in (right, down) for x, y in ((a, b), (b, a))]
    ends = np.concatenate(roads, 1)
    ends = ends[:, rng.permutation(ends.shape[1])[:3800]]
    _, part = connected_components(csr_array((np.ones(3800), ends), shape=(side**2,) * 2), connection="strong")
    zones = rng.permutation(np.flatnonzero(part == np.bincount(part).argmax()))[:90]
    origin, destination = (x.ravel() for x in np.meshgrid(zones, zones, indexing="ij"))
    apart = origin != destination
    main = rng.random(3800) < 0.3
    network = Network(
        name="city", node_number=np.arange(side**2), through=np.ones(side**2), place=np.zeros((side**2, 2)),
        tail=ends[0], head=ends[1], capacity=np.where(main, 3000.0, 900), free_time=rng.uniform(0.5, 1.5, 3800),
        b=np.full(3800, 0.15), power=np.full(3800, 4.0), length=np.ones(3800),
        origin=origin[apart], destination=destination[apart], demand=rng.lognormal(1.6, 0.9, int(apart.sum())),
    )  # fmt: skip
    began = time.process_time()
    routes = generate(network, cache=tmp_path)
    assert time.process_time() - began < 60  # measured under 30 s beside other work
    _check(network, routes, 6)


def test_routes_are_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_network("grid")
    first = generate(network, cache=tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]  # no temporary file is left

    def solved(*_: object, **__: object) -> None:
        raise AssertionError("solved again")

    monkeypatch.setattr(module, "solve", solved)
    np.testing.assert_array_equal(generate(network, cache=tmp_path).links, first.links)
    renamed = replace(network, name="other", place=network.place + 1)
    np.testing.assert_array_equal(generate(renamed, cache=tmp_path).links, first.links)
    through = network.through.copy()
    through[0] = False
    for changed in (network.scaled(demand=0.9), replace(network, b=network.b + 1), replace(network, through=through)):
        with pytest.raises(AssertionError, match="solved again"):
            generate(changed, cache=tmp_path)
    for settings in ({"most": 5}, {"levels": (1.0,)}):
        with pytest.raises(AssertionError, match="solved again"):
            generate(network, cache=tmp_path, **settings)  # type: ignore[arg-type]
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    with pytest.raises(AssertionError, match="solved again"):
        generate(network, cache=tmp_path)


def test_a_damaged_cache_file_is_replaced(tmp_path: Path) -> None:
    first = generate(made(), cache=tmp_path)
    (file,) = tmp_path.iterdir()
    good = file.read_bytes()
    other = tmp_path / "other"
    for values in (np.full((2, 2, 2), 99), np.zeros((3, 1, 1), np.int64), np.zeros(2)):
        np.savez(other, values=values)
        file.write_bytes(other.with_suffix(".npz").read_bytes())
        np.testing.assert_array_equal(generate(made(), cache=tmp_path).links, first.links)
    for damage in (b"", b"PK\x03\x04 cut short", b"text"):
        file.write_bytes(damage)
        np.testing.assert_array_equal(generate(made(), cache=tmp_path).links, first.links)
        assert len(file.read_bytes()) == len(good)


def test_the_cache_lies_below_xdg_cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    generate(made())
    assert [path.suffix for path in (tmp_path / "dgpg" / "traffic").iterdir()] == [".npz"]


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert generate(made(), cache=tmp_path / "file" / "below").exists.any()


def test_settings_that_make_no_sense() -> None:
    for settings in ({"most": 0}, {"levels": ()}, {"levels": (1.0, 0.0)}):
        with pytest.raises(ConfigError, match=r"diamond: routes: most is .* expected at least 1 route and levels"):
            generate(made(), **settings)  # type: ignore[arg-type]


def test_routes_that_do_not_lead_from_origin_to_destination_are_not_believed(tmp_path: Path) -> None:
    network = made()
    first = generate(network, cache=tmp_path).links
    (file,) = tmp_path.iterdir()
    backwards, gap = first[:, ::-1], first.copy()
    gap[0, 0] = np.roll(gap[0, 0], 1)
    for other in (first[::-1], np.zeros_like(first), np.full_like(first, -1), backwards, gap):
        store.write(file, {"values": other})
        np.testing.assert_array_equal(generate(network, cache=tmp_path).links, first)
