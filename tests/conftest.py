"""Fixtures of the core's tests."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The module tests/toy.py."""
    return _neighbour("toy")


@pytest.fixture(scope="session")
def dcopf() -> ModuleType:
    """The module tests/dcopf.py."""
    return _neighbour("dcopf")


def _neighbour(file: str) -> ModuleType:
    """With --import-mode=importlib test files cannot import their neighbours."""
    name = f"dgpg_tests_{file}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{file}.py"))
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
