"""Pictures of a fleet beside people: what they hold, by hand, and that they are drawn the same each time."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from dgpg.domain import Policy, SupportsFigures
from dgpg.errors import ConfigError
from dgpg_traffic.sumo import figures
from dgpg_traffic.sumo.config import Config
from dgpg_traffic.sumo.day import Outcome
from dgpg_traffic.sumo.domain import domain
from dgpg_traffic.sumo.figures import Played, by_part, lost
from dgpg_traffic.sumo.instance import build


@pytest.fixture
def config(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(figures, "DAYS", 2)
    return Config.model_validate(settings)


def rules(config: Config, *names: str) -> dict[str, Policy]:
    return {name: rule for name in names for rule in domain.baselines(config) if rule.name == name}


def test_minutes_lost_on_an_edge_are_those_over_the_time_without_traffic(config: Config) -> None:
    instance = build(config)
    passed = instance.network.free_time[instance.days.edges[:, 0]]
    first = instance.network.number["oa"]
    slow = passed.copy()
    slow[:3, 0] += 20.0  # three drivers lose 20 s on the first edge, on one of two days
    slow[3, 1:] = np.nan  # one never leaves it
    choice = np.zeros((2, 12), np.int64)
    days = tuple(Outcome(np.ones(12), np.ones(12, bool), times, {}) for times in (passed, slow))
    found = lost(instance, Played(choice, days))
    assert found[first] == pytest.approx(3 * 20 / 60 / 2) and found.sum() == pytest.approx(found[first])


def test_parts_of_the_day_hold_the_fleet_in_the_order_that_it_leaves(config: Config, monkeypatch: Any) -> None:
    monkeypatch.setattr(figures, "PARTS", 2)
    instance = build(config)
    minutes = np.arange(12.0)
    found = by_part(instance, Played(np.zeros((1, 12), np.int64), (Outcome(minutes, np.ones(12, bool), minutes, {}),)))
    fleet = instance.fleet
    np.testing.assert_allclose(found, [[fleet[:3].mean(), fleet[3:].mean()]])


def test_pictures_are_valid_and_the_same_each_time(config: Config, tmp_path: Path) -> None:
    assert isinstance(domain, SupportsFigures)
    shown = rules(config, "random", "human", "aon", "best-response")
    drawn = domain.figures(config, shown, tmp_path, 0)
    assert [path.name for path in drawn] == ["edges.svg", "day.svg"]
    texts = [path.read_bytes() for path in drawn]
    for text in texts:
        ElementTree.fromstring(text)
    again = domain.figures(config, shown, tmp_path, 0)
    assert [path.read_bytes() for path in again] == texts
    with pytest.raises(ConfigError, match="expected the policy to draw first and human to hold it against"):
        domain.figures(config, rules(config, "random"), tmp_path, 0)
