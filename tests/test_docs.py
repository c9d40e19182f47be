"""Nothing in the documentation is typed by hand that a program can say."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.main import get_command

from dgpg.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/results").glob("*.md"))]


def test_the_command_line_page_is_current():
    code = "import sys; sys.path.insert(0, 'docs/scripts'); import cli_help; print(cli_help.render(), end='')"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout == (ROOT / "docs/cli.md").read_text(), "run: python docs/scripts/cli_help.py"


@pytest.mark.parametrize("name", ["power", "traffic"])
def test_the_tables_of_settings_are_current(name: str) -> None:
    script, page = runpy.run_path(str(ROOT / "docs/scripts/settings.py")), ROOT / "docs" / f"{name}.md"
    assert script["render"](name, page.read_text()) == page.read_text(), "run: python docs/scripts/settings.py"
    named = [row.split("`")[1] for row in script["rows"](name)]
    assert len(named) == len(set(named)) > 10
    fields = set(script["CONFIG"][name].model_fields)
    assert fields - {setting.split(".")[0] for setting in named} == set(script["LEFT_OUT"])
    assert set(script["UNIT"][name]) <= set(named), "a unit of a setting that is no more"


def test_pages_include_what_they_say_they_include() -> None:
    """A bracket that a formatter took for arithmetic would be shown as it is."""
    included = []
    for page in PAGES:
        for line in page.read_text().splitlines():
            if "8<" in line or "8 <" in line:
                found = re.fullmatch(r'--8<-- "(.+):(\w+)"', line)
                assert found, f"{page.name}: {line}"
                assert f"[start:{found[2]}]" in (ROOT / found[1]).read_text()
                included.append(page.name)
    assert included == ["second-registry.md"]


def test_the_page_of_mistakes_is_current() -> None:
    script, page = runpy.run_path(str(ROOT / "docs/scripts/mistakes.py")), ROOT / "docs/mistakes.md"
    assert script["render"]() == page.read_text(), "run: python docs/scripts/mistakes.py"
    assert page.read_text().count("\n| ") > 100


def test_the_reference_is_current_and_holds_every_module_of_the_core() -> None:
    pages = runpy.run_path(str(ROOT / "docs/scripts/reference.py"))["pages"]()
    written = {page.name: page.read_text() for page in (ROOT / "docs/reference").glob("*.md")}
    assert written == pages, "run: python docs/scripts/reference.py"
    told = re.findall(r"^::: (dgpg\.\S+)", "\n".join(written.values()), re.M)
    modules = {path.relative_to(ROOT).with_suffix("") for path in (ROOT / "dgpg").rglob("*.py")}
    wanted = [".".join(m.parts) for m in modules if not m.name.startswith("__") and "templates" not in m.parts]
    assert sorted(told) == sorted(wanted)


def examples(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)], ids=lambda page: page.name)
def test_python_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "example.py"
    script.write_text("\n".join(examples(page)))
    runpy.run_path(str(script))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_name_existing_files_and_targets(page):
    text = page.read_text()
    for script in re.findall(r"python (benchmarks/\S+\.py)", text):
        assert (ROOT / script).exists(), script
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)`", text)) <= targets


def test_the_repository_speaks_of_the_project_alone():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    home = re.compile(r"/(home|root|tmp|work)/[a-z]")
    for name in tracked.stdout.split():
        if name.endswith((".py", ".md", ".toml", ".yml")) and os.path.exists(ROOT / name):
            assert not home.search((ROOT / name).read_text()), name


def test_statements_of_the_readme_link_to_their_tests() -> None:
    links = re.findall(
        r"\[([^]]+)\]\((tests/learning/test_equilibria\w*\.py)#L(\d+)\)", (ROOT / "README.md").read_text()
    )
    assert [name for name, _, _ in links] == ["S1", "S2", "S4", "S3", "not enough", "S5", "S6", "S7"]
    for name, file, line in links:
        wanted = "descent_alignment_is_not_enough" if name == "not enough" else f"{name.lower()}_"
        found = (ROOT / file).read_text().splitlines()[int(line) - 1]
        assert found.startswith(f"def test_{wanted}"), f"{name} links to line {line} of {file}: {found!r}"


def headings(page: Path) -> set[str]:
    """Anchors of a page, as mkdocs and code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_to_a_file_and_a_heading(page: Path) -> None:
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*\.md)?(?:#([^)]+))?\)", page.read_text()):
        to = page.parent / path if path else page
        assert to.exists(), f"{page.name} links to {path}, which does not exist"
        assert not anchor or anchor in headings(to), (
            f"{page.name} links to {path}#{anchor}: {to.name} has no such heading"
        )


def test_the_picture_of_the_start_page_is_of_the_table(tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "docs/scripts/start_figure.py"))
    drawn = script["draw"](tmp_path / "start.svg").read_bytes()
    assert drawn == (ROOT / "docs/figures/start.svg").read_bytes(), "run: python docs/scripts/start_figure.py"
    assert set(script["curves"]()) == {"dg-pg", "mappo", "mappo-blocks", "ippo", "ippo-local", "ippo-blocks"}


