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
"""Of numbers, over `size`: float32 knows seven digits of the largest number that it adds up."""
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
    """How many decisions were compared, the largest difference, and choices of equal worth that fell otherwise.

    Raises:
        RunError: a choice that differs and is not as good, or a number beyond the tolerance, with the case and the row.
    """
    count, largest, ties = 0, 0.0, 0
    for case, rows in cases(graph, known, seed):
        expected = dict(zip(graph.outputs(), (x.numpy() for x in graph(**rows)), strict=True))
        given = {name: x.numpy() for name, x in rows.items()}
        found = dict(zip(graph.outputs(), session.run(list(graph.outputs()), given), strict=True))
        relative = size(graph, rows)
        for name, right in expected.items():
            got = found[name]
            if right.dtype.kind == "f":
                apart = difference(right, got, relative)
                bad, largest = apart > TOLERANCE, max(largest, float(apart.max(initial=0.0)))
            else:
                other = right != got
                noise = None if name == "greedy" else given["noise"]
                bad = other & ~as_good(expected["log_probability"], got, TOLERANCE * relative, noise)
                ties += int(other.sum())
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                raise RunError(
                    f"the exported policy differs from torch: {name} in {case} decision {row} is {got[row]}, "
                    f"expected {right[row]}; nothing was written. Please report it, with `dgpg --version`"
                )
        count += len(given["agent"])
    return {"decisions": count, "largest_difference": largest, "tolerance": TOLERANCE, "ties": ties}


def size(graph: Decide, rows: Rows) -> Any:
    """What differences are relative to, `[R]`, 1 at least: the largest logit of what is allowed, or end of the bounds.

    Log probabilities are differences of logits and have their rounding; a base point of 0 MW has that of its range.
    """
    if graph.kind == "numbers":
        largest = torch.maximum(graph.low.abs(), graph.high.abs())[rows["index"]].flatten(1)
    else:
        raw = graph.raw(rows["agent"], rows.get("index"), rows.get("choices"))
        largest = (raw.abs() * rows["mask"] if raw.shape == rows["mask"].shape else raw.abs()).flatten(1)
    return largest.amax(1).clamp(min=1).double().numpy()


def as_good(logs: Any, choice: Any, off: Any, noise: Any) -> Any:
    """Whether a choice is one that rounding leaves open, `[R]`.

    Without chance: nothing is more probable than rounding explains. Drawn: `noise` lies as near to the choice's part of
    the distribution.

    Args:
        logs: log pi(k) `[R, K]`, torch's.
        choice: the file's, `[R]`.
        off: what log probabilities may be off by, `[R]`.
        noise: uniform `[R]`; None without chance.
    """
    logs, at = logs.astype(np.float64), np.arange(len(logs))
    inside = (choice >= 0) & (choice < logs.shape[1])
    choice = choice.clip(0, logs.shape[1] - 1)
    allowed = inside & np.isfinite(logs[at, choice])
    if noise is None:
        return allowed & (logs.max(1) - logs[at, choice] <= 2 * off)
    share = np.exp(logs)
    above = share.cumsum(1)[at, choice]
    return allowed & (above - share[at, choice] - off <= noise) & (noise <= above + off)


def difference(right: Any, got: Any, size: Any) -> Any:
    """Largest difference of each row over its `size` `[R]`; inf where one alone is infinite or no number."""
    right, got = (np.asarray(x, np.float64).reshape(len(x), -1) for x in (right, got))
    same = (right == got) | (np.isnan(right) & np.isnan(got))
    with np.errstate(invalid="ignore"):
        apart = np.abs(right - got) / np.asarray(size)[:, None]
    return np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart)).max(1, initial=0.0)
