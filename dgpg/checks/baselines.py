"""Rules that a domain brings to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor

from dgpg import random
from dgpg.checks.nested import copied, difference
from dgpg.checks.subject import Subject, allowed
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.protocols import Baseline, Information, SupportsBaselines, SupportsOwnConfig
from dgpg.types import Decision

STEPS = 4


def _rules(subject: Subject) -> Sequence[Baseline]:
    if not isinstance(subject.domain, SupportsBaselines):
        raise Skipped("the domain brings no baselines")
    return subject.domain.baselines(subject.config)


def baseline_names(subject: Subject) -> None:
    """Baselines have unique names and say whether they see the same as an agent or more."""
    names: set[str] = set()
    for rule in _rules(subject):
        if rule.information not in get_args(Information):
            raise CheckFailed(
                f"information of baseline '{rule.name}'",
                expected=f"one of {', '.join(get_args(Information))}",
                got=repr(rule.information),
                cause="a word of its own",
                fix="'same' if it sees what an agent sees and decides at the same moment, else 'more'",
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
    """Baselines take allowed choices, draw chance from `noise` alone and leave the decision as it was."""
    for rule in _rules(subject):
        own = replace(subject, config=rule.config) if isinstance(rule, SupportsOwnConfig) else subject
        chance, env = random.generator(subject.seed), own.make_env()
        decision = env.reset()
        for t in range(STEPS):
            noise = torch.rand(own.num_envs, env.num_agents, generator=chance).to(subject.device)
            _one_decision(rule, decision, noise, t)
            decision = env.step(allowed(decision, chance)).decision


def _one_decision(rule: Baseline, decision: Decision, noise: Tensor, t: int) -> None:
    then, mask = copied(decision), decision.observation.mask
    actions = rule.act(decision, noise)
    if actions.shape != noise.shape or actions.dtype != torch.int64:
        raise _act(
            rule, "the joint action", f"torch.int64 {list(noise.shape)}", f"{actions.dtype} {list(actions.shape)}"
        )
    inside = (actions >= 0) & (actions < mask.shape[-1])
    fine = mask.gather(-1, actions.clamp(0, mask.shape[-1] - 1).unsqueeze(-1)).squeeze(-1) & inside
    wrong = (~fine & (mask.any(-1) | ~inside)).nonzero()
    if len(wrong):
        b, i = wrong[0].tolist()
        valid = mask[b, i].nonzero().flatten().tolist()
        raise _act(rule, f"environment {b}, agent {i}, step {t}", f"one of {valid}", f"{int(actions[b, i])}")
    again = difference(actions, rule.act(decision, noise))
    if again:
        raise _act(rule, f"step {t}, asked twice with the same noise", "the same joint action", again)
    where = difference(then, decision)
    if where:
        raise _act(rule, f"the decision it was given in step {t}", "unchanged", where)


def _act(rule: Baseline, what: str, expected: str, got: str) -> CheckFailed:
    return CheckFailed(
        f"baseline '{rule.name}': {what}",
        expected=expected,
        got=got,
        cause="the mask is not applied, chance comes from elsewhere than `noise`, or an in-place operation",
        fix="scores.masked_fill(~mask, inf).argmin(-1); use `noise` as the only random numbers; clone before changing",
    )
