"""Fixtures of the traffic plugin's tests."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data; a test that needs it is skipped where it is absent."""
    checkout = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("DGPG_DATA", checkout.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}: set DGPG_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def data_file(data_dir: Path) -> Callable[[str], Path]:
    """Path of a file or folder of the traffic data; skips where it is absent."""

    def find(name: str) -> Path:
        path = data_dir / "traffic" / name
        if not path.exists():
            pytest.skip(f"no real data in {path}")
        return path

    return find
