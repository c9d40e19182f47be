"""Everything random has a stream of its own: by seed, by environment, saved and restored."""

from __future__ import annotations

import copy
import io
import random
from typing import Any

import numpy as np
import torch

from dgpg.checks.mapping import mapped
from dgpg.checks.nested import difference, flat, row
from dgpg.checks.subject import LONGEST, Subject
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.domain import Decision, Environment, Step, SupportsDeterminism

ROUNDING = 1e-5
"""Relative difference of floats that another batch size may cause in a library's sums."""


def determinism(subject: Subject) -> None:
    """The same seed and the same actions give the same numbers, bit for bit."""
    actions = [m.actions_then for m in subject.episode]
    played = (subject.episode[0].decision_then, [m.step_then for m in subject.episode])
    where = difference(played, subject.replay(subject.make_env(), actions))
    if where:
        raise CheckFailed(
            f"two environments made with seed {subject.seed} ([0] is the reset, [1][t] step t)",
            expected="the same numbers bit for bit",
            got=where,
            cause="a draw from a global or unseeded generator, the clock, or the order of a set",
            fix="draw everything from dgpg.domain.Streams(seed, num_envs)",
        )


def seeds(subject: Subject) -> None:
    """Another seed gives other numbers, unless the domain declares `deterministic = True`."""
    actions = [m.actions_then for m in subject.episode]
    other = subject.replay(subject.make_env(seed=subject.seed + 1000), actions)
    if difference((subject.episode[0].decision_then, [m.step_then for m in subject.episode]), other):
        return
    if isinstance(subject.domain, SupportsDeterminism) and subject.domain.deterministic:
        raise Skipped("the domain declares that nothing in it is random")
    raise CheckFailed(
        f"environments made with seeds {subject.seed} and {subject.seed + 1000}",
        expected="other numbers somewhere in the episode",
        got=f"the same numbers in all {len(actions)} steps",
        cause="make_env does not hand its seed to the generators",
        fix="seed with the argument, or set deterministic = True on the domain if nothing is random",
    )


def batch(subject: Subject) -> None:
    """Environment b of a batch made with `seed` equals a single environment made with `seed + b`."""
    actions = [m.actions_then for m in subject.episode]
    first, steps = subject.episode[0].decision_then, [m.step_then for m in subject.episode]
    for b in range(subject.num_envs):
        alone = subject.make_env(seed=subject.seed + b, num_envs=1)
        single, single_steps = subject.replay(alone, [a[b : b + 1] for a in actions])
        where = difference(row(first, b), single, ROUNDING)
        if where:
            raise _batch(b, "reset", where)
        for t, (many, one) in enumerate(zip(steps, single_steps, strict=True)):
            where = difference(_rowed(many, b), _rowed(one, 0), ROUNDING)
            if where:
                raise _batch(b, f"step {t}", where)


def _rowed(step: Step, b: int) -> dict[str, Any]:
    """Environment b of a step; `final` only where its own episode ended."""
    own = flat(row(step, b), "step")
    ended = bool(step.terminated[b] | step.truncated[b])
    return {name: value for name, value in own.items() if ended or not name.startswith("step.final")}


def _batch(b: int, when: str, where: str) -> CheckFailed:
    return CheckFailed(
        f"environment {b} of a batch at {when}, and a single environment with seed + {b}",
        expected="the same numbers",
        got=f"in the batch and alone, {where}",
        cause="all environments draw from one stream, a draw is made only when some environment needs it, "
        "or numbers are averaged over the batch",
        fix="one stream an environment (dgpg.domain.Streams); draw whether needed or not",
    )


def _continue(subject: Subject, env: Environment, first: int) -> list[Step]:
    """The recorded actions from step `first` on."""
    return [_copy(env.step(m.actions_then.clone())) for m in subject.episode[first:]]


def _copy(step: Step) -> Step:
    return copy.deepcopy(step)


def _saved(subject: Subject) -> tuple[Environment, dict[str, Any], int]:
    """A played environment in the middle of its episode and what it saved there."""
    env, at = subject.make_env(), min(subject.env.horizon, LONGEST) // 2
    subject.replay(env, [m.actions_then for m in subject.episode[:at]])
    return env, env.state_dict(), at


def _compare(subject: Subject, who: str, decision: Decision, env: Environment, at: int) -> None:
    where = difference(subject.episode[at].decision_then, decision)
    if where:
        raise _restored(f"the decision that load_state_dict returned in {who}", where)
    where = difference([m.step_then for m in subject.episode[at:]], _continue(subject, env, at))
    if where:
        raise _restored(f"steps after load_state_dict in {who} ([i] is the i-th)", where)


