"""What the tests of run folders write, and what lies there."""

from pathlib import Path
from typing import Any

import torch

from dgpg.learning import RunConfig

CPU = torch.device("cpu")
CONFIG = RunConfig(domain="toy", algorithm="mappo")


def state(iteration: int) -> dict[str, Any]:
    return {"weights": torch.full((50,), float(iteration)), "counters": {"iteration": iteration}}


def line(iteration: int) -> dict[str, float]:
    return {"iteration": iteration, "cost": 1 / (iteration + 1), "share_rollout": 0.5}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
