"""The tutorial: every command and file of the page, in order, in a fresh environment."""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest

from .fresh import ROOT, Fresh, wheels

PAGE = (ROOT / "docs" / "first-plugin.md").read_text()
FENCES = re.findall(r"^```(.*)\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)
PLUGIN = "dgpg-plugin-reservoirs"


def lines_of_code(source: str) -> int:
    """Lines that are neither blank nor part of a docstring nor a comment alone."""
    told = set[int]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            told |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and n not in told for n, line in lines)


def files() -> dict[str, str]:
    found = (re.fullmatch(r'(?:python|toml) title="(.+)"', kind) for kind, _ in FENCES)
    return {match[1]: text for match, (_, text) in zip(found, FENCES, strict=True) if match}


def test_the_count_of_lines_is_the_one_on_the_page() -> None:
    count = sum(lines_of_code(text) for name, text in files().items() if name.endswith(".py"))
    assert count <= 120 and f"are {count} lines of code" in PAGE


def test_nothing_private_is_imported() -> None:
    for name, text in files().items():
        for node in ast.walk(ast.parse(text)) if name.endswith(".py") else ():
            if isinstance(node, ast.ImportFrom):
                parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
                assert not any(part.startswith("_") for part in parts), name


def test_every_block_is_a_file_or_commands() -> None:
    assert all(kind == "sh" or 'title="' in kind for kind, _ in FENCES)
    assert len(files()) == 6 and sum(kind == "sh" for kind, _ in FENCES) == 3


def run(fresh: Fresh, line: str) -> str:
    program, *args = shlex.split(line)
    if program == "pip":
        fresh.pip(*args, "--no-deps", "--no-build-isolation", "--force-reinstall")
        return ""
    assert program == "dgpg"
    extra = ["--device", "cpu"] if args[0] == "train" else []
    return fresh.run("dgpg", *args, *extra).stdout


@pytest.mark.slow
def test_the_page_works(tmp_path: Path) -> None:
    fresh = Fresh.make(tmp_path)
    fresh.pip("install", "--no-index", "--no-deps", *wheels(tmp_path / "dist", ROOT).glob("*.whl"))
    for kind, text in FENCES:
        named = re.search(r'title="(.+)"', kind)
        if named:
            (tmp_path / PLUGIN / named[1]).write_text(text)
            continue
        for line in text.splitlines():
            shown = run(fresh, line)
            if line.startswith("dgpg check"):
                assert " 0 failed" in shown and "it may be trusted with a large alpha" in shown
    rows = json.loads(fresh.run("dgpg", "evaluate", "runs/first", "--json").stdout)["results"]
    cost = {row["name"]: row["cost"] for row in rows}
    assert cost["dg-pg"] < 0.9 * min(cost["pass-on"], cost["keep-level"])
