"""Fixtures of the core's tests."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from dgpg.runs import RunFolder

from . import commands, folders
from . import dcopf as dcopf_module
from . import toy as toy_module
from . import toy_box as toy_box_module
from . import toy_simplex as toy_simplex_module
from .distributions import Plugins


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The module tests/toy.py: agents that choose."""
    return toy_module


@pytest.fixture(scope="session")
def toy_box() -> ModuleType:
    """The module tests/toy_box.py: agents with continuous actions."""
    return toy_box_module


@pytest.fixture(scope="session")
def toy_simplex() -> ModuleType:
    """The module tests/toy_simplex.py: agents that split a unit."""
    return toy_simplex_module


@pytest.fixture(scope="session")
def dcopf() -> ModuleType:
    """The module tests/dcopf.py."""
    return dcopf_module


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the command line that tests only read."""
    run = tmp_path_factory.mktemp("shared") / "run"
    commands.ok("train", "cloud", *commands.TINY, "--out", run)
    return run


@pytest.fixture
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """The folder of a run that has not begun."""
    return RunFolder.create(tmp_path / "run", folders.CONFIG)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugins]:
    """Installs distributions of one module."""
    plugins = Plugins(tmp_path, monkeypatch)
    yield plugins
    plugins.forget()