def test_every_figure_comes_from_a_script_and_is_on_a_page() -> None:
    script = runpy.run_path(str(ROOT / "docs/scripts/figures.py"))
    made = {script["figure"](name, one).name for name, run in script["RUNS"].items() for one in run.shown}
    there = {path.name for path in (ROOT / "docs/figures").iterdir()}
    assert there == made | {"start.svg", "signal_to_noise.png"}  # docs/scripts/start_figure.py, benchmarks/
    shown = set(re.findall(r"figures/([\w.-]+)\)", "".join(page.read_text() for page in PAGES)))
    assert shown == there


def test_every_formula_can_be_drawn_and_none_is_left_as_text() -> None:
    typeset, found = runpy.run_path(str(ROOT / "docs/scripts/formulas.py"))["typeset"], 0
    for page in PAGES:
        whole = typeset(page.read_text())
        found += whole.count("<math")
        assert (
            "$`" not in whole and "```math" not in whole and "\\\\" not in re.sub(r"```.*?```", "", whole, flags=re.S)
        )
    assert found > 30
    assert typeset("a $`x_i`$ b") == "a " + typeset("$`x_i`$") + " b" and "<msub>" in typeset("$`x_i`$")
    assert typeset("costs in $/MWh and `$x`") == "costs in $/MWh and `$x`"


def test_every_page_says_of_which_version_it_is() -> None:
    script = runpy.run_path(str(ROOT / "docs/scripts/version.py"))
    config = script["on_config"](SimpleNamespace(copyright=None))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert config.copyright.startswith(f"This documentation is of dgpg {version}")
    if (ROOT / ".git").exists():
        assert re.search(r", commit [0-9a-f]{7,} of \d{4}-\d\d-\d\d", config.copyright)


def commands(page: Path) -> list[list[str]]:
    """Words of each `dgpg` that a page shows as a line of a shell."""
    text = re.sub(r"\\\n\s*", " ", page.read_text())
    fenced = "\n".join(re.findall(r"^```(?:sh|bash)?\n(.*?)^```", text, re.M | re.S))
    indented = "\n".join(re.findall(r"^ {4,}.+$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M))
    found = re.findall(r"(?:^|&&|;|\$\(|do)\s*dgpg ([^\n&|;>)]*)", f"{fenced}\n{indented}", re.M)
    return [shlex.split(line, comments=True) for line in found]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_commands_of_pages_are_ones_that_the_program_takes(page: Path) -> None:
    group = get_command(app)
    for words in commands(page):
        words = [re.sub(r"\$\w+", "1", word) for word in words]
        command = group.commands.get(words[0])  # type: ignore[attr-defined]
        assert command is not None or words[0].startswith("-"), f"{page.name}: dgpg {words[0]}"
        if command is not None:
            command.make_context(words[0], words[1:])  # an unknown option, or a value of the wrong kind, raises
