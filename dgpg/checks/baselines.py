"""Rules that a domain brings to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor

from dgpg.checks.nested import copied, difference
from dgpg.checks.subject import Subject, allowed, continuous, ends, splits
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.domain import Baseline, Decision, Environment, Information, SupportsBaselines, SupportsOwnConfig, random

STEPS = 4
ROUNDING = 1e-5
"""Share of its range by which float32 may carry an entry beyond a bound, or a sum away from one."""


def _rules(subject: Subject) -> Sequence[Baseline]:
    if not isinstance(subject.domain, SupportsBaselines):
        raise Skipped("the domain brings no baselines")
    return subject.domain.baselines(subject.config)


def baseline_names(subject: Subject) -> None:
    """Baselines have unique names and say whether they see the same as an agent, sums of intents, or more."""
    names: set[str] = set()
    for rule in _rules(subject):
        if rule.information not in get_args(Information):
            raise CheckFailed(
                f"information of baseline '{rule.name}'",
                expected=f"one of {', '.join(get_args(Information))}",
                got=repr(rule.information),
                cause="a word of its own",
                fix="'same' if it sees what an agent sees and decides at the same moment, 'sums' if it hears in rounds "
                "what all intend, else 'more'",
            )
        if rule.name in names:
            raise CheckFailed(
                "names of the baselines",
                expected="each only once: rows of a table are told apart by them",
                got=f"'{rule.name}' twice",
                cause="two variants of one rule share a name",
                fix="add what differs to the name",
            )
        names.add(rule.name)


def baseline_actions(subject: Subject) -> None:
    """Baselines do what is allowed, draw chance from `noise` alone and leave the decision as it was."""
    for rule in _rules(subject):
        own = replace(subject, config=rule.config) if isinstance(rule, SupportsOwnConfig) else subject
        chance, env = random.generator(subject.seed), own.make_env()
        decision = env.reset()
        for t in range(STEPS):
            other = allowed(env, decision, chance)
            noise = torch.rand(other.shape, generator=chance).to(subject.device)
            _one_decision(rule, env, decision, noise, other, t)
            decision = env.step(other).decision


def _one_decision(
    rule: Baseline, env: Environment, decision: Decision, noise: Tensor, like: Tensor, t: int
) -> None:  # fmt: skip
    then = copied(decision)
    actions = rule.act(decision, noise)
    if actions.shape != like.shape or actions.dtype != like.dtype:
        raise _act(
            rule, "the joint action", f"{like.dtype} {list(like.shape)}", f"{actions.dtype} {list(actions.shape)}"
        )
    wrong = (~_fine(env, decision, actions)).nonzero()
    if len(wrong):
        b, i = wrong[0].tolist()
        valid = _valid(env, decision, b, i)
        raise _act(rule, f"environment {b}, agent {i}, step {t}", valid, f"{actions[b, i].tolist()}")
    again = difference(actions, rule.act(decision, noise))
    if again:
        raise _act(rule, f"step {t}, asked twice with the same noise", "the same joint action", again)
    where = difference(then, decision)
    if where:
        raise _act(rule, f"the decision it was given in step {t}", "unchanged", where)


def _fine(env: Environment, decision: Decision, actions: Tensor) -> Tensor:
    """Where an entry is one that the agent may give, `[B, N]`; idle agents may give any within the ends."""
    if splits(env):
        outside = actions.masked_fill(decision.observation.mask, 0.0)
        whole = (actions.sum(-1) - 1).abs() <= ROUNDING
        return (whole & (actions >= 0).all(-1) & (outside == 0).all(-1)) | ~decision.observation.active
    low, high = ends(env)
    if continuous(env):
        slack = ROUNDING * (high - low)
        return ((actions >= low - slack) & (actions <= high + slack)).all(-1)
    seen, inside = decision.observation, (actions >= low) & (actions <= high)
    may = seen.mask.gather(-1, actions.clamp(low, high).unsqueeze(-1)).squeeze(-1)
    return inside & (may | ~seen.active)


def _valid(env: Environment, decision: Decision, b: int, i: int) -> str:
    able = decision.observation.mask[b, i].nonzero().flatten().tolist()
    if splits(env):
        return f"shares of choices {able} that are not negative and sum to 1, and 0 for the others"
    if continuous(env):
        low, high = (end[i].tolist() for end in ends(env))
        return f"numbers from {low} to {high}"
    return f"one of {able}"


def _act(rule: Baseline, what: str, expected: str, got: str) -> CheckFailed:
    return CheckFailed(
        f"baseline '{rule.name}': {what}",
        expected=expected,
        got=got,
        cause="mask or bounds are not applied, chance comes from elsewhere than `noise`, or an in-place operation",
        fix="scores.masked_fill(~mask, inf).argmin(-1), clamp to the bounds, or mask shares and divide by their sum; "
        "use `noise` as the only random numbers; clone before changing",
    )
