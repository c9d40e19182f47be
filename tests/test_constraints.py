"""Pinned versions can be installed wherever the project says that it runs."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
OLDEST = "3.11.2"
"""Of Debian 12."""


def pinned() -> dict[str, str]:
    """Versions of constraints.txt by name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==", 1) for line in lines if re.match(r"[\w.-]+==", line))


def test_no_pin_asks_for_a_newer_python_than_the_project_does() -> None:
    """A pin for 3.11.5 and later ends on Debian 12 in pip's "conflicting dependencies"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert SpecifierSet(project["requires-python"]).contains(OLDEST)
    found = 0
    for name, version in pinned().items():
        try:
            installed = metadata(name)
        except PackageNotFoundError:
            continue  # for another system
        if installed["Version"] != version.split(" ")[0]:
            continue
        found += 1
        asked = SpecifierSet(installed["Requires-Python"] or "")
        assert asked.contains(OLDEST), f"{name}=={version} asks for Python {asked}, which {OLDEST} is not"
    if not found:
        pytest.skip("nothing that is installed is of a pinned version")
