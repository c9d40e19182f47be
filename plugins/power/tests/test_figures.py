"""Figures of a policy beside the optimum: what they show, and that they show it the same each time."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from dgpg.domain import Policy, SupportsFigures
from dgpg.errors import ConfigError, DataError
from dgpg.measuring import play
from dgpg.showing import style
from dgpg_power.config import Config
from dgpg_power.data.coordinates import coordinates
from dgpg_power.domain import domain
from dgpg_power.figures import lines, prices, topology, units
from dgpg_power.judge.replay import Replay, moments, replay

from .made import CPU, built


def config(**values: Any) -> Config:
    return Config.model_validate({"network": "case9", "horizon": 6} | values)


def rules(config: Config) -> dict[str, Policy]:
    return {rule.name: rule for rule in domain.baselines(config)}


def test_a_replay_meets_the_episodes_of_an_evaluation() -> None:
    settings = config()
    rule = rules(settings)["last-opf"]
    shown = replay(settings, rule, 3, seed=5)
    network = built().network
    found = play(domain, settings, rule, 3, 5, CPU)
    assert shown.cost.mean(0) / network.num_units == pytest.approx(found.cost, rel=1e-6)
    assert shown.output.shape == (6, 3, network.num_units) and shown.flow.shape == (6, 3, network.num_lines)
    missing = np.abs(shown.demand - shown.output.sum(-1)).mean(0)
    assert missing == pytest.approx(found.measures["imbalance_mw"], abs=1e-3)
    over = np.maximum(np.abs(shown.flow) - network.flow_max, 0).sum(-1).mean(0)
    assert over == pytest.approx(found.measures["overload_mw"], abs=1e-3)


def test_the_domain_draws_valid_svg_the_same_bytes_each_time(tmp_path: Path) -> None:
    assert isinstance(domain, SupportsFigures)
    settings, made = config(limit_scale=0.45), []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(domain.figures(settings, rules(settings), tmp_path / name, 1))
    names = ["dispatch.svg", "line_loading.svg", "overload.svg", "prices.svg", "map.svg", "lines_day.moving.json"]
    assert [path.name for path in made[0]] == names
    for one, two in zip(*made, strict=True):
        assert one.read_bytes() == two.read_bytes()
        if one.suffix == ".svg":
            assert ET.parse(one).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert len(json.loads(made[0][-1].read_text())["frames"]) == settings.horizon


def test_lines_far_from_their_limits_are_not_drawn(tmp_path: Path) -> None:
    settings = config(limit_scale=10)
    names = [path.name for path in domain.figures(settings, rules(settings), tmp_path, 1)]
    assert names == ["dispatch.svg", "prices.svg", "map.svg", "lines_day.moving.json"]


@pytest.mark.parametrize("names", [[], ["merit-order"], ["dc-opf"], ["dc-opf", "merit-order"]])
def test_a_policy_and_the_optimum_are_needed(tmp_path: Path, names: list[str]) -> None:
    settings = config()
    with pytest.raises(ConfigError, match="expected the policy to draw first and dc-opf"):
        domain.figures(settings, {name: rules(settings)[name] for name in names}, tmp_path, 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("network", "count"), [("case24-tight", 32), ("synthetic-102", 102), ("case9", 3)])
def test_every_unit_is_in_one_band_and_bands_rise_in_price(network: str, count: int) -> None:
    grid = built(network=network).network
    found = units.bands(grid)
    assert sorted(np.concatenate([band.units for band in found]).tolist()) == list(range(count))
    assert len(found) <= units.BANDS and len({band.label for band in found}) == len(found)
    prices = units.full_price(grid)
    for cheap, dear in pairwise(found):
        assert prices[cheap.units].max() <= prices[dear.units].min()


def test_wind_and_sun_have_bands_of_their_own() -> None:
    grid = built(network="case24-tight").network
    found = units.bands(replace(grid, unit_kind=("wind", "pv", "pv", *grid.unit_kind[3:])))
    assert [(band.label, band.units.tolist()) for band in found[:2]] == [
        ("wind, 1 unit", [0]),
        ("sun, 2 units", [1, 2]),
    ]


def test_lines_are_sorted_by_the_loading_of_the_optimum() -> None:
    grid = built().network
    grid = replace(grid, flow_max=np.array([*[100.0] * 8, np.inf]), flow_min=np.array([*[-100.0] * 8, -np.inf]))
    percent = np.array([40, 99, 60, 10, 80, 20, 45, 30, 1000.0])

    def steady(flow: np.ndarray) -> Replay:
        return Replay(np.ones((2, 1)), np.ones((2, 1, 3)), np.tile(flow, (2, 1, 1)), np.ones((2, 1)))

    policy = np.where(np.arange(9) == 7, -120.0, percent)
    shown = lines.loaded(grid, {"dg-pg": steady(policy), "dc-opf": steady(percent)})
    assert shown.tolist() == [1, 4, 2, 7]  # 7 by the policy alone; 8 has no limit
    assert lines.spread(grid, steady(policy))[:, 7] == pytest.approx(1.2)


def test_overloads_by_hand() -> None:
    grid = built().network
    grid = replace(grid, flow_max=np.full(9, 100.0), flow_min=np.full(9, -100.0))
    flow = np.zeros((2, 2, 9))
    flow[:, :, 3] = [[104.0, -108.0], [50.0, 100.5]]  # the last is 0.5 % over: no overload, and 0.5 MW
    flow[0, 0, 5] = 300.0
    shown = Replay(np.ones((2, 2)), np.ones((2, 2, 3)), flow, np.ones((2, 2)))
    mean, share = lines.overload(grid, shown)
    assert mean[[3, 5, 0]] == pytest.approx([12.5 / 4, 50.0, 0.0]) and share[[3, 5, 0]] == pytest.approx([0.5, 0.25, 0])
    none = replace(shown, flow=np.zeros((2, 2, 9)))
    assert lines.overloaded(grid, {"dg-pg": shown, "dc-opf": none}).tolist() == [5, 3]
    assert lines.overloaded(grid, {"dg-pg": none, "dc-opf": none}).size == 0


def test_a_unit_within_its_limits_costs_the_price_at_its_bus() -> None:
    """And where lines bind, prices differ between buses."""
    settings = config(network="case24-tight", horizon=4)
    network, rule = built(network="case24-tight").network, rules(settings)["dc-opf"]
    found, loads = prices.nodal(settings, rule, 2, 3)
    assert found.shape == loads.shape == (8, network.num_buses) and np.ptp(found, axis=1).max() > 1
    output = replay(settings, rule, 2, 3).output.reshape(8, -1)
    limits = [decision.context for decision, _ in moments(settings, rule, 2, 3)]
    low, high = (np.concatenate([said[name].numpy() for said in limits]) for name in ("low", "high"))
    inside = (output > low + 1) & (output < high - 1)
    slope = (network.cost(output + 0.01) - network.cost(output - 0.01)) / 0.02
    kinked = (np.abs(output[..., None] - network.kink) < 1).any(-1)
    told = inside & ~kinked
    assert told.sum() > 8
    assert found[:, network.unit_bus][told] == pytest.approx(slope[told], rel=2e-3, abs=0.02)


def test_a_duration_curve_by_hand() -> None:
    share, value = prices.falling(np.array([3.0, 9.0]))
    assert share.tolist() == [0, 50, 50, 100] and value.tolist() == [9, 9, 3, 3]


def test_coordinates_are_read_beside_the_case(tmp_path: Path) -> None:
    network, case = built().network, tmp_path / "grid.m"
    assert np.isnan(coordinates(network, str(case))).all() and np.isnan(coordinates(network, "case9")).all()
    rows = [f"{one},60,{10 + k}" for k, one in enumerate(network.bus_number[:-1])]
    (tmp_path / "bus.csv").write_text("\n".join(["Bus ID,lat,lng", *rows]))
    place = coordinates(network, str(case))
    assert np.diff(place[:-1, 0]) == pytest.approx(0.5) and (place[:-1, 1] == 60).all() and np.isnan(place[-1]).all()
    (tmp_path / "bus.csv").write_text("name\nanything")
    assert np.isnan(coordinates(network, str(case))).all()
    (tmp_path / "bus.csv").write_text("Bus ID,lat,lng\n1,north,3")
    with pytest.raises(DataError, match=r"bus\.csv:2: lat"):
        coordinates(network, str(case))


def test_parallel_lines_lie_beside_each_other() -> None:
    grid = built().network
    twice = replace(grid, line_from=np.r_[0, 1, grid.line_from[2:]], line_to=np.r_[1, 0, grid.line_to[2:]])
    where = np.random.default_rng(0).uniform(size=(9, 2))
    drawn = topology.segments(twice, where)
    assert np.linalg.norm(drawn[0, 0] - drawn[1, 1]) == pytest.approx(topology.GAP)
    assert drawn[3] == pytest.approx(where[[twice.line_from[3], twice.line_to[3]]])


def test_a_line_beyond_its_limit_has_the_colour_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = []
    monkeypatch.setattr(topology, "save", lambda figure, path: figures.append(figure) or path)
    grid = replace(built().network, flow_max=np.full(9, 100.0), flow_min=np.full(9, -100.0))
    flow = np.full((1, 1, 9), 50.0)
    flow[..., 2] = 150
    shown = Replay(np.ones((1, 1)), np.ones((1, 1, 3)), flow, np.ones((1, 1)))
    topology.one_line(tmp_path / "map.svg", grid, np.full((9, 2), np.nan), {"dg-pg": shown, "dc-opf": shown})
    (figure,) = figures
    figure.draw_without_rendering()
    shades = figure.axes[0].collections[1].get_edgecolors()
    assert to_hex(shades[-1]) == style.VERMILION and style.VERMILION not in {to_hex(one) for one in shades[:-1]}
    assert "no coordinates" in figure._supxlabel.get_text()
