"""Rounds of intent from the command line: trained, measured under other messages, and mistakes."""

from pathlib import Path

import pytest

from dgpg.showing import evaluations

from ..commands import TINY, ok, refused

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own", "without_figures")


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests look at them, and drawing takes two thirds of an evaluation this small."""
    monkeypatch.setattr(evaluations, "_draw", lambda *parts: None)


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("rounds") / "run"
    ok("train", "cloud", *TINY, "--set", "coordination.rounds=2", "--out", run)
    return run


def cost(run: Path, *args: object) -> float:
    rows = ok("evaluate", run, "--episodes", 3, "--json", *args).json["results"]
    return next(row["cost"] for row in rows if row["kind"] == "policy" and row["mode"] == "stochastic")


def test_an_evaluation_says_who_hears_what(speaking: Path) -> None:
    rows = ok("evaluate", speaking, "--episodes", 2, "--json").json["results"]
    sees = {row["name"]: row["information"] for row in rows}
    assert sees["dg-pg"] == sees["untrained"] == sees["biggest-influence-first"] == "sums"
    assert sees["greedy-potential"] == "same" and sees["global-best-fit"] == "more"
    order = [row["information"] for row in rows if row["kind"] == "baseline"]
    assert order == sorted(order, key=["same", "sums", "more"].index)
    shown = ok("evaluate", speaking, "--episodes", 2).out
    assert "biggest-influence-first" in shown and "sums" in shown


def test_an_evaluation_under_other_messages(speaking: Path) -> None:
    usual = cost(speaking)
    assert cost(speaking, "--set", "coordination.rounds=2") == usual
    changed = [cost(speaking, "--set", f"coordination.{change}") for change in ("rounds=0", "rounds=5", "late=true")]
    changed += [cost(speaking, "--set", f"coordination.{change}") for change in ("deaf=1", "noise=0.5")]
    assert all(other != usual for other in changed)
    assert changed[0] == changed[3] == cost(speaking, "--set", "coordination.rounds=0")


def test_other_numbers_of_agents_hear_too(speaking: Path) -> None:
    assert cost(speaking, "--set", "num_agents=6") > 0


def test_a_run_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    asked = ["--set", "coordination.rounds=1", "--set", "coordination.detached=true"]
    ok("train", "cloud", *TINY, *asked, "--out", tmp_path / "whole")
    ok("train", "cloud", *TINY, *asked, "--out", tmp_path / "half", "--stop-after", 1)
    message = refused("train", "--resume", "--out", tmp_path / "half", "--set", "coordination.rounds=2")
    assert "--set coordination.rounds is 1, asked for 2" in message
    ok("train", "--resume", "--out", tmp_path / "half")
    told = refused("compare", tmp_path / "whole", tmp_path / "half", "--episodes", 2)
    assert "are the same run, weight for weight" in told


def test_a_comparison_says_who_hears(speaking: Path, tmp_path: Path) -> None:
    ok("train", "cloud", *TINY, "--out", tmp_path / "silent")
    compared = ok("compare", speaking, tmp_path / "silent", "--episodes", 2, "--json").json
    assert [one["rounds"] for one in compared["runs"]] == [2, 0] == [one["rounds"] for one in compared["groups"]]
    assert ok("compare", speaking, tmp_path / "silent", "--episodes", 2).out.count("dg-pg, R = 2") == 2


def test_mirror_descent_has_rounds_of_its_own(tmp_path: Path) -> None:
    ok("train", "cloud", *TINY, "--algorithm", "mirror-descent", "--out", tmp_path / "run")
    assert '"rounds": 3' in (tmp_path / "run" / "config.json").read_text()
    assert {"mirror-descent", "untrained"} <= {
        row["name"] for row in ok("evaluate", tmp_path / "run", "--episodes", 1, "--json").json["results"]
    }


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("coordination.rounds=-1", "coordination.rounds = -1: input should be greater than or equal to 0"),
        ("coordination.rouds=3", "unknown setting 'coordination.rouds': did you mean 'rounds'?"),
        ("coordination.noise=0.2", "unknown setting 'coordination.noise'"),
        ("coordination=3", "coordination = 3"),
    ],
)
def test_mistakes_of_training(setting: str, message: str, tmp_path: Path) -> None:
    assert message in refused("train", "cloud", *TINY, "--set", setting, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_mirror_descent_is_nothing_without_rounds(tmp_path: Path) -> None:
    args = ["--algorithm", "mirror-descent", "--set", "coordination.rounds=0", "--out", tmp_path / "run"]
    assert "mirror-descent is nothing but rounds; use at least 1" in refused("train", "cloud", *TINY, *args)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("coordination.deaf=2", "coordination.deaf = 2: input should be less than or equal to 1"),
        ("coordination.detached=true", "unknown setting 'coordination.detached'"),
        ("train.gamma=1", "--set train.*: an evaluation does not train"),
    ],
)
def test_mistakes_of_an_evaluation(setting: str, message: str, speaking: Path) -> None:
    assert message in refused("evaluate", speaking, "--set", setting)


def test_who_was_trained_without_rounds_cannot_hear(shared: Path) -> None:
    message = refused("evaluate", shared, "--set", "coordination.rounds=3")
    assert "trained without rounds" in message and "--set coordination.rounds=3" in message
    assert "--set coordination.*: a check does not train" in refused("check", "cloud", "--set", "coordination.rounds=3")
