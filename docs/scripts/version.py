"""Version and commit at the foot of every page of the documentation: of what it speaks. A hook of mkdocs."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


def said() -> str:
    """Of the source tree: its version, and its commit with the day of it, where there is one."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if (commit := _git("log", "-1", "--format=%h of %cs")) is None:
        return f"dgpg {version}"
    changed = ", with changes" if _git("status", "--porcelain", "--untracked-files=no") else ""
    return f"dgpg {version}, commit {commit}{changed}"


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or an archive of the source
        return None
    return done.stdout.strip()


def on_config(config: Any) -> Any:
    """Called by mkdocs before it builds; the theme shows it at the foot of each page."""
    config.copyright = f"This documentation is of {said()}. {config.copyright or ''}".strip()
    return config
