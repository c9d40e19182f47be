"""Several runs on the same arrivals, with what each of them cost to train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dgpg.domain import SupportsViews
from dgpg.errors import RunError
from dgpg.measuring.evaluate import NetworkPolicy, cost_unit, episode_costs, interval
from dgpg.runs import RunFolder, Trained, open_trained
from dgpg.runs.differences import differences

EFFORT = ("iteration", "episodes", "env_steps", "agent_steps", "updates", "wall_s")


def compare_runs(paths: Sequence[Path], episodes: int, seed: int) -> dict[str, Any]:
    """Cost of each stochastic policy, its effort, and means over runs that differ in seed alone.

    Runs that got to different iterations are not averaged. Runs of different domains or settings have no
    common arrivals and are refused.

    Raises:
        RunError: the runs have no common arrivals.
    """
    opened = [open_trained(path, {}) for path in paths]
    first = opened[0]
    for path, trained in zip(paths, opened, strict=True):
        other = [f"{trained.run.domain} instead of {first.run.domain}"]
        if trained.run.domain == first.run.domain:
            other = differences(_system(first), _system(trained), between="there")
        if other:
            raise RunError(
                f"{path} has another domain or other settings than {paths[0]}, "
                f"so they have no common arrivals: {'; '.join(other)}"
            )
    runs, groups = [], dict[str, list[Any]]()
    for path, trained in zip(paths, opened, strict=True):
        policy = NetworkPolicy(trained.team, "stochastic")
        costs = episode_costs(trained.domain, trained.config, policy, episodes, seed, trained.device)
        log = [line for line in RunFolder(path).read_log() if line["iteration"] <= trained.iteration]
        effort = {name: log[-1][name] for name in EFFORT} if log else dict.fromkeys(EFFORT, 0)
        run = trained.run
        record = {
            "run": str(path), "algorithm": run.algorithm, "model": run.model or "", "rounds": run.coordination.rounds,
            "seed": run.seed,
        }  # fmt: skip
        runs.append(record | {"cost": float(costs.mean()), "ci95": list(interval(costs))} | effort)
        key = f"{trained.iteration} {run.model_copy(update={'seed': 0}).model_dump_json()}"
        groups.setdefault(key, []).append((record, costs.mean()))
    return {"cost_unit": cost_unit(opened[0]), "runs": runs, "groups": [_group(g) for g in groups.values()]}


def _system(trained: Trained) -> dict[str, Any]:
    """The settings that decide what happens, in the shape of `RunConfig`."""
    views = trained.domain.views if isinstance(trained.domain, SupportsViews) else ()
    return {"settings": trained.config.model_dump(mode="json", exclude=set(views))}


def _group(members: list[Any]) -> dict[str, Any]:
    record, costs = members[0][0], np.array([cost for _, cost in members])
    spread = {"cost": float(costs.mean()), "ci95": list(interval(costs)), "seeds": len(costs)}
    return {name: record[name] for name in ("algorithm", "model", "rounds")} | spread
