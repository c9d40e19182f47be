"""Every setting of the trainer and of every domain at values that nobody means: a configuration or one refusal."""

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from dgpg.checks.fields import Leaf, leaves, nest
from dgpg.domain import validate
from dgpg.errors import ConfigError
from dgpg.learning import ChannelConfig, RunConfig

from ..commands import TINY, refused

RUN = {"domain": "cloud", "algorithm": "dg-pg"}
MODELS = {point.name: point.load().Config for point in entry_points(group="dgpg.domains") if point.name in
          ("cloud", "power", "traffic")} | {"run": RunConfig, "channel": ChannelConfig}  # fmt: skip
STRANGE = [0, -1, 1e-320, 1e308, -1e308, 10**22, 10**400, float("nan"), float("inf"), True, False, None, "x", "",
           " ", [], {}, [True], [[]], {"a": 1}]  # fmt: skip
SETTINGS = [(name, leaf) for name, model in MODELS.items() for leaf in leaves(model)]


def accepted(name: str, leaf: Leaf, value: Any) -> bool:
    """Whether a setting takes a value; it must say no by its name, in one line."""
    try:
        validate(MODELS[name], (RUN if name == "run" else {}) | nest(leaf.path, value), "")
    except ConfigError as error:
        assert leaf.path[0] in str(error) and len(str(error)) < 1000
        return False
    return True


@pytest.mark.parametrize(("name", "leaf"), SETTINGS, ids=[f"{name}.{leaf.name}" for name, leaf in SETTINGS])
def test_a_strange_value_is_taken_or_refused_by_name(name: str, leaf: Leaf) -> None:
    taken = [value for value in STRANGE if accepted(name, leaf, value)]
    if leaf.number:
        assert not any(isinstance(value, bool | str | list | dict) for value in taken)
        assert leaf.path[-1] in ("actor_lr", "critic_lr") or all(abs(value or 0) <= 1e9 for value in taken)


@pytest.mark.parametrize("setting", ["num_agents", "workload.load", "train.epochs", "coordination.rounds"])
def test_true_is_no_number_on_the_command_line(setting: str) -> None:
    assert f"{setting} = True: expected what the setting is, not true or false" in refused(
        "train", "cloud", "--set", f"{setting}=true"
    )


@pytest.mark.parametrize(
    "content",
    ['{"num_envs": 3, "num_envs": 3}', '{"settings": {"horizon": 4, "horizon": 5}}', '{"train": {}, "train": {}}'],
)
def test_a_name_that_is_twice_in_a_file(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    message = refused("train", "cloud", "--config", tmp_path / "a.json")
    assert "a.json: '" in message and "is there twice in one table" in message


def test_a_setting_that_is_given_twice_is_told(in_a_folder_of_its_own: None) -> None:
    message = refused("train", "cloud", *TINY, "--set", "num_agents=5", "--set", "train.clp=1")
    assert "note: --set num_agents is given as 4 and as 5: the last counts" in message
    assert "given" not in refused("train", "cloud", *TINY, "--set", "num_agents=4", "--set", "train.clp=1")
    assert "'a' is there twice" in refused("train", "cloud", "--set", 'workload={"a": 1, "a": 2}')


@pytest.mark.parametrize("name", ["c.yaml", "c.yml", "c.txt"])
def test_a_configuration_file_of_another_kind(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(json.dumps({}))
    assert f"{name}: expected JSON or TOML" in refused("train", "cloud", "--config", tmp_path / name)


def test_a_configuration_file_of_another_domain(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"domain": "power"}')
    assert "a.json is of domain 'power', not 'cloud'" in refused("train", "cloud", "--config", tmp_path / "a.json")
