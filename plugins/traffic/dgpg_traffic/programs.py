"""The programs of SUMO: where they are, and what they say when they fail. The domain `sumo` and the judge use them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from dgpg.errors import ConfigError, DataError

ABSENT = "needs SUMO: pip install 'dgpg-plugin-traffic[sumo]'"


def program(name: str) -> str:
    """Path of `sumo`, `netconvert` and others: of the installed wheel, else of $SUMO_HOME, else of $PATH.

    Raises:
        ConfigError: it is in none of them.
    """
    homes = [os.environ["SUMO_HOME"]] if os.environ.get("SUMO_HOME") else []
    with contextlib.suppress(metadata.PackageNotFoundError):  # not `import sumo`, which a script of that name would be
        homes.insert(0, str(metadata.distribution("eclipse-sumo").locate_file("sumo")))
    for home in homes:
        found = shutil.which(name, path=str(Path(home) / "bin"))
        if found:
            return found
    found = shutil.which(name)
    if found is None:
        raise ConfigError(f"{name} is not installed; it {ABSENT}")
    return found


def sumolib() -> Any:
    """SUMO's own reader of networks.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import sumolib as found
    except ImportError:
        raise ConfigError(f"the package sumolib is not installed; it {ABSENT}") from None
    return found


def make(out: Path, name: str, arguments: Sequence[str], option: str = "--output-file") -> None:
    """Run a program that makes one file, so that no reader sees half of it.

    Args:
        out: the file; its folder is made.
        name: of the program.
        arguments: all others of it.
        option: that names the file.

    Raises:
        DataError: it failed; with the first errors that it named.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        part = Path(folder) / out.name
        command = [program(name), option, str(part), *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode or not part.exists():
            raise DataError(f"{name} made no network: {said(ran.stderr)}; run it yourself: {' '.join(command)}")
        os.replace(part, out)


def said(errors: str, most: int = 3) -> str:
    """The first errors of what a program wrote, in one line."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    named = [line for line in lines if line.startswith("Error")] or lines
    return " ".join(named[:most]) or "it said nothing"
