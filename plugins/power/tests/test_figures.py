"""Figures of a policy beside the optimum: what they show, and that they show it the same each time."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgpg.domain import Policy, SupportsFigures
from dgpg.errors import ConfigError
from dgpg.measuring import play
from dgpg_power import figures
from dgpg_power.config import Config
from dgpg_power.domain import domain
from dgpg_power.judge.replay import Replay, replay

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
    settings, made = config(limit_scale=0.7), []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(domain.figures(settings, rules(settings), tmp_path / name, 1))
    assert [path.name for path in made[0]] == ["dispatch.svg", "line_loading.svg"]
    for one, two in zip(*made, strict=True):
        assert one.read_bytes() == two.read_bytes()
        assert ET.parse(one).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_lines_far_from_their_limits_are_not_drawn(tmp_path: Path) -> None:
    settings = config(limit_scale=10)
    assert [path.name for path in domain.figures(settings, rules(settings), tmp_path, 1)] == ["dispatch.svg"]


@pytest.mark.parametrize("names", [[], ["merit-order"], ["dc-opf"], ["dc-opf", "merit-order"]])
def test_a_policy_and_the_optimum_are_needed(tmp_path: Path, names: list[str]) -> None:
    settings = config()
    with pytest.raises(ConfigError, match="expected the policy to draw first and dc-opf"):
        domain.figures(settings, {name: rules(settings)[name] for name in names}, tmp_path, 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("network", "units"), [("case24-tight", 32), ("synthetic-102", 102), ("case9", 3)])
def test_every_unit_is_in_one_band_and_bands_rise_in_price(network: str, units: int) -> None:
    grid = built(network=network).network
    found = figures.bands(grid)
    assert sorted(np.concatenate([band.units for band in found]).tolist()) == list(range(units))
    assert len(found) <= figures.BANDS and len({band.label for band in found}) == len(found)
    prices = figures.full_price(grid)
    for cheap, dear in pairwise(found):
        assert prices[cheap.units].max() <= prices[dear.units].min()


def test_wind_and_sun_have_bands_of_their_own() -> None:
    grid = built(network="case24-tight").network
    found = figures.bands(replace(grid, unit_kind=("wind", "pv", "pv", *grid.unit_kind[3:])))
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
    lines = figures.loaded(grid, {"dg-pg": steady(policy), "dc-opf": steady(percent)})
    assert lines.tolist() == [1, 4, 2, 7]  # 7 by the policy alone; 8 has no limit
    assert figures.spread(grid, steady(policy))[:, 7] == pytest.approx(1.2)
