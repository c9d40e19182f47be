"""Fixtures of the core's tests."""

from types import ModuleType

import pytest

from . import dcopf as dcopf_module
from . import toy as toy_module
from . import toy_box as toy_box_module
from . import toy_simplex as toy_simplex_module


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