def _restored(what: str, where: str) -> CheckFailed:
    return CheckFailed(
        what,
        expected="what followed when the environment was saved, bit for bit",
        got=f"then and after restoring, {where}",
        cause="state_dict leaves something out (a random stream, the clock, a queue), or it is not loaded",
        fix="save every attribute that changes after __init__, the generators' states included",
    )


def restore(subject: Subject) -> None:
    """An environment goes on from its saved state bit for bit."""
    env, state, at = _saved(subject)
    state = copy.deepcopy(state)
    _continue(subject, env, at)
    _compare(subject, "the same environment", env.load_state_dict(state), env, at)


def restore_elsewhere(subject: Subject) -> None:
    """A fresh environment, made with another seed and never reset, goes on from a saved state bit for bit."""
    _, state, at = _saved(subject)
    other = subject.make_env(seed=subject.seed + 1)
    _compare(subject, "a fresh environment", other.load_state_dict(copy.deepcopy(state)), other, at)


def saved_state_kept(subject: Subject) -> None:
    """A saved state stays as it was while the environment goes on, before and after it is loaded."""
    env, state, at = _saved(subject)
    then = copy.deepcopy(state)
    _continue(subject, env, at)
    where = difference(then, state)
    if not where:
        env.load_state_dict(state)
        _continue(subject, env, at)
        where = difference(then, state)
    if where:
        raise CheckFailed(
            "what state_dict returned, after some more steps",
            expected="the same numbers: a checkpoint is a copy",
            got=f"then and now, {where}",
            cause="the dictionary holds the environment's own tensors, or load_state_dict keeps the dictionary's",
            fix="clone tensors in state_dict and in load_state_dict",
        )


def saved_to_a_file(subject: Subject) -> None:
    """A saved state survives torch.save and torch.load(weights_only=True), as checkpoints do."""
    _, state, at = _saved(subject)
    file = io.BytesIO()
    try:
        torch.save(state, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=True)
    except Exception as error:  # pickle raises what it likes
        raise CheckFailed(
            "state_dict through torch.save and torch.load(weights_only=True)",
            expected="a dictionary that loads again",
            got=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            cause="it holds an object (a generator, a dataclass, a numpy array)",
            fix="save tensors, numbers, strings, lists and dictionaries only, as dgpg.domain.Streams does",
        ) from error
    other = subject.make_env()
    _compare(subject, "a fresh environment from a file", other.load_state_dict(loaded), other, at)


def global_generators(subject: Subject) -> None:
    """The global generators of torch, numpy and random are neither used nor changed."""
    before = _global_state()
    try:
        first, second = (_touch_everything(subject, seed) for seed in (1, 2))
    finally:
        _set_global_state(before)
    where = difference(first, second)
    if where:
        raise CheckFailed(
            "two environments with the same seed under other global seeds",
            expected="the same numbers",
            got=where,
            cause="a draw from torch.rand, np.random or random without a generator of its own",
            fix="draw from dgpg.domain.Streams(seed, num_envs) or dgpg.domain.random.generator(seed)",
        )


def _touch_everything(subject: Subject, seed: int) -> list[Any]:
    """A short episode, the model and the mapping under one global seed; fails if that generator moves."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    before = _global_state()
    moments = subject.play(subject.make_env(), 3)
    decision, state = moments[0].decision_then, moments[0].step_then.state
    potential = subject.make_model().potential(state, decision.context)
    said = mapped(subject.make_mapping(), decision, moments[0].actions_then)
    for name, old, new in zip(("torch", "numpy", "random"), before, _global_state(), strict=True):
        if difference(old, new):
            raise CheckFailed(
                f"the global generator of {name} in an episode of 3 steps",
                expected="untouched: runs would influence each other",
                got="another state than before",
                cause=f"a draw from {name}'s global functions, or a call that seeds them",
                fix="draw from dgpg.domain.Streams(seed, num_envs) or dgpg.domain.random.generator(seed)",
            )
    return [[(m.decision_then, m.step_then) for m in moments], potential.detach(), said]


def _global_state() -> tuple[Any, Any, Any]:
    return torch.get_rng_state(), np.random.get_state(), random.getstate()


def _set_global_state(state: tuple[Any, Any, Any]) -> None:
    torch.set_rng_state(state[0])
    np.random.set_state(state[1])
    random.setstate(state[2])
