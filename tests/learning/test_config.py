"""Settings: what is accepted, and what an error tells."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from dgpg.domain import Settings, merge, validate
from dgpg.errors import ConfigError
from dgpg.learning import AlphaSchedule, RunConfig, TrainConfig
from dgpg.runs.overrides import parse_overrides, read_file

RUN = {"domain": "toy", "algorithm": "mappo"}


def refused(model: Any, values: dict[str, Any], where: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        validate(model, values, where)
    return str(caught.value)


@pytest.mark.parametrize(
    ("pairs", "tree"),
    [
        ([], {}),
        (["seed=3"], {"seed": 3}),
        (["train.alpha.end=0", "train.clip=1e-1"], {"train": {"alpha": {"end": 0}, "clip": 0.1}}),
        (["a.b=1", "a.c=x", "a.b=2"], {"a": {"b": 2, "c": "x"}}),
        (["a=true", "b=null", 'c="7"', "d=[1, 2]"], {"a": True, "b": None, "c": "7", "d": [1, 2]}),
        (["path=a=b", "empty=", "word=True"], {"path": "a=b", "empty": "", "word": "True"}),
        (['a={"b": 1}', "a.c=2"], {"a": {"b": 1, "c": 2}}),
        (["a.b=1", "a=2"], {"a": 2}),
    ],
)
def test_overrides(pairs: list[str], tree: dict[str, Any]) -> None:
    assert parse_overrides(pairs) == tree


@pytest.mark.parametrize("pair", ["seed", "=3", "train.=3", ".x=3", "a..b=1", ""])
def test_an_override_without_path_or_value_is_shown(pair: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_overrides([pair])
    assert f"--set {pair}" in str(caught.value) and "path.to.field=value" in str(caught.value)


trees = st.recursive(st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=8)
tables = st.dictionaries(st.sampled_from("abc"), trees)


@given(tables, tables, tables)
def test_merging_is_associative_and_changes_nothing_given(one: dict, two: dict, three: dict) -> None:
    before = json.dumps([one, two, three])
    assert merge(merge(one, two), three) == merge(one, merge(two, three)) or _replaces_a_table(two, three)
    assert merge(one, {}) == one and merge({}, one) == one and merge(one, one) == one
    assert json.dumps([one, two, three]) == before


def _replaces_a_table(two: Any, three: Any) -> bool:
    """A number in between two tables hides the first: then the order of merging counts."""
    if isinstance(three, dict) and not isinstance(two, dict):
        return True
    if isinstance(two, dict) and isinstance(three, dict):
        return any(_replaces_a_table(two[key], three[key]) for key in two.keys() & three.keys())
    return False


def test_merge_by_hand() -> None:
    base = {"a": {"x": 1, "y": 2}, "b": 3}
    assert merge(base, {"a": {"y": 5}, "b": {"z": 1}}) == {"a": {"x": 1, "y": 5}, "b": {"z": 1}}
    assert base == {"a": {"x": 1, "y": 2}, "b": 3}


def test_an_unknown_setting_shows_the_nearest() -> None:
    message = refused(RunConfig, RUN | {"iteration": 5})
    assert message.startswith("unknown setting 'iteration': did you mean 'iterations'? Valid here: ")
    assert "num_envs" in message


def test_an_unknown_setting_in_a_table_within_a_table() -> None:
    message = refused(RunConfig, RUN | {"train": {"alpha": {"strat": 1}}})
    assert message == "unknown setting 'train.alpha.strat': did you mean 'start'? Valid here: end, start"


def test_an_unknown_setting_like_none_other() -> None:
    assert "did you mean" not in refused(AlphaSchedule, {"zzz": 1})


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"train": {"alpha": {"start": 1.5}}}, ["train.alpha.start", "1.5", "less than or equal to 1"]),
        ({"train": {"gamma": float("nan")}}, ["train.gamma", "finite"]),
        ({"train": {"actor_lr": 0}}, ["train.actor_lr", "greater than 0"]),
        ({"train": {"normalise": "bach"}}, ["train.normalise", "'bach'", "'batch'"]),
        ({"train": {"minibatches": 0}}, ["train.minibatches", "0"]),
        ({"num_envs": "many"}, ["num_envs", "'many'", "integer"]),
        ({"seed": 2**48}, ["seed"]),
        ({"seed": -1}, ["seed"]),
        ({"device": "tpu"}, ["device", "'cpu'"]),
        ({"train": 5}, ["train"]),
    ],
)
def test_a_value_out_of_range_names_field_value_and_range(values: dict[str, Any], parts: list[str]) -> None:
    message = refused(RunConfig, RUN | values)
    for part in parts:
        assert part in message


def test_every_error_is_told_at_once_and_where() -> None:
    message = refused(TrainConfig, {"epochs": 0, "gama": 1, "clip": "wide"}, "train")
    lines = message.splitlines()
    assert len(lines) == 3
    assert any(line.startswith("train.epochs = 0: ") for line in lines)
    assert any(line.startswith("unknown setting 'train.gama': did you mean 'gamma'?") for line in lines)
    assert any(line.startswith("train.clip = 'wide': ") for line in lines)


def test_a_missing_setting_is_named() -> None:
    assert refused(RunConfig, {"algorithm": "mappo"}) == "domain: required, and has no default"


def test_defaults_are_valid_and_frozen() -> None:
    config = validate(RunConfig, RUN, "")
    assert config == RunConfig.model_validate_json(config.model_dump_json())
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("iteration", "iterations", "alpha"), [(0, 5, 0.9), (2, 5, 0.5), (4, 5, 0.1), (0, 1, 0.9), (1, 3, 0.5)]
)
def test_alpha_by_hand(iteration: int, iterations: int, alpha: float) -> None:
    assert AlphaSchedule(start=0.9, end=0.1).at(iteration, iterations) == pytest.approx(alpha)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 100))
def test_alpha_starts_at_start_ends_at_end_and_stays_between(start: float, end: float, iterations: int) -> None:
    schedule = AlphaSchedule(start=start, end=end)
    values = [schedule.at(i, iterations) for i in range(iterations)]
    assert values[0] == start
    assert all(min(start, end) - 1e-12 <= alpha <= max(start, end) + 1e-12 for alpha in values)
    if iterations > 1:
        assert values[-1] == pytest.approx(end, abs=1e-12)


@given(st.floats(0, 1), st.integers(2, 100))
def test_alpha_ends_at_exactly_zero(start: float, iterations: int) -> None:
    assert AlphaSchedule(start=start, end=0).at(iterations - 1, iterations) == 0


def test_read_json_and_toml(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"seed": 3, "train": {"clip": 0.1}}')
    (tmp_path / "a.toml").write_text("seed = 3\n[train]\nclip = 0.1\n")
    assert read_file(tmp_path / "a.json") == read_file(tmp_path / "a.toml") == {"seed": 3, "train": {"clip": 0.1}}


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("gone.json", None, "cannot be read"),
        ("bad.json", b"{", "not valid .json"),
        ("bad.toml", b"= 3", "not valid .toml"),
        ("list.json", b"[1]", "expected a table"),
        ("binary.json", b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, name: str, content: bytes | None, part: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_file(tmp_path / name)
    assert name in str(caught.value) and part in str(caught.value)


class Table(Settings):
    size: int = 1


class Nested(Settings):
    maybe: Table | None = None
    several: tuple[Table, ...] = ()
    named: dict[str, Table] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"maybe": {"sise": 1}}, "maybe.sise"),
        ({"several": [{"sise": 1}]}, "several.sise"),
        ({"named": {"k": {"sise": 1}}}, "named.k.sise"),
    ],
)
def test_an_unknown_setting_in_an_optional_or_repeated_table(values: dict[str, Any], name: str) -> None:
    message = refused(Nested, values)
    assert message.startswith(f"unknown setting '{name}'")
    assert message.endswith("did you mean 'size'? Valid here: size")


@pytest.mark.parametrize(
    ("value_given", "such"),
    [("AB", '["AB"]'), ("AB_0, BC", '["AB_0", "BC"]'), ("rue d'Arc", '["rue d\'Arc"]'), (3, "[3]")],
)
def test_a_word_for_a_list_is_told_how_a_list_is_written(value_given: Any, such: str) -> None:
    class Town(Settings):
        closed: tuple[str, ...] = ()

    said = refused(Town, {"closed": value_given})
    assert said == f"closed = {value_given!r}: expected a list in brackets, such as {such}"
