"""Small files to load, and the check that a loader refuses one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dgpg.errors import DataError


def write(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(load: Callable[[Path], object], path: Path, *parts: str) -> None:
    """Loading raises DataError with every part in its message."""
    with pytest.raises(DataError) as caught:
        load(path)
    for part in parts:
        assert part in str(caught.value)
