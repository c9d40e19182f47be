"""Where a result goes is looked at before the work, words are shown as they were given, and a fault is told once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dgpg import checks
from dgpg.errors import ConfigError, DataError
from dgpg.showing.plain import plain

from .. import toy
from ..commands import TINY, dgpg, ok, refused

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")
WORDS = "[red]a:x:b[/]"


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["new", "reservoirs", "--dir", "file"], ["--dir file: file is not a folder"]),
        (["new", "reservoirs", "--dir", "file/below"], ["--dir file/below: file is not a folder"]),
        (["new", "reservoirs", "--dir", ""], ["'--dir'", "nothing is given"]),
        (["train", "cloud", "--out", ""], ["'--out'", "nothing is given"]),
        (["train", "cloud", "--config", " "], ["'--config'", "nothing is given"]),
        (["train", "cloud", "--resume", "--out", "run", "--device", "gpu"], ["--device gpu: expected auto, cpu"]),
        (["train", "power", "--set", "network="], ["network = '': nothing is given"]),
        (["train", "cloud", "--set", "workload.trace="], ["workload.trace = ''"]),
        (["train", "cloud", "--set", "workload=3"], ["workload = 3: expected a table of settings, such as workload."]),
        (["evaluate", ""], ["nothing is given"]),
        (["compare", "file", ""], ["nothing is given"]),
        (["evaluate", "file", "--set", "iterations=3"], ["file: no such run folder"]),
        (["calibrate", "power", "--data", "x", "--out", "none/x.m"], ["--out none/x.m: there is no folder none"]),
        (["calibrate", "power", "--data", "x", "--out", "file/x.m"], ["--out file: file is not a folder"]),
        (["calibrate", "power", "--data", "x", "--out", "."], ["--out .: is a folder"]),
        (["check", "power", "--set", "network=none.m"], ["none.m: no such file"]),
        (["check", "traffic", "--set", "network=none/net"], ["none/net"]),
        (["check", "cloud", "--set", "workload.trace=none.swf"], ["none.swf: no such file"]),
        (["check", "cloud", "--seed", "12345678901234567890"], ["--seed", "less than or equal"]),
        (["evaluate", "run", "--seed", "12345678901234567890"], ["--seed", "less than or equal"]),
        (["train", "power", "--set", "load.scale=0.01"], ["units that give at least", "raise load.scale"]),
        (["train", "power", "--set", "limit_scale=0.01"], ["within the line limits", "raise limit_scale"]),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message_that_names_it(args: list[str], parts: list[str]) -> None:
    Path("file").write_text("")
    result = dgpg(*args)
    said = " ".join(result.err.replace("│", " ").split())
    assert result.code != 0 and result.out == ""
    for part in parts:
        assert part in said
    assert [path.name for path in Path().iterdir()] == ["file"]


@pytest.mark.parametrize(
    "args",
    [
        ["train", "cloud", "--config", WORDS],
        ["train", "cloud", "--set", f"workload.trace={WORDS}"],
        ["train", "cloud", "--set", f"preset={WORDS}"],
        ["train", WORDS],
        ["train", "--resume", "--out", WORDS],
        ["evaluate", WORDS],
        ["compare", WORDS, WORDS],
        ["check", "cloud", "--model", WORDS],
        ["calibrate", "power", "--data", WORDS],
        ["new", "--dir", f"file/{WORDS}", "reservoirs"],
    ],
)
def test_words_that_look_like_markup_are_shown_as_they_are(args: list[str]) -> None:
    Path("file").write_text("")
    assert WORDS in refused(*args)


def test_a_path_that_looks_like_markup_is_shown_as_it_is_everywhere() -> None:
    said = ok("train", "cloud", *TINY, "--iterations", 1, "--out", WORDS).out
    assert f"in {WORDS}" in said and f"next: dgpg evaluate {WORDS}" in said
    assert f"figure: {WORDS}/evaluation.svg" in ok("evaluate", WORDS, "--episodes", 1).out


def test_tables_show_words_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    table = Table(WORDS, title=WORDS)
    table.add_row(WORDS)
    plain(width=80).print(table)
    assert capsys.readouterr().out.count(WORDS) == 3


def test_settings_that_cannot_be_built_are_one_refusal_and_a_fault_of_the_plugin_is_not() -> None:
    with pytest.raises(DataError, match=r"none\.m: no such file"):
        checks.subject("power", {"network": "none.m"})
    with pytest.raises(ConfigError, match="seed = "):
        checks.subject(toy.Domain(), seed=10**20)
    assert checks.subject(NoStates(), {"horizon": 3}).config.horizon == 3


class NoStates(toy.Domain):
    """A domain whose environments cannot be saved."""

    def make_env(self, *args: Any, **named: Any) -> Any:
        env = super().make_env(*args, **named)

        def state_dict() -> Any:
            raise NotImplementedError("later")

        env.state_dict = state_dict  # type: ignore[method-assign]
        return env


def test_one_fault_is_told_once() -> None:
    subject = replace(checks.subject(NoStates()), name=None)
    failed = [outcome for outcome in checks.run(subject) if outcome.status == "fail"]
    told = [outcome.message for outcome in failed if "NotImplementedError: later" in outcome.message]
    first = next(outcome.name for outcome in failed if outcome.message == told[0])
    assert len(told) == 1 and sum(outcome.message == f"the same as {first} above" for outcome in failed) > 3
