"""Files of a network, whose names differ in case from source to source: `_net.tntp` and `_Net.tntp`."""

from __future__ import annotations

from pathlib import Path

from dgpg.errors import DataError


def file_like(path: Path) -> Path | None:
    """The file of that path or, if there is none, the one whose name differs from it in case alone; None without.

    Raises:
        DataError: several do.
    """
    if path.is_file():
        return path
    try:
        same = sorted(other for other in path.parent.iterdir() if other.name.lower() == path.name.lower())
    except OSError:  # no folder, or one that may not be read: who opens the path says which
        return None
    files = [other for other in same if other.is_file()]
    if len(files) > 1:
        raise DataError(f"{path.parent}: holds {files[0].name} and {files[1].name}, expected one of them: rename one")
    return files[0] if files else None


def file_or(path: Path) -> Path:
    """`file_like`, or the path itself, so that who reads it says that it is not there."""
    return file_like(path) or path
