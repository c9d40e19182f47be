"""Every figure of the README and of the results is held by a JSON file; a changed digit is told."""

from __future__ import annotations

import runpy
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
        ("README.md", "| 1.59 |", "| 1.58 |"),
        ("README.md", "3.8 % above", "3.7 % above"),
        ("README.md", "cost 5 to 7 %", "cost 4 to 7 %"),
        ("docs/results.md", "| 0.942 |", "| 0.932 |"),
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
    other = {**TABLES, "alignment-default": {**TABLES["alignment-default"], "rows": [["`cloud.headroom`", "0.95"]]}}
    assert SCRIPT["render"](page, TABLES) == page != SCRIPT["render"](page, other)


def test_every_table_is_shown_and_says_where_it_is_from() -> None:
    shown = "".join(path.read_text() for path in SCRIPT["pages"]())
    for name, found in TABLES.items():
        assert f"<!-- table {name} -->" in shown, f"{name}.json is on no page"
        assert found["commands"] and found["commit"] and found["rows"], name
        assert all(len(row) == len(found["columns"]) for row in found["rows"]), name
