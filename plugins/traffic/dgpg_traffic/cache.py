"""Results that take long, kept on disk as arrays."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .arrays import IntArray


def cache_folder() -> Path:
    """Folder for results that take long: dgpg/traffic in $XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dgpg" / "traffic"


def key(settings: str, arrays: Iterable[NDArray[np.generic]]) -> str:
    """Hash of settings and of shapes, types and contents of arrays."""
    digest = hashlib.sha256(settings.encode())
    for values in arrays:
        digest.update(f"{values.shape} {values.dtype}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:32]


def read(path: Path) -> IntArray | None:
    """The array of a cache file; None if there is none or it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            values: IntArray = data["values"].astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, TypeError):
        return None
    return values


def write(path: Path, values: IntArray) -> None:
    """Write a cache file as a whole, so that a reader sees all of it or nothing; a folder that is read-only is left."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, values=values)
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)
