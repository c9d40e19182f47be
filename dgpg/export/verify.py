"""A written policy held against torch: the same decisions, or no file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dgpg.domain import Environment, random
from dgpg.errors import RunError
from dgpg.export.graph import Decide
from dgpg.learning.rounds import Team

Rows = Mapping[str, Tensor]
TOLERANCE = 1e-5
"""Of numbers, relative to their size where that is above 1."""
CASES = 3
"""Least number of `cases`."""
SPAN = 3.0
"""Random features reach so many times as far as those that were recorded."""


@torch.no_grad()
def recorded(graph: Decide, team: Team, env: Environment, least: int, seed: int) -> dict[str, Tensor]:
    """What agents that act see along episodes of the policy, at least so many rows `[R, ...]`; noise is drawn."""
    chance, parts, count = random.generator(random.derive(seed, "export")), list[dict[str, Tensor]](), 0
    decision = env.reset()
    while count < least:
        active = decision.observation.active.flatten().cpu()
        rows = {name: x[active] for name, x in graph.inputs(decision).items()}
        parts.append(rows)
        count += int(active.sum())
        shape = (env.num_envs, env.num_agents, *(env.action_space.shape or ())[1:])
        noise = torch.rand(shape, generator=chance).to(decision.observation.mask.device)
        policy = team.policy(decision, noise)
        decision = env.step(team.kind.to_env(team.kind.sample(policy, noise))).decision
    return with_noise(graph, {name: torch.cat([part[name] for part in parts]) for name in parts[0]}, chance)


def with_noise(graph: Decide, rows: Rows, chance: torch.Generator) -> dict[str, Tensor]:
    """The same rows `[R, ...]` with a draw of their own."""
    if not graph.drawn:
        return dict(rows)
    make = torch.rand if graph.chance == "uniform" else torch.randn
    return {**rows, "noise": make(rows["noise"].shape, generator=chance)}


def cases(graph: Decide, known: Rows, seed: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Rows `[R, ...]`: recorded, random far around those, ends of the ranges, masks of one choice, fewer choices."""
    chance = random.generator(random.derive(seed, "verify"))
    features = [name for name in ("agent", "choices") if name in known]
    low = {name: known[name].flatten(0, -2).min(0).values for name in features}
    high = {name: known[name].flatten(0, -2).max(0).values for name in features}
    yield "recorded", dict(known)
    far = dict(known)
    for name in features:
        middle, half = (low[name] + high[name]) / 2, (high[name] - low[name]) / 2 + 1e-3
        far[name] = middle + SPAN * half * (2 * torch.rand(known[name].shape, generator=chance) - 1)
    yield "random", with_noise(graph, far, chance)
    ends = dict(known)
    for name in features:
        up = torch.rand(known[name].shape, generator=chance) < 0.5
        ends[name] = torch.where(up, high[name], low[name])
    yield "edges", with_noise(graph, ends, chance)
    if "mask" in known:
        choices = known["mask"].shape[1]
        one = torch.randint(choices, (len(known["mask"]),), generator=chance)
        yield "one choice", {**known, "mask": torch.nn.functional.one_hot(one, choices).bool()}
        some = torch.rand(known["mask"].shape, generator=chance) < 0.3
        yield "few choices", {**far, "mask": some | torch.nn.functional.one_hot(one, choices).bool()}
    if graph.kind == "choice" and known["mask"].shape[1] > 2:
        fewer = known["mask"].shape[1] - 1
        yield "fewer choices", {**far, "choices": far["choices"][:, :fewer], "mask": far["mask"][:, :fewer] | True}


@torch.no_grad()
def verify(graph: Decide, session: Any, known: Rows, seed: int) -> dict[str, Any]:
    """How many decisions were compared, and the largest difference.

    Raises:
        RunError: a choice that differs, or a number beyond the tolerance, with the case and the row.
    """
    count, largest = 0, 0.0
    for case, rows in cases(graph, known, seed):
        expected = [x.numpy() for x in graph(**rows)]
        found = session.run(list(graph.outputs()), {name: x.numpy() for name, x in rows.items()})
        for name, right, got in zip(graph.outputs(), expected, found, strict=True):
            apart = difference(right, got)
            bad = np.flatnonzero(~(apart <= (TOLERANCE if right.dtype.kind == "f" else 0)))
            if len(bad):
                raise RunError(
                    f"the exported policy differs from torch: {name} in {case} decision {bad[0]} is {got[bad[0]]}, "
                    f"expected {right[bad[0]]}; nothing was written. Please report it, with `dgpg --version`"
                )
            largest = max(largest, float(apart.max(initial=0.0)))
        count += len(found[0])
    return {"decisions": count, "largest_difference": largest, "tolerance": TOLERANCE}


def difference(right: Any, got: Any) -> Any:
    """Largest difference of each row, relative to numbers above 1; inf where one alone is infinite or no number."""
    right, got = (np.asarray(x, np.float64).reshape(len(x), -1) for x in (right, got))
    same = (right == got) | (np.isnan(right) & np.isnan(got))
    with np.errstate(invalid="ignore"):
        apart = np.abs(right - got) / np.maximum(1.0, np.abs(right))
    return np.where(same, 0.0, np.nan_to_num(apart, nan=np.inf)).max(1, initial=0.0)
