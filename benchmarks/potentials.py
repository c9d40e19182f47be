"""What the analytical model is worth: models, terms left out, estimators, alpha. N = 50, one JSON line a cell.

python benchmarks/potentials.py --seeds 2
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
from common import FOLLOWING, emit, heuristics, train_and_measure
from publishing import published

MARKS = [10, 20, 40]
VARIANTS: dict[str, Mapping[str, Any]] = {
    "cloud.capacity, all_action": {},
    "cloud.capacity, exact": {"train": {"estimator": "exact"}},
    "cloud.capacity, first_order": {"train": {"estimator": "first_order"}},
    "cloud.capacity without its stranded term": {"without": "stranded"},
    "cloud.capacity without its price term": {"without": "price"},
    "cloud.headroom": {"model": "cloud.headroom"},
    "cloud.demand (distance)": {"model": "cloud.demand"},
    "cloud.fluid (distance on work, misleads)": {"model": "cloud.fluid"},
    "alpha = 1": {"train": {"alpha": {"start": 1.0, "end": 1.0}}},
    "alpha = 0.9": {"train": {"alpha": {"start": 0.9, "end": 0.9}}},
    "alpha 0.9 to 0": {"train": {"alpha": {"start": 0.9, "end": 0.0}}},
}


def main() -> None:
    """Print costs over h, mean over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", default=["default", "waiting"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=None, help="torch threads; chosen by size by default")
    args = parser.parse_args()
    for preset in args.preset:
        settings = {"num_agents": 50, "preset": preset}
        h = heuristics(settings).h
        for name in args.variants:
            run = {"model": "cloud.capacity", **VARIANTS[name]}
            run["train"] = {"threads": args.threads, **FOLLOWING, **run.get("train", {})}
            results = [train_and_measure(settings, MARKS, seed=seed, **run) for seed in range(args.seeds)]
            curve = {m: round(float(np.mean([r["curve"][m] for r in results])) / h, 3) for m in MARKS}
            emit({"preset": preset, "variant": name, "over_h": curve})


if __name__ == "__main__":
    published(main)
