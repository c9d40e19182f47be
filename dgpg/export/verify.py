"""A written policy held against torch: the same decisions, or no file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dgpg.domain import Environment, random
from dgpg.errors import RunError
from dgpg.export.graph import Decide
from dgpg.export.speaking import Turn
from dgpg.learning.rounds import Team

Rows = Mapping[str, Tensor]
Arrays = Mapping[str, Any]
Graph = Decide | Turn
TOLERANCE = 1e-5
"""Of numbers, over `size`: float32 knows seven digits of the largest number that it adds up."""
CASES = 3
"""Least number of `cases`."""
OF_CHOICES = ("choices", "mask")
"""Inputs with a part for each choice, of which there may be any number."""
SPAN = 3.0
"""Random features reach so many times as far as those that were recorded."""


@dataclass(frozen=True)
class Compared:
    """What a comparison found."""

    decisions: int = 0
    largest_difference: float = 0.0
    ties: int = 0

    def __add__(self, other: Compared) -> Compared:
        """Of both together."""
        largest = max(self.largest_difference, other.largest_difference)
        return Compared(self.decisions + other.decisions, largest, self.ties + other.ties)

    def told(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "tolerance": TOLERANCE}


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


def with_noise(graph: Graph, rows: Rows, chance: torch.Generator) -> dict[str, Tensor]:
    """The same rows `[R, ...]` with a draw of their own."""
    if not graph.drawn:
        return dict(rows)
    make = torch.rand if graph.chance == "uniform" else torch.randn
    return {**rows, "noise": make(rows["noise"].shape, generator=chance)}


def cases(graph: Graph, known: Rows, seed: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Rows `[R, ...]`: recorded, random far around those, ends of the ranges, masks of one choice, fewer choices."""
    chance = random.generator(random.derive(seed, "verify"))
    features = [name for name in ("agent", "choices", "here", "heard") if name in known]
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
    if isinstance(graph, Decide) and graph.kind == "choice" and known["mask"].shape[1] > 2:
        fewer = known["mask"].shape[1] - 1
        cut = {name: x[:, :fewer] for name, x in far.items() if name in OF_CHOICES}
        yield "fewer choices", {**far, **cut, "mask": cut["mask"] | True}


@torch.no_grad()
def verify(graph: Graph, session: Any, known: Rows, seed: int) -> Compared:
    """How many decisions were compared, the largest difference, and choices of equal worth that fell otherwise.

    Raises:
        RunError: a choice that differs and is not as good, or a number beyond the tolerance, with the case and the row.
    """
    found = Compared()
    for case, rows in cases(graph, known, seed):
        expected = dict(zip(graph.outputs(), (x.numpy() for x in graph(**rows)), strict=True))
        given = {name: x.numpy() for name, x in rows.items()}
        got = dict(zip(graph.outputs(), session.run(list(graph.outputs()), given), strict=True))
        found += compare(case, expected, got, sizes(graph, rows), given.get("noise"))
    return found


@torch.no_grad()
def verify_everyone(graph: Decide, session: Any, known: Rows, agents: int, seed: int) -> Compared:
    """The same of all agents at once against one by one: each with something that it, or another, was seen with.

    Raises:
        RunError: as `verify`.
    """
    chance, found = random.generator(random.derive(seed, "everyone")), Compared()
    index = torch.arange(agents)
    for _ in range(-(-len(known["index"]) // agents)):
        at = torch.randint(len(known["index"]), (agents,), generator=chance)
        rows = {**{name: x[at] for name, x in known.items()}, "index": index}
        expected = dict(zip(graph.outputs(), (x.numpy() for x in graph(**rows)), strict=True))
        given = {name: x.numpy() for name, x in rows.items() if name != "index"}
        got = dict(zip(graph.outputs(), session.run(list(graph.outputs()), given), strict=True))
        found += compare("everyone's", expected, got, sizes(graph, rows), given.get("noise"))
    return found


def compare(case: str, expected: Arrays, got: Arrays, relative: Arrays, noise: Any) -> Compared:
    """Outputs by name, a row a decision, that should be the same.

    Args:
        case: what decisions they are.
        expected: torch's.
        got: the file's.
        relative: what differences are relative to, `[R]` by name, see `sizes`.
        noise: that draws were made by.

    Raises:
        RunError: one is not.
    """
    largest, ties = 0.0, 0
    for name, right in expected.items():
        if right.dtype.kind == "f":
            apart = difference(right, got[name], relative[name])
            bad, largest = apart > TOLERANCE, max(largest, float(apart.max(initial=0.0)))
        else:
            other, drawn = right != got[name], None if name == "greedy" else noise
            bad = other & ~as_good(expected["log_probability"], got[name], TOLERANCE * relative[name], drawn)
            ties += int(other.sum())
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise RunError(
                f"the exported policy differs from torch: {name} in {case} decision {row} is {got[name][row]}, "
                f"expected {right[row]}; nothing was written. Please report it, with `dgpg --version`"
            )
    return Compared(len(next(iter(relative.values()))), largest, ties)


def sizes(graph: Graph, rows: Rows) -> dict[str, Any]:
    """What differences of each output are relative to, `[R]`: `size`; of what is said, the largest that could be."""
    found = dict.fromkeys(graph.outputs(), size(graph, rows))
    if "said" in found:
        found["said"] = rows["value"].abs().flatten(1).amax(1).clamp(min=1).double().numpy()
    return found


def size(graph: Graph, rows: Rows) -> Any:
    """What differences are relative to, `[R]`, 1 at least: the largest logit of what is allowed, or end of the bounds.

    Log probabilities are differences of logits and have their rounding; a base point of 0 MW has that of its range.
    """
    if isinstance(graph, Decide) and graph.kind == "numbers":
        largest = torch.maximum(graph.low.abs(), graph.high.abs())[rows["index"]].flatten(1)
    else:
        raw = graph.scores(rows)
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
