"""Where a result goes, looked at before the work that leads to it."""

from __future__ import annotations

import os
from pathlib import Path

from dgpg.errors import ConfigError


def refuse_folder(path: Path, option: str) -> None:
    """Refuse a folder that is not there and cannot be made.

    Raises:
        ConfigError: something on the way to it is a file, or may not be written to.
    """
    there = next((place for place in (path, *path.parents) if place.exists() or place.is_symlink()), Path())
    if not there.is_dir():
        raise ConfigError(f"{option} {path}: {there} is not a folder; name another")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{option} {path}: {there} may not be written to; name another, or change its permissions")


def refuse_file(path: Path, option: str) -> None:
    """Refuse a file whose folder is not there, or that is a folder itself.

    Raises:
        ConfigError: saying which.
    """
    if path.is_dir():
        raise ConfigError(f"{option} {path}: is a folder; name a file in it")
    if not path.parent.exists():
        raise ConfigError(f"{option} {path}: there is no folder {path.parent}; make it first")
    refuse_folder(path.parent, option)
