"""Draw the figures of the domains' pages anew: `python docs/scripts/figures.py [NAME ...]`, all of them by default.

Each is a run that is trained and evaluated as a user would, in runs/figures/NAME, and kept there: one that is there is
evaluated again. Networks that others publish lie below DGPG_DATA. The other figures of these pages are those of
`start_figure.py` and of benchmarks/signal_to_noise.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PLACE = ROOT / "docs" / "figures"
DATA = Path(os.environ.get("DGPG_DATA", ROOT.parent / "shared" / "data"))
"""With the folders `power/rts_gmlc` of RTS-GMLC and `traffic/tntp` of the TNTP networks."""


@dataclass(frozen=True)
class Run:
    """What is trained, and which of its figures a page shows."""

    train: tuple[str, ...]
    shown: tuple[str, ...]
    episodes: int = 32
    """Of the evaluation; pictures of a domain are of eight."""


RUNS = {
    "cloud": Run(("cloud", "--set", "train.threads=1"), ("use",)),
    "power": Run(
        ("power", "--iterations", "1000", "--set", "train.threads=1"),
        ("evaluation", "dispatch", "line_loading", "overload", "prices"),
    ),
    "rts": Run(
        (
            "power", "--iterations", "1000", "--set", "train.threads=1", "--set", "load.days=[1,14]",
            "--set", f"network={DATA / 'power' / 'rts_gmlc' / 'RTS_GMLC.m'}",
        ),
        ("map",), episodes=8,
    ),
    "traffic": Run(("traffic", "--iterations", "500"), ("evaluation", "roads", "day")),
    "berlin": Run(
        (
            "traffic", "--iterations", "200",
            "--set", f"network={DATA / 'traffic' / 'tntp' / 'friedrichshain-center_net.tntp'}",
        ),
        ("roads",), episodes=8,
    ),
}  # fmt: skip


def draw(name: str) -> list[Path]:
    """Train, where that was not done before, evaluate, and copy what the pages show."""
    folder, run = ROOT / "runs" / "figures" / name, RUNS[name]
    if not (folder / "config.json").exists():
        _dgpg("train", *run.train, "--device", "cpu", "--seed", "0", "--log", "none", "--out", str(folder))
    _dgpg("evaluate", str(folder), "--episodes", str(run.episodes))
    return [Path(shutil.copy(folder / f"{one}.svg", figure(name, one))) for one in run.shown]


def figure(name: str, shown: str) -> Path:
    """Where a page finds it."""
    return PLACE / f"{name}_{shown}.svg"


def _dgpg(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "dgpg", *words], check=True, cwd=ROOT)


if __name__ == "__main__":
    for asked in sys.argv[1:] or RUNS:
        print(*draw(asked), sep="\n")
