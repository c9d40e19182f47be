"""The search behind the settings in dgpg/algorithms.py: the same candidates for every algorithm.

    python benchmarks/tune.py > tune.jsonl

Cloud domain, N = 50, both presets, one seed, cost of the stochastic policy on arrivals that no published figure uses.
"""

from __future__ import annotations

from common import emit, train_and_measure

TUNING_ARRIVALS = 10_000
CANDIDATES = [
    {"actor_lr": lr, "critic_lr": 3e-3, "gamma": gamma, "lambda_": lambda_, "entropy": entropy}
    for lr, gamma, lambda_, entropy in (
        (3e-3, 0.95, 0.9, 1e-3),
        (3e-3, 0.95, 0.0, 1e-3),
        (6e-3, 0.95, 0.9, 1e-3),
        (6e-3, 0.95, 0.5, 1e-3),
        (6e-3, 0.90, 0.9, 1e-3),
        (1e-2, 0.95, 0.9, 1e-3),
        (1e-2, 0.90, 0.5, 1e-3),
        (1e-2, 0.90, 0.0, 1e-3),
        (1e-2, 0.95, 0.9, 0.0),
        (1e-2, 0.90, 0.9, 0.0),
        (1e-3, 0.99, 0.9, 0.0),
        (6e-3, 0.99, 0.0, 1e-3),
    )
]


def main() -> None:
    """One JSON line a candidate, algorithm and preset."""
    for candidate in CANDIDATES:
        for algorithm in ("dg-pg", "mappo", "ippo", "ippo-local"):
            for preset in ("default", "waiting"):
                settings = {"num_agents": 50, "preset": preset}
                found = train_and_measure(settings, [10, 20, 40], TUNING_ARRIVALS, algorithm=algorithm, train=candidate)
                emit({"algorithm": algorithm, "preset": preset, **candidate, "cost": found["curve"]})


if __name__ == "__main__":
    main()
