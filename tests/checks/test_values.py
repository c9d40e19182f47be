"""What the checks are made of: comparisons of records, the settings of a configuration, one subject."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any, Literal

import pytest
import torch
from pydantic import Field

from dgpg import checks, cli
from dgpg.checks import fields
from dgpg.checks.nested import copied, difference, flat, row
from dgpg.domain import Settings
from dgpg.errors import ConfigError, PluginError


class Table(Settings):
    share: float = Field(0.5, gt=0, le=1, description="a share")


class Config(Settings):
    size: int = Field(3, ge=1, description="a size")
    most: int | None = Field(None, ge=1, le=10**6, description="a limit")
    kind: Literal["a", "b"] = Field("a", description="a kind")
    on: bool = Field(True, description="a switch")
    names: tuple[str, ...] = Field((), description="names")
    table: Table = Table()


def leaf(name: str) -> fields.Leaf:
    return next(leaf for leaf in fields.leaves(Config) if leaf.name == name)


def test_leaves_are_the_settings_of_all_tables():
    assert [one.name for one in fields.leaves(Config)] == ["size", "most", "kind", "on", "names", "table.share"]
    assert fields.tables(Config) == [(), ("table",)]


def test_edges_are_the_bounds_and_just_inside_without_huge_ones():
    assert fields.edges(leaf("size")) == [-1, 0, 1, 2]
    assert fields.edges(leaf("most")) == [-1, 0, 1, 2]
    assert fields.edges(leaf("table.share")) == [-1, 0, 1, fields.NEAR, 1 - fields.NEAR]
    assert fields.edges(leaf("on")) == fields.edges(leaf("kind")) == []


@pytest.mark.parametrize("name", ["size", "most", "kind", "on", "names", "table.share"])
def test_a_wrong_value_is_wrong(name):
    one = leaf(name)
    with pytest.raises(ValueError, match=one.path[-1]):
        Config.model_validate(fields.nest(one.path, fields.wrong_value(one)))


def test_choices_are_those_of_literals_and_switches():
    assert leaf("kind").choices == ("a", "b") and leaf("on").choices == (False, True) and leaf("size").choices == ()


@pytest.mark.parametrize(
    "first, second, words",
    [
        ({"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([1.0, 3.0])}, "['a'][1]: 2 against 3"),
        ([1, {"b": 2}], [1, {"b": 3}], "[1]['b']: 2 against 3"),
        ({"a": 1}, {}, "['a'] is present in one"),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64), "float32 [2] against torch.float64 [2]"),
        (torch.tensor([torch.nan]), torch.tensor([0.0]), "[0]: nan against 0"),
    ],
)
def test_a_difference_says_where_and_what(first, second, words):
    assert words in str(difference(first, second))


def test_equal_records_have_no_difference():
    assert difference({"a": torch.tensor([torch.nan, torch.inf])}, {"a": torch.tensor([torch.nan, torch.inf])}) is None
    assert difference(torch.tensor([1000.0, 1e-3]), torch.tensor([1000.0, 0.0]), 1e-5) is None
    assert difference(torch.tensor([1.0, 1e-3]), torch.tensor([1.0, 0.0]), 1e-5)


def test_copies_and_rows_of_decisions(toy: ModuleType):
    decision = toy.Env(3).reset()
    copy = copied(decision)
    assert difference(decision, copy) is None and "observation.mask" in flat(copy)
    decision.context["prior"].add_(1)
    assert difference(decision, copy)
    assert row(decision, 2).observation.mask.shape == (1, 4, 3)


def test_a_subject_starts_from_the_small_instance(toy: ModuleType):
    assert checks.subject(toy.Domain()).config.horizon == 4
    assert checks.subject(toy.Domain(), {"horizon": 2}).config.horizon == 2
    with pytest.raises(ConfigError, match="horizn"):
        checks.subject(toy.Domain(), {"horizn": 2})
    with pytest.raises(PluginError, match="clod"):
        checks.subject("clod")


def test_each_check_is_usable_alone(toy: ModuleType):
    assert checks.determinism(checks.subject(toy.Domain())) is None


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr("sys.argv", ["dgpg", "check", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(checks, "CHECKS", tuple(check for check in checks.CHECKS if check.name in names))


def test_the_command_prints_every_check_and_its_reason(monkeypatch, capsys):
    only(monkeypatch, "api_version", "conservation")
    assert run(monkeypatch, "cloud", "--set", "num_agents=4", "--set", "candidates=3", "--set", "horizon=8") in (
        0,
        None,
    )
    shown = capsys.readouterr().out
    assert "pass  api_version" in shown and "skip  conservation: the model declares no" in shown
    assert "1 passed, 0 failed, 1 skipped" in shown
    assert "alignment: direction" in shown and "steps of cost\ndirection in states that others lead to: " in shown
    assert "\nfollowed without learning, on the same arrivals: " in shown and "even draws" in shown
    assert "\nthe model: " in shown


def test_the_model_is_measured_as_far_as_asked_for(monkeypatch, capsys):
    only(monkeypatch, "api_version")
    small = ("cloud", "--json", "--set", "num_agents=4", "--set", "candidates=3", "--set", "horizon=8")
    assert run(monkeypatch, *small, "--no-alignment") in (0, None)
    assert json.loads(capsys.readouterr().out)["alignment"] is None
    states = []
    for moments in (1, 2):
        assert run(monkeypatch, *small, "--moments", str(moments), "--lookahead", "1") in (0, None)
        found = json.loads(capsys.readouterr().out)["alignment"]
        assert found["lookahead"] == 1 and len(found["along"]) == 2 and found["alone"]["even"] > 0
        states.append(found["states"])
    assert states[1] == 2 * states[0]


def test_the_command_fails_with_a_failed_check_and_has_json(monkeypatch, capsys):
    only(monkeypatch, "api_version", "finite")
    monkeypatch.setattr("dgpg_cloud.domain.CloudDomain.api_version", 7)
    monkeypatch.setattr("dgpg.domain.registry._check_domain", lambda name, domain: None)
    assert run(monkeypatch, "cloud", "--json", "--set", "horizon=3", "--model", "fluid") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["domain"] == "cloud" and found["alignment"] is None
    assert [one["status"] for one in found["checks"]] == ["fail", "pass"]
    assert "got 7" in found["checks"][0]["message"]


def test_the_command_says_that_a_check_does_not_train(monkeypatch, capsys):
    assert run(monkeypatch, "cloud", "--set", "train.estimator=exact") == 1
    assert "--set train.*: a check does not train; only the domain's settings change" in capsys.readouterr().err


def test_the_commands_that_do_not_train_offer_no_settings_of_the_trainer(monkeypatch, capsys):
    assert run(monkeypatch, "--help") in (0, None)
    assert "train.x" not in capsys.readouterr().out
