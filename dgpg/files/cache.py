"""Results that take long, kept on disk as arrays by name: no reader sees half a file, none stumbles over a bad one.

A file holds a digest of its name, which says what the result depends on, and of its content. One that was edited, or
put in the place of another, is no result.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What reading an archive of arrays raises where its bytes are not what they were."""

DIGEST = "digest"
"""Name of the array that holds the digest of all others."""
MOST = 2**31
"""Bytes of a file's arrays, unpacked; beyond them it is nothing that `write` wrote."""


def folder(name: str) -> Path:
    """Folder of one plugin's results: dgpg/NAME in $XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dgpg" / name


def key(settings: str, arrays: Iterable[NDArray[np.generic]]) -> str:
    """Hash of all that a result depends on: settings, and shapes, types and contents of arrays, in their order.

    Put a version of the method into the settings, so that results of an older one are not used.
    """
    digest = hashlib.sha256(settings.encode())
    for values in arrays:
        digest.update(f"{values.shape} {values.dtype}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:32]


def read(path: Path, names: Iterable[str]) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file by name; None if there is no file, it is not what was written or lacks one of them.

    Whether shapes and types are those of the result is for the caller to see.
    """
    try:
        with path.open("rb") as file:
            with zipfile.ZipFile(file) as archive:
                if sum(part.file_size for part in archive.infolist()) > MOST:
                    return None
            file.seek(0)
            with np.load(file, allow_pickle=False) as data:
                held = {name: data[name] for name in data.files}
        if str(held.pop(DIGEST)) != _digest(path, held):
            return None
        return {name: held[name] for name in names}
    except _DAMAGE:
        return None


def write(path: Path, arrays: Mapping[str, ArrayLike]) -> None:
    """Write a file as a whole, so that a reader sees all of it or nothing; a folder that is read-only is left."""
    named: dict[str, Any] = {name: np.asarray(values) for name, values in arrays.items()}
    named[DIGEST] = np.array(_digest(path, named))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, **named)
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)


def _digest(path: Path, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Of the name of a file and of its arrays."""
    names = sorted(arrays)
    return key(f"{path.name} {names!r}", (arrays[name] for name in names))
