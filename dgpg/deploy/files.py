"""Files of an export: read, held against what they say of themselves, opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dgpg.deploy.entry import Entry
from dgpg.errors import DataError

FORMAT = 1
"""Of the description in a file."""
NEEDED = ("arrays", "inputs", "action", "chance", "agents", "domain", "algorithm", "iteration")
"""What a description says at least."""


def beside(path: Path, told: Mapping[str, Any]) -> Iterator[tuple[str, Path, bytes]]:
    """Files of the same export that lie beside its policy, by name; a policy alone can do without `everyone`.

    Raises:
        DataError: one that is needed is missing, or is another.
    """
    for name, about in told.get("entries", {}).items():
        at = path.with_name(f"{name}.onnx")
        if name == "everyone" and not at.exists():
            continue
        try:
            model = at.read_bytes()
        except OSError:
            raise DataError(
                f"{at}: no such file, but {path.name} is of an export that has it; export it again"
            ) from None
        if hashlib.sha256(model).hexdigest() != about["sha256"]:
            raise DataError(f"{at}: damaged, or of another export than {path.name} beside it; export it again")
        yield name, at, model


def unchanged(path: Path) -> bytes:
    """A file, held against the digest that `policy.json` beside it has, where there is one.

    Raises:
        DataError: there is none, or it is another.
    """
    beside = path.with_name("policy.json")
    if path.name == beside.name:
        raise DataError(f"{path}: what an export says of itself; name its folder, or policy.onnx in it")
    try:
        told = json.loads(beside.read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        told = None
    try:
        model = path.read_bytes()
    except OSError:
        raise DataError(f"{path}: no such file; expected the folder that `dgpg export RUN --out DIR` wrote") from None
    if told not in (None, hashlib.sha256(model).hexdigest()):
        raise DataError(f"{path}: not the file that {beside} is about: damaged, or of another export; export it again")
    return model


def opened(path: Path, model: bytes, threads: int) -> Entry:
    """A graph that is ready to be asked.

    Raises:
        DataError: the file is none of ONNX.
    """
    try:
        return Entry(model, threads)
    except Exception as error:  # the runtime's own classes are no public names
        said = str(error).splitlines()[0]
        raise DataError(f"{path}: not a readable ONNX file ({said}); export it again") from None


def described(path: Path, metadata: Mapping[str, str]) -> Mapping[str, Any]:
    """What the file says of itself.

    Raises:
        DataError: none that `dgpg export` wrote, or one of another version.
    """
    try:
        told = json.loads(metadata["dgpg"])
        version, _ = told["format"], [told[name] for name in NEEDED] + [told["action"]["kind"]]
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path}: an ONNX file, but none that `dgpg export` wrote; export the run") from None
    if version != FORMAT:
        raise DataError(
            f"{path}: format {version}, this dgpg reads {FORMAT}; export the run again, or install another dgpg"
        )
    return told  # type: ignore[no-any-return]
