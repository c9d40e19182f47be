"""Several runs on the same arrivals, with what each of them cost to train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dgpg.domain import SupportsViews
from dgpg.errors import RunError
from dgpg.learning import RunConfig
from dgpg.measuring.evaluate import NetworkPolicy, Watch, cost_unit, play, recorded_episodes, unwatched
from dgpg.measuring.statistics import ROUGH, Costs, difference, interval, rough
from dgpg.runs import RunFolder, Trained, open_trained
from dgpg.runs.differences import differences

EFFORT = ("iteration", "episodes", "env_steps", "agent_steps", "updates", "wall_s")


@dataclass(frozen=True)
class Measured:
    """A run and what its stochastic policy costs."""

    path: Path
    run: RunConfig
    iteration: int
    """The run's when it was measured."""
    cost: Costs
    """An agent and step, `[E]`."""
    block: int
    """Neighbours that an interval draws together."""


def compare_runs(paths: Sequence[Path], episodes: int, seed: int, watch: Watch = unwatched) -> dict[str, Any]:
    """Cost of each stochastic policy, its effort, and means over runs that differ in seed alone.

    Each run is held against the first and each group against the first group, episode by episode on the same arrivals.
    Runs that got to different iterations are not averaged. `watch` is told what is done and how far it is.

    Raises:
        RunError: the runs have no common arrivals, or two of them are one training.
    """
    opened = open_runs(paths)
    draws = recorded_episodes(opened[0][1], episodes)
    found = []
    for place, (path, trained) in enumerate(opened):

        def tick(share: float, place: int = place, path: Path = path) -> None:
            watch(f"measuring {path}, {place + 1} of {len(opened)}", (place + share) / len(opened))

        policy = NetworkPolicy(trained.team, "stochastic")
        played = play(trained.domain, trained.config, policy, draws.count, seed, trained.device, tick)
        found.append(Measured(path, trained.run, trained.iteration, played.cost, draws.block))
    notes = [f"{path}: {line}" for path, trained in opened for line in trained.notes]
    return held_together(found, cost_unit(opened[0][1]), [*notes, *draws.notes])


def held_together(found: Sequence[Measured], unit: str, notes: Sequence[str] = ()) -> dict[str, Any]:
    """Runs measured in the same episodes, each against the first; means over those that differ in seed alone."""
    by_settings = dict[str, list[Measured]]()
    for one in found:
        by_settings.setdefault(but_seed(one.run, one.iteration), []).append(one)
    groups, episodes = list(by_settings.values()), len(found[0].cost)
    return {
        "cost_unit": unit,
        "episodes": episodes,
        "runs": [_run(one, found[0]) for one in found],
        "groups": [_group(group, groups[0]) for group in groups],
        "notes": [*notes, *_notes(groups, episodes)],
    }


def open_runs(paths: Sequence[Path]) -> list[tuple[Path, Trained]]:
    """Runs that can be compared.

    Raises:
        RunError: they have no common arrivals, or two of them are one training.
    """
    opened = [(path, open_trained(path, {})) for path in paths]
    (first_path, first), *others = opened
    for path, trained in others:
        other = [f"{trained.run.domain} instead of {first.run.domain}"]
        if trained.run.domain == first.run.domain:
            other = differences(system(first), system(trained), between="there")
        if other:
            raise RunError(
                f"{path} has another domain or other settings than {first_path}, "
                f"so they have no common arrivals: {'; '.join(other)}"
            )
    for place, (path, trained) in enumerate(opened):
        for earlier, before in opened[:place]:
            if why := _same_training(before, trained):
                raise RunError(
                    f"{earlier} and {path} {why}: as two seeds they would count the same numbers twice. "
                    "Leave one out, or train another with another --seed"
                )
    return opened


def _same_training(one: Trained, other: Trained) -> str:
    """Why two runs of a group do not vary independently; "" if they do."""
    if but_seed(one.run, one.iteration) != but_seed(other.run, other.iteration):
        return ""
    weights, others = (run.team.actor.state_dict() for run in (one, other))
    if all(torch.equal(weights[name], others[name]) for name in weights):
        return "are the same run, weight for weight"
    return f"are the same training twice, both of seed {one.run.seed}" if one.run.seed == other.run.seed else ""


def but_seed(run: RunConfig, iteration: int) -> str:
    """What runs that differ in seed alone have in common: settings and how far they got."""
    return f"{iteration} {run.model_copy(update={'seed': 0}).model_dump_json()}"


def system(trained: Trained) -> dict[str, Any]:
    """The settings that decide what happens, in the shape of `RunConfig`."""
    views = trained.domain.views if isinstance(trained.domain, SupportsViews) else ()
    return {"settings": trained.config.model_dump(mode="json", exclude=set(views))}


def _run(one: Measured, first: Measured) -> dict[str, Any]:
    run = one.run
    log = [line for line in RunFolder(one.path).read_log() if line["iteration"] <= one.iteration]
    effort = {name: log[-1].get(name, 0) if log else 0 for name in EFFORT}
    record = {
        "run": str(one.path), "algorithm": run.algorithm, "model": run.model or "", "rounds": run.coordination.rounds,
        "seed": run.seed, "cost": float(one.cost.mean()), "ci95": interval(one.cost, one.block),
    }  # fmt: skip
    against = None if one is first else difference(one.cost, first.cost, str(first.path), one.block).json()
    return record | effort | {"difference": against}


def _group(members: Sequence[Measured], first: Sequence[Measured]) -> dict[str, Any]:
    """Mean over seeds: its interval is over seeds, its difference over episodes of these seeds."""
    run, cost = members[0].run, np.array([one.cost.mean() for one in members])
    against = (
        None if members is first else difference(_over_seeds(members), _over_seeds(first), _name(first), first[0].block)
    )
    return {
        "algorithm": run.algorithm, "model": run.model or "", "rounds": run.coordination.rounds,
        "iteration": members[0].iteration, "cost": float(cost.mean()), "ci95": interval(cost),
        "ci95_over": "seeds", "seeds": len(members), "runs": [str(one.path) for one in members],
        "difference": against and against.json() | {"ci95_over": "episodes"},
    }  # fmt: skip


def _over_seeds(members: Sequence[Measured]) -> Costs:
    mean: Costs = np.stack([one.cost for one in members]).mean(0)
    return mean


def _name(members: Sequence[Measured]) -> str:
    return " and ".join(str(one.path) for one in members)


def _notes(groups: Sequence[Sequence[Measured]], episodes: int) -> list[str]:
    """What a reader of the numbers should know."""
    notes = list[str]()
    few = sorted({len(group) for group in groups if 1 < len(group) < ROUGH})
    if few:
        notes.append(f"{' and '.join(map(str, few))} seeds: an interval over so few is rough, and rather too narrow")
    if len(groups) > 1:
        notes.append("differences of groups: over episodes, for these seeds; other seeds may differ by more")
    return notes + rough(episodes)
