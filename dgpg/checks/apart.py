"""An environment that says so goes on to the last bit whatever batch it is in, and its states come apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dgpg.checks.nested import copied, difference
from dgpg.checks.subject import LONGEST, Subject
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.domain import Environment, Step, SupportsParts
from dgpg.domain.types import Record, map_tensors

CAUSES = {
    "batch": (
        "a number of the batch, or a kernel whose last bits depend on how many rows there are (products of matrices, "
        "sigmoids)",
        "compute each environment by itself to the last bit, or leave `apart` and `joined` out",
    ),
    "apart": (
        "numbers that count through the batch, or a length that is the longest of it, are not made anew",
        "let `apart` save what a batch of these environments alone would have saved",
    ),
    "joined": (
        "numbers that count through the batch, or a length that is the longest of it, are not made anew",
        "let `joined` make what one batch of all would have saved, environments in the order of the states",
    ),
}


def parts(subject: Subject) -> None:
    """Environments go on to the last bit alone as in a batch, and their states come apart, if they have `apart`."""
    env = subject.make_env()
    if not isinstance(env, SupportsParts):
        raise Skipped("the environment has no `apart` and `joined`: shards of a process take their steps in turn")
    given, sizes, at = [m.actions_then for m in subject.episode], [1, subject.num_envs - 1], _middle(env)
    subject.replay(env, given[:at])
    saved = env.apart(env.state_dict(), sizes)
    for state, rows in zip(saved, (slice(0, 1), slice(1, subject.num_envs)), strict=True):
        who = f"environments {rows.start} to {rows.stop - 1} of a batch"
        alone = subject.make_env(seed=subject.seed + rows.start, num_envs=rows.stop - rows.start)
        _, steps = subject.replay(alone, [x[rows] for x in given[:at]])
        _alike("apart", f"what {who} saved after {at} steps", state, alone.state_dict())
        steps += _continued(alone, [x[rows] for x in given[at:]])
        for t, (m, step) in enumerate(zip(subject.episode, steps, strict=True)):
            _alike("batch", f"step {t} of {who}", _shown(_cut(m.step_then, rows)), _shown(step))
    other: Any = subject.make_env(seed=subject.seed + 1)
    other.load_state_dict(dict(env.joined(saved)))
    for t, (m, step) in enumerate(zip(subject.episode[at:], _continued(other, given[at:]), strict=True), at):
        _alike("joined", f"step {t} from a state put together after step {at}", _shown(m.step_then), _shown(step))


def _middle(env: Environment) -> int:
    return min(env.horizon, LONGEST) // 2


def _continued(env: Environment, given: Sequence[Tensor]) -> list[Step]:
    return [copied(env.step(actions.clone())) for actions in given]


def _cut(record: Record, rows: slice) -> Record:
    return map_tensors(lambda x: x[rows], record)


def _shown(step: Step) -> Step:
    """What learning sees: no measures, and a last moment where there was an end."""
    final, ended = step.final, step.terminated | step.truncated
    if final is not None:
        kept = ended.nonzero().squeeze(-1)
        final = map_tensors(lambda x: torch.index_select(x, 0, kept), final) if len(kept) else None
    return replace(step, final=final, measures={})


def _alike(what: str, where: str, first: Any, second: Any) -> None:
    found = difference(first, second)
    if found:
        cause, fix = CAUSES[what]
        pair = "in the batch and alone" if what != "joined" else "before and after"
        raise CheckFailed(where, expected="the same, bit for bit", got=f"{pair}, {found}", cause=cause, fix=fix)
