"""Fixtures of the core's tests."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def load(name: str) -> ModuleType:
    """A neighbour of this file: with --import-mode=importlib test files cannot import their neighbours."""
    module = f"dgpg_tests_{name}"
    if module not in sys.modules:
        spec = importlib.util.spec_from_file_location(module, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None and spec.loader is not None
        sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module])
    return sys.modules[module]


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The module tests/toy.py: agents that choose."""
    return load("toy")


@pytest.fixture(scope="session")
def toy_box() -> ModuleType:
    """The module tests/toy_box.py: agents with continuous actions."""
    return load("toy_box")


@pytest.fixture(scope="session")
def dcopf() -> ModuleType:
    """The module tests/dcopf.py."""
    return load("dcopf")
