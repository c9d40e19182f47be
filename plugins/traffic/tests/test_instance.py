"""What a configuration is built into, what evaluations keep of a training, and messages for what cannot be built."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dgpg.errors import ConfigError, DataError
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM
from dgpg_traffic.config import Config
from dgpg_traffic.data import load_network
from dgpg_traffic.domain import SAMPLED, TUNED, domain
from dgpg_traffic.instance import STEADY, build
from dgpg_traffic.mapping import FlowMapping
from dgpg_traffic.network.bpr import link_time, marginal, total_time

from .made import BRAESS_ROUTES, CPU, STATIC, built, frank_wolfe, settings


@pytest.fixture
def town(tmp_path: Path) -> Callable[[str, str, str], str]:
    """Path of a copy of braess in which `old` stands as `new` in one of the files."""
    source = Path(load_network.__code__.co_filename).parent / "networks"

    def write(file: str, old: str, new: str) -> str:
        for path in source.glob("braess_*.tntp"):
            text = path.read_text()
            if path.stem == f"braess_{file}":
                assert old in text
                text = text.replace(old, new, 1)
            (tmp_path / path.name.replace("braess", "town")).write_text(text)
        return str(tmp_path / "town")

    return write


@pytest.mark.parametrize(("name", "near"), [("brass", "braess"), ("gird", "grid")])
def test_an_unknown_network_shows_the_nearest(name: str, near: str) -> None:
    with pytest.raises(DataError, match=f"unknown network '{name}': did you mean '{near}'"):
        built(network=name)


FAULTS: dict[str, tuple[str, str, str, str]] = {
    "no capacity": ("net", "3 4 2 1 10", "3 4 0 1 10", r"town_net\.tntp:15: link 3 to 4 has capacity 0, expected"),
    "a loop": ("net", "3 4 2 1 10", "3 3 2 1 10", r"town_net\.tntp:15: link 3 to 3 leads from a node to itself"),
    "a wrong count": ("net", "LINKS> 5", "LINKS> 6", r"town_net\.tntp:4: <NUMBER OF LINKS> is 6, found 5 rows"),
    "negative demand": (
        "trips",
        "FLOW> 6\n<END OF METADATA>\nOrigin 1\n2 : 6",
        "FLOW> -6\n<END OF METADATA>\nOrigin 1\n2 : -6",
        r"town_trips\.tntp:5: demand: found .-6., expected a number from 0",
    ),
    "no number": ("trips", "2 : 6", "2 : nan", r"town_trips\.tntp:5: .*nan"),
    "unreachable": ("trips", "Origin 1\n2 :", "Origin 2\n1 :", r"town_trips\.tntp:5: no route leads along pair 2 to 1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_network_that_cannot_be_is_refused_with_its_line(town: Callable[[str, str, str], str], fault: str) -> None:
    file, old, new, message = FAULTS[fault]
    with pytest.raises(DataError, match=message):
        built(network=town(file, old, new))


def test_pairs_with_fewer_routes_leave_slots_empty() -> None:
    instance = built(network="grid", routes=9)
    exists = instance.routes.exists
    assert exists.shape[1] <= 9 and (exists.sum(1) == 1).any() and not exists.all()
    assert (instance.first[~exists] == 0).all() and np.isfinite(instance.start).all()
    for of in (instance.scales.route_time, instance.scales.route_marginal):
        assert (of[0][~exists] == 0).all() and (of[1][~exists] == 1).all()
    for least in (1, 2):
        assert built(network="grid", routes=least).routes.exists.shape[1] == least


def test_one_route_leaves_nothing_to_decide() -> None:
    instance = built(routes=1)
    assert instance.routes.links.tolist() == [BRAESS_ROUTES[:1]] and instance.first.tolist() == [[1]]


@pytest.mark.parametrize("per_pair", [1, 4])
def test_first_splits_of_braess(per_pair: int) -> None:
    expected = {"shortest": [1, 0, 0], "user-equilibrium": [1 / 3] * 3, "system-optimum": [0, 0.5, 0.5]}
    for start, split in expected.items():
        found = built(start=start, agents_per_pair=per_pair, **STATIC)
        np.testing.assert_allclose(found.first, [split] * per_pair, atol=1e-4)
        np.testing.assert_allclose(np.exp(found.start), np.maximum([split] * per_pair, 1e-4), atol=1e-4)


def test_first_splits_are_those_of_the_mean_of_the_day() -> None:
    usual = built(horizon=7).profile.mean()
    level = built(horizon=1, demand={"profile": "flat", "scale": usual}).first
    np.testing.assert_allclose(built(horizon=7).first, level, atol=1e-6)


def test_agents_of_a_pair_share_it_alike() -> None:
    assert built(agents_per_pair=3).by_agent(np.array([[6.0], [9.0]])).tolist() == [[2] * 3, [3] * 3]
    grid = built(network="grid", agents_per_pair=2)
    np.testing.assert_allclose(grid.by_agent(grid.network.demand).reshape(-1, 2).sum(1), grid.network.demand)
    assert grid.num_agents == 280 and grid.first.shape[0] == 280


def test_scales_are_means_and_deviations_at_the_optimum() -> None:
    instance = built(**STATIC)
    roads, flow = instance.roads(CPU, torch.float64), torch.tensor([[3.0, 3, 3, 0, 3]]).double()
    for found, price in ((instance.scales.route_time, link_time), (instance.scales.route_marginal, marginal)):
        expected = roads.incidence.cost(price(roads.links, flow))[0].numpy()
        np.testing.assert_allclose(found[0], expected, rtol=1e-3)
        np.testing.assert_allclose(found[1], STEADY * expected, rtol=1e-3)  # nothing varies
    np.testing.assert_allclose(instance.scales.demand, [6.0])
    assert instance.scales.noise == STEADY and built(demand={"noise": 0.3}).scales.noise == 0.3


def test_scales_are_positive_and_do_not_depend_on_the_seed_much() -> None:
    one, other = (built(network="grid", seed=seed, queues=False).scales for seed in (0, 1))
    for name in ("route_time", "route_marginal", "congestion"):
        a, b = getattr(one, name), getattr(other, name)
        assert np.isfinite(a).all() and (a[1] > 0).all() and not np.array_equal(a, b)
        np.testing.assert_allclose(a[0], b[0], rtol=0.1)


def test_the_seed_decides_scales() -> None:
    first, again, other = (build(settings(seed=seed)).scales.congestion for seed in (0, 0, 3))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_notes_say_what_was_made() -> None:
    assert built().notes == (
        "braess: 1 pairs, 5 links, 6 vehicles",
        "up to 3 routes a pair, 3.0 on average, 0 pairs have one",
        built().notes[2],
        "vehicles queue; a period is an hour, 60 of the network's units of time (time_unit)",
    )
    assert re.fullmatch(r"optimum and .* at most [\de.-]+ % above those on all routes", built().notes[2])
    assert built(queues=False).notes[3] == "periods are static problems"


@pytest.fixture
def quiet(tmp_path: Path) -> str:
    """A copy of the grid with an eighth of its demand."""
    source = Path(load_network.__code__.co_filename).parent / "networks"
    for path in source.glob("grid_*.tntp"):
        text = path.read_text()
        if path.stem == "grid_trips":
            text = re.sub(r"(?<=[:>] )[\d.]+(?=;|\n<END)", lambda found: str(float(found[0]) / 8), text)
        (tmp_path / path.name.replace("grid", "quiet")).write_text(text)
    return str(tmp_path / "quiet")


def test_demand_is_the_same_whether_the_file_or_the_settings_say_so(quiet: str) -> None:
    scaled, plain = built(network=quiet, demand={"scale": 8.0}), built(network="grid")
    np.testing.assert_allclose(scaled.network.demand, plain.network.demand, rtol=1e-12)
    np.testing.assert_array_equal(scaled.routes.links, plain.routes.links)


@pytest.mark.parametrize("scale", [4.0, 16.0, 40.0])
def test_routes_are_made_for_the_demand_that_they_carry(quiet: str, scale: float) -> None:
    instance = built(network=quiet, demand={"scale": scale})
    most = instance.network.scaled(demand=float(instance.profile.max()))
    demand = torch.from_numpy(instance.by_agent(np.array(most.demand)))[None]
    roads = instance.roads(CPU, torch.float64)
    splits = roads.assigned(SYSTEM_OPTIMUM, demand, roads.links.capacity[None])
    lowest, highest = frank_wolfe(most, 1e-3)
    assert lowest <= float(total_time(roads.links, roads.flow(splits, demand))) <= 1.001 * highest


def test_too_few_routes_are_told() -> None:
    few = built(network="grid", routes=3, demand={"scale": 5.0}).notes[2]
    assert re.search(r"at most \S+ % above those on all routes, expected 0\.1 %: set routes to more than 3", few)
    one = built(network="grid", routes=1).notes[2]
    assert "many times that on all routes, expected 0.1 %: set routes to more than 1" in one


def test_an_evaluation_acts_on_the_routes_of_the_training_and_says_how_fit_they_are() -> None:
    wished = {"demand": {"scale": 4.0}}
    trained, alone = (built(network="grid", **x) for x in ({}, wished))
    instance = build(evaluated({"network": "grid"}, {"network": "grid"} | wished))
    np.testing.assert_array_equal(instance.routes.links, trained.routes.links)
    assert not np.array_equal(instance.routes.links, alone.routes.links)
    assert "they are the routes of the training; train with these settings" in instance.notes[2]


def test_queues_on_capacities_that_mean_nothing_are_refused(data_file: Callable[[str], Path]) -> None:
    braess = str(data_file("tntp") / "Braess")  # capacities are 1, flows up to 4
    reason = (
        r"^queues = True: Braess has capacities of 1 or less on 5 of the 5 links .*: set queues=false, or standard_b"
    )
    with pytest.raises(ConfigError, match=reason):
        built(network=braess)
    assert "flow over capacity means nothing" in built(network=braess, queues=False).notes[-1]
    assert not built(network=braess, standard_b=0.15, queues=False).meaningless


def evaluated(trained: dict[str, Any], wished: dict[str, Any]) -> Config:
    """Settings in which a policy that was trained in others is evaluated."""
    return domain.transfer(settings(**trained), settings(**wished))


def test_an_evaluation_keeps_first_splits_and_scales_of_the_training() -> None:
    trained, wished = {"start": "system-optimum"}, {"demand": {"scale": 1.5}, "horizon": 6, "queues": False}
    instance, first, alone = build(evaluated(trained, wished)), built(**trained), built(**wished)
    assert instance.first is first.first and instance.scales is first.scales
    assert not np.allclose(instance.first, alone.first)
    np.testing.assert_array_equal(instance.profile, alone.profile)
    np.testing.assert_array_equal(instance.network.demand, alone.network.demand)
    assert instance.notes[:2] == alone.notes[:2]


def test_an_evaluation_of_an_evaluation_keeps_the_training() -> None:
    once = evaluated({}, {"horizon": 6})
    again = domain.transfer(once, settings(horizon=9))
    assert once.trained == again.trained == settings() and again.horizon == 9


@pytest.mark.parametrize("change", [{"network": "grid"}, {"routes": 2}, {"agents_per_pair": 2}])
def test_nothing_is_kept_from_a_training_of_other_agents(change: dict[str, Any]) -> None:
    assert evaluated({}, change) == settings(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "grid"}, r"^trained\.network = 'grid', expected 'braess': a policy acts for the pairs and routes"),
        ({"routes": 2}, r"^trained\.routes = 2, expected 6: "),
        ({"agents_per_pair": 2}, r"^trained\.agents_per_pair = 2, expected 1: "),
    ],
)
def test_a_training_of_other_agents_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(trained=settings(**change).model_dump())


def test_the_domain_makes_parts_that_fit() -> None:
    config = settings(agents_per_pair=3)
    env = domain.make_env(config, 2, CPU, 0)
    context = env.reset().context
    mapping = domain.agent_mapping(config)
    state = mapping.state(torch.full((2, 3, 3), 1 / 3), context)
    assert isinstance(mapping, FlowMapping) and state.shape == (2, 5, 5)
    assert domain.analytical_model(config).potential(state, context).shape == (2,)
    assert domain.describe(config) == build(config).notes
    assert [rule.name for rule in domain.baselines(config)][-1] == "system-optimum"
    assert domain.training("dg-pg") == TUNED
    descent = domain.training("mirror-descent")["train"]  # a rate for a handful of numbers, the rest as for dg-pg
    assert descent == TUNED["train"] | {"actor_lr": 0.03}
    assert all(domain.training(name) == SAMPLED for name in ("mappo", "ippo", "ippo-local"))


def test_a_link_that_lets_nobody_through_is_named() -> None:
    """Of braess in travel two links have a free-flow time of 1e-8: waiting there cost 5e12."""
    with pytest.raises(ConfigError, match=r"link 1 to 3 has no capacity to speak of: \S+ want to pass .* queues=false"):
        built(standard_b=0.15)
    assert built(standard_b=0.15, queues=False).network.num_links == 5
    assert built(network="grid", demand={"scale": 5.0}).network.num_links > 5
