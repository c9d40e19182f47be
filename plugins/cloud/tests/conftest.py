"""Fixtures of the cloud plugin's tests."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_file(real_data: Callable[[str], Path]) -> Callable[[str], Path]:
    """Path of a file or folder of the cloud data; skips where it is absent."""
    return lambda name: real_data(f"cloud/{name}")
