"""What `cloud.headroom` counts, chosen on tuning arrivals: the share of capacity from which jobs wait, and its weight.

    python benchmarks/headroom.py

N = 50, K = 8, instance 0; costs after ten iterations without rounds and with three, of the stochastic policy (greedy),
mean of two seeds. `cloud.capacity` is 1 and 1.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import TUNING_ARRIVALS, emit
from coordination import Place, trained
from publishing import published

from dgpg.measuring import NetworkPolicy
from dgpg_cloud.models.potentials import HeadroomModel

TRIED = [(1.0, 1.0), (0.9, 1.0), (0.8, 1.0), (0.7, 1.0), (0.8, 0.5), (0.8, 2.0), (0.7, 2.0), (0.8, 4.0)]
CELLS = ("no rounds, K = 8", "R = 3, K = 8")


def main() -> None:
    """One row a pair of numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", default=["default", "waiting"])
    parser.add_argument("--tried", nargs="+", type=float, help="pairs in a row: full crowd full crowd ...")
    args = parser.parse_args()
    tried = TRIED if args.tried is None else list(zip(args.tried[::2], args.tried[1::2], strict=True))
    for preset in args.preset:
        place = Place(preset, 50, 0, TUNING_ARRIVALS)
        for HeadroomModel.full, HeadroomModel.crowd in tried:
            costs = {cell: _cost(place, cell) for cell in CELLS}
            emit({"preset": preset, "full": HeadroomModel.full, "crowd": HeadroomModel.crowd, **costs})


def _cost(place: Place, cell: str) -> dict[str, float]:
    found: dict[str, list[float]] = {"stochastic": [], "greedy": []}
    for seed in range(2):
        plan, trainer = trained(place, cell, seed, 10)
        found["stochastic"].append(place.cost(plan, NetworkPolicy(trainer.team, "stochastic")))
        found["greedy"].append(place.cost(plan, NetworkPolicy(trainer.team, "greedy")))
    return {mode: float(np.mean(costs)) for mode, costs in found.items()}


if __name__ == "__main__":
    published(main)
