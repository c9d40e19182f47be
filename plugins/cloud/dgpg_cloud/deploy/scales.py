"""What features, rules and the model need of an instance: `plain` of `policy.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESOURCES = ("vcpu", "memory_gib", "gpu")
"""What a machine has, in an operator's units; the first R of them are of an instance."""
LARGE_JOB = (8.0, 32.0, 4.0)
"""vCPU, GiB, GPU that features of a job are divided by, so that they are of order one."""
LARGE_MACHINE = (16.0, 64.0, 8.0)
"""The same of a machine."""


@dataclass(frozen=True)
class Scales:
    """Numbers of the instance that a policy was trained in."""

    resources: int
    """R: vCPU and memory, or GPU too."""
    step_s: float | None
    """Seconds of a step; None where jobs were synthetic, whose time is in steps."""
    queue_places: int
    """Jobs that may wait at a node."""
    mean_job: tuple[float, float]
    """vCPU and steps (at speed 1) of a job on average."""
    weights: tuple[float, float, float]
    """Of jobs waiting, USD per hour, and USD per hour stranded: what a step costs."""
    model: tuple[float, float]
    """Share of capacity above which jobs wait, and how many wait for one too many."""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Scales:
        """From what the export wrote."""
        lists: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in told.items()}
        return cls(**lists)

    def json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @cached_property
    def places(self) -> NDArray[np.float32]:
        """`queue_places` as features count."""
        return np.array(self.queue_places, np.float32)

    def steps(self, seconds: float) -> float:
        """Whole steps of a run time at speed 1, rounded up as the clock of a trace does."""
        assert self.step_s is not None
        return float(max(np.ceil(seconds / self.step_s * (1 - 1e-12)), 1))
