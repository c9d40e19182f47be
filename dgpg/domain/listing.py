"""Every plugin that is installed and how it fared, imported apart: whatever one does, the others are listed.

They are imported in another process, all in the same; where it ends early, those after that in one more. What is
broken there is looked at again, each distribution in a process of its own, as it may have been harmed by a neighbour;
and where that ends early too, each plugin.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from dgpg.domain import registry
from dgpg.errors import PluginError

LIMIT = 30.0
"""Seconds in which one plugin is imported, or it counts as broken."""
START = 300.0
"""Seconds in which a process begins; it imports torch, which may lie on a slow disk."""
PAUSE = 0.02
"""Seconds between two looks at the process that imports."""
CHILD = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from dgpg.domain.listing import look; look()"
"""What the process runs: this one's path, as an editable installation or a test may have added to it."""


@dataclass(frozen=True)
class Entry:
    """One registered plugin object and how it fared."""

    name: str
    group: str
    distribution: str
    version: str
    error: str | None = None
    summary: str = ""

    def json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"status": "error" if self.error else "ok"}


class Plugin(NamedTuple):
    """What is looked at; several distributions may have registered it."""

    group: str
    name: str


class Fared(NamedTuple):
    """What came of looking at a plugin."""

    error: str | None
    summary: str


def listing(limit: float = LIMIT) -> list[Entry]:
    """Every plugin of both groups, broken ones with their error; none is imported into this process.

    Args:
        limit: seconds in which one plugin is imported, or it counts as broken.
    """
    found = {Plugin(group, name): points for group in registry.KINDS for name, points in registry.find(group).items()}
    fared = _fared({plugin: points[0] for plugin, points in found.items()}, limit)
    return [
        Entry(plugin.name, plugin.group, *registry.owner(point), *fared[plugin])
        for plugin, points in found.items()
        for point in points
    ]


def _fared(points: Mapping[Plugin, EntryPoint], limit: float) -> dict[Plugin, Fared]:
    """How each plugin fared where nobody but its own distribution could harm it."""
    found: dict[Plugin, Fared] = {}
    left, doubtful = list(points), list[Plugin]()
    while left:
        told, _ = _apart(left, limit)
        found |= told
        left = [plugin for plugin in left if plugin not in told]
        doubtful, left = doubtful + left[:1], left[1:]  # the process ended there
    doubtful += [plugin for plugin in found if found[plugin].error is not None]
    owners = {plugin: registry.owner(points[plugin]) for plugin in doubtful}
    for owner in sorted(set(owners.values())):
        its = [plugin for plugin in doubtful if owners[plugin] == owner]
        again, end = _apart(its, limit)
        found |= again
        for plugin in (plugin for plugin in its if plugin not in again):
            alone, end = _apart([plugin], limit) if len(its) > 1 else ({}, end)
            found[plugin] = alone.get(plugin) or Fared(str(registry.broken(points[plugin], end)), "")
    return found


def _apart(plugins: Sequence[Plugin], limit: float) -> tuple[dict[Plugin, Fared], str]:
    """What a process of its own finds of plugins, as far as it comes, and how it ends."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        told = Path(folder) / "told"
        told.touch()
        arguments = [json.dumps(sys.path), json.dumps(plugins), str(told), str(limit)]
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", CHILD, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for this process, which stops that one
        )
        try:
            end = _end(child, told, limit)
        finally:
            _stop(child)
        lines = told.read_bytes().split(b"\n")[:-1]  # what follows the last newline was cut
    if not lines:
        raise PluginError(f"no plugin could be looked at: {sys.executable} cannot import dgpg ({end})")
    return {Plugin(*plugin): Fared(*fared) for plugin, fared in map(json.loads, lines[1:])}, end


def _end(child: subprocess.Popen[bytes], told: Path, limit: float) -> str:
    """Wait until it ends, or tells nothing for too long; says which."""
    size, since = 0, time.monotonic()
    while child.poll() is None:
        patience = limit if size else START
        if (now := told.stat().st_size) > size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > patience:
            return f"the import did not end within {patience:g} s"
        time.sleep(PAUSE)
    status = child.returncode
    with suppress(ValueError):
        return f"the import ended the process by {signal.Signals(-status).name}"
    return f"the import ended the process with exit status {status}"


def _stop(child: subprocess.Popen[bytes]) -> None:
    """It, and what plugins started from it."""
    if sys.platform == "win32":
        child.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def look() -> NoReturn:
    """What the process runs: a line when it is ready, and one for each plugin; then it ends, whatever threads do."""
    plugins, told, limit = json.loads(sys.argv[2]), sys.argv[3], float(sys.argv[4])
    sys.argv[:] = ["dgpg", "domains"]
    with open(told, "w", encoding="utf-8") as file:
        print("ready", file=file, flush=True)
        for group, name in plugins:
            if sys.platform != "win32":
                signal.alarm(math.ceil(2 * limit))  # should nobody be left to stop it
            print(json.dumps([[group, name], _look(group, name)]), file=file, flush=True)
        os._exit(0)


def _look(group: str, name: str) -> Fared:
    try:
        return Fared(None, registry.summary(registry.load(group, name)))
    except PluginError as problem:
        return Fared(str(problem), "")
