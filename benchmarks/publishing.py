"""From what a script emits to a table of docs/results/data: `--publish NAME` behind any script's own options.

The file holds the command, the commit (with `+` if files had been changed), date, versions, threads, and a row for each
emitted record. A mapping within a record becomes a column for each of its keys (`over_h 10`), a list one cell.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from common import EMITTED

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "results" / "data"
CHANGED = ("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/results/data")


def flat(record: Mapping[Any, Any], before: str = "") -> dict[str, Any]:
    """A record without mappings in it; runs in a list are numbered."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        key = f"{before}{name}"
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            value = dict(enumerate(value))
        if isinstance(value, Mapping) and not {"mean", "low", "high"} <= set(value):
            found |= flat(value, f"{key} ")
        elif value is not None:
            found[key] = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return found


def commit() -> str:
    """Of the checkout, with `+` if tracked files differ from it; tables that were written before change no figure."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "HEAD") + ("+" if git(*CHANGED) else "")


def record(command: str, emitted: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the file holds."""
    rows = [flat(one) for one in emitted]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    versions = {name: importlib.metadata.version(name) for name in ("dgpg", "torch", "numpy")}
    return {
        "commands": [command],
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"python": platform.python_version(), **versions},
        "threads": torch.get_num_threads(),
        "columns": columns,
        "rows": [[row.get(name, "") for name in columns] for row in rows],
    }


def published(main: Callable[[], None]) -> None:
    """Run a script; with `--publish NAME`, write NAME.json when it has ended well."""
    name = None
    if "--publish" in sys.argv[1:]:
        at = sys.argv.index("--publish")
        if at + 1 == len(sys.argv):
            sys.exit("--publish needs the name of a file in docs/results/data, without .json")
        name = sys.argv[at + 1]
        del sys.argv[at : at + 2]
    main()
    if name:
        command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
        text = json.dumps(record(command, EMITTED), indent=1, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
