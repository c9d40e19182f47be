"""Long work is told of on stderr, short work is not; numbers are not cut."""

import io
import time

import pytest
from rich.console import Console, Group

from dgpg.measuring import Difference
from dgpg.showing import waiting
from dgpg.showing.tables import against, finite, fitting


def test_long_work_says_what_it_found_and_what_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(waiting.PROGRESS)
    monkeypatch.setattr(waiting, "PAUSES", (0.05,))
    with waiting.waiting("opening") as news:
        news("measuring a, 1 of 4", 0.25)
        news.found("a: 1.5")
        time.sleep(0.3)
    told = capsys.readouterr()
    assert told.out == "" and told.err.splitlines()[:2] == ["a: 1.5", "measuring a, 1 of 4 (25%), 0 s"]


def test_time_left_is_told_once_it_can_be_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
    news = waiting.Waiting("measuring", Group)
    news("measuring", 0.5)
    assert news.lines() == ["measuring (50%), 0 s"]  # too early to say
    now[0] = 130.0
    news("measuring", 0.25)
    assert news.lines() == ["measuring (25%), 30 s, about 1 min 30 s left"]
    console = Console(width=120, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(news.picture())
    assert "25%" in console.file.getvalue() and "about 1 min 30 s left" in console.file.getvalue()  # type: ignore[attr-defined]
    news.doing("drawing figures: logit acts")
    assert news.lines() == ["drawing figures: logit acts, 30 s"]


def test_a_terminal_shows_a_bar_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(waiting.PROGRESS)
    monkeypatch.setattr(waiting, "QUIET", 0.0)
    out = io.StringIO()
    monkeypatch.setattr(waiting, "plain", lambda **_: Console(file=out, force_terminal=True, width=100))
    with waiting.waiting("opening") as news:
        news("measuring", 0.5)
        time.sleep(0.5)
    assert "measuring" in out.getvalue() and "50%" in out.getvalue()
    assert out.getvalue().rstrip().endswith("\x1b[2K")  # the last line is erased


def test_progress_is_left_out_where_it_is_unwanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waiting, "PAUSES", (0.01,))
    with waiting.waiting("opening"):
        time.sleep(0.1)
    assert capsys.readouterr() == ("", "")


def test_short_work_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(waiting.PROGRESS)
    with waiting.waiting("opening"):
        pass
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("mean", "ends", "sure", "said"),
    [
        (3.21, (2.9, 3.52), True, "+3.21 % [+2.90, +3.52]"),
        (-19.1, (-24.2, -13.7), True, "-19.1 % [-24.2, -13.7]"),
        (0.3, (-4.3, 4.9), False, "+0.3 % [-4.3, +4.9] ="),
        (-4.8, (-9.4, -0.03), True, "-4.80 % [-9.40, -0.03]"),  # not -0.0: zero is outside
        (12.0, None, None, "+12.0 %"),
    ],
)
def test_a_difference_has_the_digits_that_its_interval_knows(
    mean: float, ends: tuple[float, float] | None, sure: bool | None, said: str
) -> None:
    assert against(Difference("p", 1.0, ends, mean, ends, sure), "=") == said


def test_json_has_no_word_for_nan() -> None:
    assert finite({"a": [float("nan"), 1.0], "b": {"c": float("inf")}}) == {"a": [None, 1.0], "b": {"c": None}}


def test_a_column_goes_before_a_number_is_cut() -> None:
    rows = [{"name": "x" * 40, "cost": "1" * 30, "spare": "2" * 50}]
    assert len(fitting("t", ["name", "cost", "spare"], rows, ["spare"], 80).columns) == 2
    assert len(fitting("t", ["name", "cost", "spare"], rows, ["spare"], 120).columns) == 3
