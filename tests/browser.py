"""A browser without a window, to look at pages with; `python -m tests.browser` (make browser) fetches one from npm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".browser"
PACKAGE = "@sparticuz/chromium@147.0.0"  # Chromium 147 for machines without a screen, MIT
UNPACK = """
const fs = require("fs"), zlib = require("zlib");
for (const name of fs.readdirSync("package/bin"))
  if (name.endsWith(".br"))
    fs.writeFileSync(name.slice(0, -3), zlib.brotliDecompressSync(fs.readFileSync("package/bin/" + name)));
"""
FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{folder}/fonts</dir><cachedir>{folder}/cache</cachedir></fontconfig>
"""


def find() -> Path | None:
    """DGPG_BROWSER, one that was fetched, or one of the system."""
    named = os.environ.get("DGPG_BROWSER")
    fetched = FOLDER / "chromium"
    if named or fetched.exists():
        return Path(named) if named else fetched
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return Path(found) if found else None


@contextmanager
def browser(executable: Path) -> Iterator[Any]:
    """Started, of playwright's type `Browser`."""
    from playwright.sync_api import sync_playwright

    own = {"LD_LIBRARY_PATH": f"{FOLDER}/lib", "FONTCONFIG_FILE": f"{FOLDER}/fonts.conf"}
    more = own if executable.parent == FOLDER else {}
    options = ["--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=executable, args=options, env={**os.environ, **more})
        try:
            yield started
        finally:
            started.close()


def fetch() -> None:
    """Into FOLDER, with the libraries and the letters that it needs."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as place:
        packed = subprocess.run(
            ["npm", "pack", "--silent", PACKAGE], cwd=place, check=True, capture_output=True, text=True
        )
        _unpack(Path(place) / packed.stdout.split()[-1], Path(place))
        subprocess.run(["node", "-e", UNPACK], cwd=place, check=True)
        for archive in Path(place).glob("*.tar"):
            _unpack(archive, FOLDER)
        shutil.move(Path(place) / "chromium", FOLDER / "chromium")
    (FOLDER / "chromium").chmod(0o755)
    (FOLDER / "fonts.conf").write_text(FONTS.format(folder=FOLDER))
    print(FOLDER / "chromium")


def _unpack(archive: Path, to: Path) -> None:
    with tarfile.open(archive) as file:
        file.extractall(to, filter="data")


if __name__ == "__main__":
    sys.exit(fetch())
