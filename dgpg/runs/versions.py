"""Versions that a result depends on: noted when a run begins, compared when it is used again."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("dgpg", "torch", "numpy", "pydantic", "stevedore", "gymnasium")
FILE = "versions.json"


def versions(plugin: str | None = None) -> dict[str, str]:
    """Of this environment."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in (*PACKAGES, *([plugin] if plugin else [])):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def noted(path: Path) -> dict[str, str]:
    """Of the run in a folder when it began; empty where nothing readable says so."""
    try:
        told = json.loads((path / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(name): str(one) for name, one in told.items()} if isinstance(told, dict) else {}


def plugin_of(path: Path) -> str | None:
    """The distribution, with its version, that the domain of the run in a folder came from."""
    known = (*PACKAGES, "python", "platform")
    others = [f"{name} {one}" for name, one in noted(path).items() if name not in known]
    return others[0] if others else None


def changed(path: Path) -> str | None:
    """What is of another version now than when the run in a folder began, in one line; None if nothing is."""
    then = {name: one for name, one in noted(path).items() if name != "platform"}
    plugins = [name for name in then if name not in (*PACKAGES, "python")]
    now = versions(*plugins[:1])
    found = [f"{name} {one} then, {now[name]} now" for name, one in then.items() if name in now and now[name] != one]
    return f"{path} was made with other versions: {'; '.join(found)}. Numbers may differ" if found else None
