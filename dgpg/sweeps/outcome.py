"""What candidates came to: costs over their seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from dgpg.sweeps.folder import SweepFolder
from dgpg.sweeps.jobs import Candidate, Job


@dataclass(frozen=True)
class Outcome:
    """Of a candidate."""

    candidate: Candidate
    costs: tuple[float, ...]
    """Of the sampled policy, an agent and step, for each seed that was measured."""
    greedy: tuple[float, ...]
    """Of the policy at its most probable choice."""
    wall_s: float
    """Mean time that a training took."""
    runs: tuple[str, ...]
    """Their folders."""
    failed: tuple[str, ...] = ()
    """Runs that were not measured."""

    @property
    def cost(self) -> float | None:
        """Mean over seeds; None if none was measured."""
        return fmean(self.costs) if self.costs else None

    def json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "varied": dict(self.candidate.varied),
            "trial": self.candidate.trial,
            "cost": self.cost,
            "costs": list(self.costs),
            "greedy": list(self.greedy),
            "wall_s": self.wall_s,
            "runs": list(self.runs),
            "failed": list(self.failed),
        }


def outcome(folder: SweepFolder, candidate: Candidate, seeds: Sequence[int]) -> Outcome:
    """What its runs came to so far."""
    found: list[tuple[Job, dict[str, Any]]] = []
    failed = []
    for job in candidate.jobs(seeds):
        measured = folder.measured(job)
        if measured is None:
            failed.append(job.name)
        else:
            found.append((job, measured))
    return Outcome(
        candidate,
        tuple(one["cost"] for _, one in found),
        tuple(one["greedy"] for _, one in found),
        fmean(one["wall_s"] for _, one in found) if found else 0.0,
        tuple(str(folder.run(job)) for job, _ in found),
        tuple(failed),
    )


def outcomes(folder: SweepFolder, candidates: Sequence[Candidate], seeds: Sequence[int]) -> list[Outcome]:
    """Of all, those of one system with the lowest cost first: costs of other settings do not compare."""
    found = [outcome(folder, one, seeds) for one in candidates]
    order = {_system(one.candidate): place for place, one in reversed(list(enumerate(found)))}
    return sorted(found, key=lambda one: (order[_system(one.candidate)], one.cost is None, one.cost or 0.0))


def _system(candidate: Candidate) -> str:
    return repr(candidate.values.get("settings", {}))
