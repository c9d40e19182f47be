"""The start page: each of its three paths, as a reader would type it, but for what is installed already."""

import re
import shlex
from pathlib import Path

import pytest

from .commands import ok
from .fresh import ROOT

PATHS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / "index.md").read_text(), re.M | re.S)


def lines(path: str) -> list[list[str]]:
    """Words of each command of a path."""
    found = [shlex.split(part, comments=True) for line in path.splitlines() for part in line.split("&&")]
    assert found[0][:2] == ["pip", "install"]
    return found[1:]


def test_there_is_a_path_for_each_reader() -> None:
    assert len(PATHS) == 3 and [lines(path)[0][:2] for path in PATHS] == [
        ["dgpg", "train"],
        ["dgpg", "train"],
        ["dgpg", "new"],
    ]


@pytest.mark.parametrize("which", [0, 1])
def test_a_path_leads_to_a_page(which: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer iterations, episodes and steps than a reader has."""
    monkeypatch.chdir(tmp_path)
    for program, command, *words in lines(PATHS[which]):
        assert program == "dgpg"
        short = (
            ["--device", "cpu", "--iterations", 2, "--set", "horizon=2"] if command == "train" else ["--episodes", 1]
        )
        last = ok(command, *words, *short)
    (page,) = re.findall(r"^page: (.+)$", last.out, re.M)
    assert "<html" in (tmp_path / page).read_text()


def test_a_domain_of_ones_own_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That what was written passes its check and trains is said in tests/scaffold, and of the tutorial."""
    monkeypatch.chdir(tmp_path)
    new, install, check, train = lines(PATHS[2])
    written = ok(*new[1:]).out
    assert (tmp_path / install[-1] / "pyproject.toml").is_file() and install[:3] == ["pip", "install", "-e"]
    assert " ".join(check) in written and " ".join(train) in written
