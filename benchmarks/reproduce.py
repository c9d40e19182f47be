"""Run a quick part of the published figures again and say of each whether it is inside its band.

    python benchmarks/reproduce.py

Bands stand with the tables in docs/results/data: published figure, lowest, highest, why that is the band, the command
that measures it again, and where in what the command emits it is. Ends with 1 if a figure is outside. Power needs
PGLib's files under DGPG_DATA.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from publishing import FOLDER, ROOT, flat


def bands() -> list[dict[str, Any]]:
    """Every figure that has a band, with the name of its table."""
    tables = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json")) if path.stem != "said"}
    return [{**band, "table": name} for name, table in tables.items() for band in table.get("bands", ())]


def rerun(command: str) -> list[dict[str, Any]]:
    """What a command emits; none if it fails, after its own message."""
    arguments = [sys.executable, *shlex.split(command)[1:]]
    ran = subprocess.run(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return [flat(json.loads(line)) for line in ran.stdout.splitlines() if line.startswith("{")]


def compare(figure: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Published, band, measured, and whether the one is inside the other."""
    wanted = figure["where"].items()
    found = next(
        (r[figure["column"]] for r in rows if all(r.get(k) == v for k, v in wanted) if figure["column"] in r), None
    )
    value = None if found is None else float(found)
    said = "inside" if value is not None and figure["low"] <= value <= figure["high"] else "OUTSIDE"
    measured = "nothing measured" if value is None else f"measured {value:.4g}"
    band = f"{figure['low']:g} to {figure['high']:g}"
    return f"{said:8} {figure['says']}: {measured}, published {figure['published']:g}, band {band} ({figure['why']})"


def main() -> int:
    """One line a figure."""
    figures, outside = bands(), 0
    for command in dict.fromkeys(figure["command"] for figure in figures):
        began, cpu = time.perf_counter(), os.times().children_user
        print(f"\n{command}", flush=True)
        rows = rerun(command)
        for line in (compare(figure, rows) for figure in figures if figure["command"] == command):
            outside += line.startswith("OUTSIDE")
            print(f"  {line}", flush=True)
        spent = os.times().children_user - cpu
        print(f"  {time.perf_counter() - began:.0f} s, {spent:.0f} s of a processor", flush=True)
    print(f"\n{len(figures) - outside} of {len(figures)} inside")
    return int(outside > 0)


if __name__ == "__main__":
    sys.exit(main())
