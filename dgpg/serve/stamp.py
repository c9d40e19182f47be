"""What tells one state of an export's files from another, without reading them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

Stamp: TypeAlias = tuple[tuple[int, int, int] | None, ...]


def stamp(folder: Path) -> Stamp:
    """Changes whenever a file of an export does, in whatever order they come."""
    return tuple(_of(folder / name) for name in ("everyone.onnx", "policy.onnx", "policy.json"))


def _of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
