"""Every figure of the README and of the results is held by a JSON file; a changed digit is told."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = runpy.run_path(str(ROOT / "docs/scripts/results.py"))
TABLES = SCRIPT["data"]()


def test_the_tables_are_current_and_every_figure_is_held(capsys: pytest.CaptureFixture[str]) -> None:
    assert SCRIPT["main"](check=True) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("page", "figure", "wrong"),
    [
        ("README.md", "| 1.48 |", "| 1.58 |"),
        ("README.md", "13.9 % above", "13.8 % above"),
        ("README.md", "cost 5 to 7 %", "cost 4 to 7 %"),
        ("docs/results.md", "| 0.936 |", "| 0.926 |"),
        ("docs/results/power.md", "4.45 % after 300", "4.54 % after 300"),
        ("docs/traffic.md", "2 to 11 %", "2 to 12 %"),
    ],
)
def test_a_changed_digit_is_told(page: str, figure: str, wrong: str) -> None:
    text = (ROOT / page).read_text()
    assert figure in text
    pages = {str(p.relative_to(ROOT)): SCRIPT["said"](p) for p in SCRIPT["pages"]()}
    pages[page] = SCRIPT["spoken"](page, text.replace(figure, wrong, 1))
    messages = [m for m in SCRIPT["faults"](pages, TABLES) if m.startswith(f"{page}: no JSON holds")]
    assert len(messages) == 1


def test_an_entry_whose_table_says_something_else_is_told() -> None:
    tables: dict[str, Any] = {"one": {"columns": ["", "cost"], "rows": [["`dg-pg`", "0.846 (0.830 to 0.851)"]]}}
    assert SCRIPT["unheld"]({"figures": ["0.85", "0.846"], "from": ["one"]}, tables) == []
    assert SCRIPT["unheld"]({"figures": ["0.84"], "from": ["one"]}, tables) == ["0.84"]
    assert SCRIPT["unheld"]({"figures": ["-0.85"], "from": ["one"]}, tables) == ["-0.85"]


def test_a_changed_cell_makes_its_page_out_of_date() -> None:
    page = (ROOT / "docs/results/alignment.md").read_text()
    known = TABLES["alignment-default"]
    other = {
        **TABLES,
        "alignment-default": {**known, "rows": [[*known["rows"][0][:-1], "another"], *known["rows"][1:]]},
    }
    assert SCRIPT["render"](page, TABLES) == page != SCRIPT["render"](page, other)


def test_every_table_is_shown_and_says_where_it_is_from() -> None:
    shown = "".join(path.read_text() for path in SCRIPT["pages"]())
    for name, found in TABLES.items():
        assert re.search(rf"<!-- table {name}(: .*)? -->", shown), f"{name}.json is on no page"
        assert found["commands"] and found["commit"] and found["rows"], name
        assert all(len(row) == len(found["columns"]) for row in found["rows"]), name


def test_a_page_shows_the_columns_that_it_asks_for() -> None:
    found = {
        "columns": ["a", "b", "c"],
        "rows": [[1, 2.5, "x"], [3, 4.0, ""]],
        "commit": "0123456789",
        "commands": ["."],
    }
    page = "Before\n\n<!-- table one: c, a -->\nold\n<!-- end one -->\n"
    written = SCRIPT["render"](page, {"one": found})
    assert "| c | a |\n|---|---|\n| x | 1 |\n| | 3 |\n" in written and "2.5" not in written
    assert SCRIPT["render"](written, {"one": found}) == written


def test_what_a_script_emits_becomes_a_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr(sys, "argv", ["learning.py", "--seeds", "1", "--publish", "one", "--marks", "4 8"])
    import common
    import publishing

    monkeypatch.setattr(publishing, "FOLDER", tmp_path)
    monkeypatch.setattr(publishing, "commit", lambda: "0123456789")
    common.EMITTED.clear()

    def main() -> None:
        assert sys.argv[1:] == ["--seeds", "1", "--marks", "4 8"]
        common.emit({"algorithm": "dg-pg", "over_h": {4: 1.25, 8: 0.875}, "seeds": [0.87, 0.88]})
        common.emit({"algorithm": "mappo", "cost": {"mean": 2.0, "low": 1.5, "high": 2.5}})
        common.emit({"algorithm": "ippo", "model": None, "runs": [{"gap": {100: 0.5}}, {"gap": {100: 0.25}}]})

    publishing.published(main)
    found = json.loads((tmp_path / "one.json").read_text())
    assert found["commands"] == ["python benchmarks/learning.py --seeds 1 --marks '4 8'"]
    assert found["columns"] == [
        "algorithm",
        "over_h 4",
        "over_h 8",
        "seeds",
        "cost",
        "runs 0 gap 100",
        "runs 1 gap 100",
    ]
    assert found["versions"]["torch"] and found["threads"] >= 1
    shown = SCRIPT["table"]("one", found)
    assert "| dg-pg | 1.25 | 0.875 | 0.87, 0.88 | |" in shown and "| 2 (1.5 to 2.5) |" in shown
    assert "taken over" not in shown


@pytest.mark.parametrize(("measured", "said"), [(0.79, "inside"), (0.80, "OUTSIDE"), (None, "OUTSIDE")])
def test_a_rerun_is_compared_with_its_band(measured: float | None, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import reproduce

    figure = {"says": "`dg-pg`", "published": 0.788, "low": 0.782, "high": 0.791, "why": "seeds", "column": "over_h 40"}
    figure["where"] = {"algorithm": "dg-pg"}
    rows = [{"algorithm": "mappo", "over_h 40": 0.785}, {"algorithm": "dg-pg", "over_h 40": measured}]
    line = reproduce.compare(figure, rows if measured else rows[:1])
    assert said in line and "0.782 to 0.791" in line


def test_bands_hold_what_was_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import reproduce

    figures = reproduce.bands()
    assert len(figures) >= 6
    for figure in figures:
        assert figure["low"] <= figure["published"] <= figure["high"] and figure["why"]
        assert SCRIPT["holds"](str(figure["published"]), SCRIPT["cells"](TABLES[figure["table"]])), figure["says"]


@pytest.mark.parametrize(
    ("figure", "cells", "held"),
    [
        ("56 times", "56.44", True),
        ("56 times", "56.6", False),
        ("1e-5", "1.0004e-05", True),
        ("1e-5", "1.1e-05", False),
    ],
)
def test_a_figure_is_held_to_its_own_digits(figure: str, cells: str, held: bool) -> None:
    assert SCRIPT["holds"](figure, cells) is held
