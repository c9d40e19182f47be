"""dgpg new: what it writes works before any edit, and what it cannot write it says."""

import json
import os
from pathlib import Path

import pytest

from dgpg import scaffold
from dgpg.errors import ConfigError
from dgpg.scaffold import writing
from dgpg.scaffold.writing import Template

from ..commands import ok, refused
from ..fresh import ROOT, Fresh, wheels


@pytest.mark.parametrize("actions", list(scaffold.TEMPLATES))
def test_nothing_is_left_of_the_template(actions: str, tmp_path: Path) -> None:
    folder = scaffold.write("water_works", actions, tmp_path)
    assert folder == tmp_path / "dgpg-plugin-water_works" and list(tmp_path.iterdir()) == [folder]
    files = {path.relative_to(folder): path.read_text() for path in folder.rglob("*") if path.is_file()}
    names = {str(name) for name in files}
    assert {"pyproject.toml", "README.md", "tests/test_domain.py", "dgpg_water_works/domain.py"} <= names
    assert "dgpg_water_works/py.typed" in names and not any("__pycache__" in name for name in names)
    for name, text in files.items():
        for word in ("example", "Example", "SYSTEM", "MODEL", "CLASS"):
            assert word not in text and word not in str(name), f"{word} in {name}"
        assert max(map(len, text.splitlines()), default=0) <= 120
    assert "class WaterWorksDomain" in files[Path("dgpg_water_works/domain.py")]


def test_the_command_says_what_is_next(tmp_path: Path) -> None:
    shown = ok("new", "reservoirs", "--dir", tmp_path / "made" / "here").out
    folder = tmp_path / "made" / "here" / "dgpg-plugin-reservoirs"
    assert folder.is_dir() and f"pip install -e {folder}; dgpg check reservoirs; dgpg train reservoirs" in shown


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["Water"], "dgpg new Water: expected a name that a Python module may have"),
        (["water-works"], "dgpg new water-works: expected a name"),
        (["class"], "dgpg new class: expected a name"),
        (["2d"], "dgpg new 2d: expected a name"),
        (["cloud"], "dgpg new cloud: a domain of that name is installed"),
        (["water", "--actions", "both"], "--actions both: expected discrete or continuous"),
        (["water", "--simulator", "--actions", "continuous"], "--simulator --actions continuous: the model that is"),
    ],
)
def test_mistakes(args: list[str], message: str, tmp_path: Path) -> None:
    assert message in refused("new", *args, "--dir", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = scaffold.write("water", "discrete", tmp_path)
    (folder / "README.md").write_text("mine")
    assert "is there already" in refused("new", "water", "--dir", tmp_path)
    assert (folder / "README.md").read_text() == "mine"
    (tmp_path / "file").write_text("mine")
    assert "error: " in refused("new", "other", "--dir", tmp_path / "file")


def test_what_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(text: str, template: Template) -> str:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(writing, "_filled", full)
    with pytest.raises(OSError, match="space"):
        scaffold.write("water", "discrete", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_of_action(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected discrete or continuous"):
        scaffold.write("water", "", tmp_path)


@pytest.mark.slow
def test_every_variant_works_from_wheels_before_any_edit(tmp_path: Path) -> None:
    """Beside a wheel of dgpg in a fresh environment: listed, checked, tested, trained, and better than its rules."""
    fresh = Fresh.make(tmp_path)
    sources = [scaffold.write(f"made_{actions}", actions, tmp_path) for actions in scaffold.TEMPLATES]
    built = wheels(tmp_path / "dist", ROOT, *sources)
    fresh.pip("install", "--no-index", "--no-deps", *built.glob("*.whl"))
    assert str(tmp_path) in fresh.run("python", "-c", "import dgpg; print(dgpg.__file__)").stdout
    listed = fresh.domains()
    assert set(listed.values()) == {"ok"} and len(listed) == 6
    for actions, source in zip(scaffold.TEMPLATES, sources, strict=True):
        name, run = f"made_{actions}", tmp_path / "runs" / actions
        checked = fresh.run("dgpg", "check", name).stdout
        assert " 0 failed" in checked and "it may be trusted with a large alpha" in checked
        fresh.run("python", "-m", "pytest", "-q", source / "tests", "-k", "not beats")  # as is done below
        fresh.run("dgpg", "train", name, "--device", "cpu", "--out", run)
        rows = json.loads(fresh.run("dgpg", "evaluate", run, "--json").stdout)["results"]
        policy = next(row for row in rows if row["kind"] == "policy")
        best = min(row["cost"] for row in rows if row["kind"] == "baseline" and row["information"] == "same")
        assert policy["cost"] < 0.9 * best
