"""Shapes, types and ranges of what an environment declares and returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from dgpg.checks.nested import flat
from dgpg.checks.subject import Subject
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.domain import Decision, Names, Observation, Simplex, SupportsAgentNames, SupportsNames

OBSERVATION = ("agent", "choices", "mask", "central")
CONTRACT = "see dgpg.domain.Environment and dgpg.domain.types for the contract"


def attributes(subject: Subject) -> None:
    """num_envs, num_agents, horizon, device and cost_unit say what the environment is."""
    env = subject.make_env()
    at_least_one = "a whole number, at least 1"
    facts: dict[str, tuple[str, Callable[[Any], bool]]] = {
        "num_envs": (f"{subject.num_envs}", lambda v: bool(v == subject.num_envs)),
        "num_agents": (at_least_one, lambda v: isinstance(v, int) and v >= 1),
        "horizon": (at_least_one, lambda v: isinstance(v, int) and v >= 1),
        "device": (f"{subject.device}", lambda v: torch.device(v).type == subject.device.type),
        "cost_unit": ("a text that is not empty", lambda v: isinstance(v, str) and bool(v.strip())),
    }
    for name, (expected, fits) in facts.items():
        value = getattr(env, name, None)
        if value is None or not fits(value):
            raise CheckFailed(
                f"Environment.{name}",
                expected=expected,
                got=repr(value),
                cause="make_env ignores one of its arguments or the attribute is not set in __init__",
                fix=f"set {name} on the environment; {CONTRACT}",
            )


def declared_spaces(subject: Subject) -> None:
    """The observation space is a Dict of the four parts, the actions MultiDiscrete, a bounded Box or a Simplex."""
    env = subject.make_env()
    space, actions, agents = env.observation_space, env.action_space, env.num_agents
    if not isinstance(space, spaces.Dict) or set(space.spaces) != set(OBSERVATION):
        raise _space("observation_space", f"spaces.Dict with {', '.join(OBSERVATION)}", space)
    shapes = {name: space[name].shape or () for name in OBSERVATION}
    if len(shapes["mask"]) != 2 or shapes["mask"][0] != agents:
        raise _space("observation_space['mask']", f"shape [N, K] with N = {agents}", space["mask"])
    choices = shapes["mask"][1]
    _action_space(actions, agents, choices)
    starts: dict[str, tuple[int, ...]] = {"agent": (agents,), "choices": (agents, choices), "central": ()}
    for name, start in starts.items():
        if shapes[name][:-1] != start or len(shapes[name]) != len(start) + 1:
            raise _space(f"observation_space['{name}']", f"shape {[*start, 'features']}", space[name])
    if isinstance(actions, spaces.Box) and shapes["choices"] != (agents, 1, 0):
        raise _space("observation_space['choices']", f"shape [{agents}, 1, 0]: continuous", space["choices"])
    if isinstance(actions, spaces.MultiDiscrete) and choices > 1 and not shapes["choices"][-1]:
        raise CheckFailed(
            "Environment.observation_space['choices']",
            expected=f"something that tells {choices} choices apart, [{agents}, {choices}, C]",
            got=str(space["choices"]),
            cause="a policy scores each choice by its features, so without any all stay equally probable",
            fix=f"give what is known of each choice, or its number: torch.eye({choices})",
        )


def named(subject: Subject) -> None:
    """Every agent, every feature of it and of a choice, and every number of an action has a name of its own."""
    domain, env = subject.domain, subject.make_env()
    if isinstance(domain, SupportsAgentNames):
        _each_once(
            "agent_names(config)", list(domain.agent_names(subject.config)), env.num_agents,
            cause="names of parts of the system in place of those who decide, or of two agents at one part",
            fix="let agent_names(config) return a text for each agent, in their order",
        )  # fmt: skip
    if not isinstance(domain, SupportsNames):
        raise Skipped("the domain gives no names; features are numbered")
    found = domain.names(subject.config)
    numbers = (env.action_space.shape or (0,))[-1] if isinstance(env.action_space, spaces.Box) else 1
    wanted = {name: (env.observation_space[name].shape or (0,))[-1] for name in ("agent", "choices")}
    for part, count in {**wanted, "action": numbers}.items():
        given = [one.name for one in getattr(found, part, ())] if isinstance(found, Names) else []
        if part == "choices" and not given and _by_number(subject.episode[0].decision.observation.choices):
            continue
        _each_once(
            f"names(config).{part}", given, count,
            cause="a feature that was added, taken out or split without its name",
            fix="let names(config) return dgpg.domain.Names with a Feature for each, in their order",
        )  # fmt: skip


def _by_number(choices: Tensor) -> bool:
    """Whether choices `[B, N, K, C]` are told apart by their numbers alone, as a simulator's without features are."""
    here, apart = choices.shape[-2:]
    return here == apart and bool((choices == torch.eye(here).to(choices)).all())


def _each_once(member: str, given: list[str], count: int, cause: str, fix: str) -> None:
    if len(given) != count or len(set(given)) != count:
        twice = sorted({name for name in given if given.count(name) > 1})
        raise CheckFailed(
            f"Domain.{member}",
            expected=f"{count} names, each only once",
            got=f"{len(given)}" + (f", twice: {', '.join(twice)}" if twice else ""),
            cause=cause,
            fix=fix,
        )


def _action_space(actions: spaces.Space[Any], agents: int, choices: int) -> None:
    if isinstance(actions, spaces.Box):
        if len(actions.shape) != 2 or actions.shape[0] != agents:
            raise _space("action_space", f"a Box of shape [N, A] with N = {agents}", actions)
        if not (np.isfinite([actions.low, actions.high]).all() and (actions.low < actions.high).all()):
            raise CheckFailed(
                "Environment.action_space",
                expected="finite bounds, low < high for every number of every agent",
                got=str(actions),
                cause="a quantity without limits, or an agent that can do one thing only",
                fix="give each agent its own limits; take agents without any room out of the joint action",
            )
        if choices != 1:
            raise _space("observation_space['mask']", f"shape [{agents}, 1]: to act or not", f"K = {choices}")
    elif isinstance(actions, Simplex):
        if actions.shape != (agents, choices):
            raise _space("action_space", f"Simplex({agents}, {choices}), as the mask has it", actions)
    elif not isinstance(actions, spaces.MultiDiscrete):
        known = "spaces.MultiDiscrete([K] * N), a Box [N, A] with finite bounds, or dgpg.domain.Simplex(N, K)"
        raise _space("action_space", known, actions)
    elif actions.nvec.tolist() != [choices] * agents:
        raise _space("action_space", f"MultiDiscrete([{choices}] * {agents}), as the mask has it", actions)


def _space(what: str, expected: str, got: Any) -> CheckFailed:
    return CheckFailed(
        f"Environment.{what}",
        expected=expected,
        got=str(got),
        cause="the space describes the batch instead of one environment, or N and K are exchanged",
        fix="describe one environment, without the batch dimension",
    )


def observations(subject: Subject) -> None:
    """Observations fit the declared spaces in shape, type, device and range."""
    first = subject.episode[0].decision
    for name in OBSERVATION:
        space = subject.env.observation_space[name]
        dtype = torch.bool if name == "mask" else torch.float32
        shape = (subject.num_envs, *(space.shape or ()))
        _tensor(f"observation.{name}", getattr(first.observation, name), shape, dtype, first)
    for t, moment in enumerate(subject.episode):
        for name in OBSERVATION:
            _range(f"observation.{name} of step {t}", getattr(moment.decision_then.observation, name), subject, name)


def _range(what: str, value: Tensor, subject: Subject, name: str) -> None:
    space = subject.env.observation_space[name]
    if not isinstance(space, spaces.Box):
        return
    values = value.cpu().numpy()
    outside = (values < space.low) | (values > space.high)
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        raise CheckFailed(
            f"{what}, environment {at[0]}, index {list(at[1:])}",
            expected=f"a value in [{space.low[at[1:]]:g}, {space.high[at[1:]]:g}], as observation_space declares",
            got=f"{values[at]:g}",
            cause="the feature is not scaled or clipped as its space says, or the space is too narrow",
            fix="scale the feature to order one, or widen the bounds of the space",
        )


def _tensor(what: str, value: Any, shape: tuple[int, ...], dtype: torch.dtype, near: Decision | None = None) -> None:
    if not isinstance(value, Tensor):
        raise _format(what, f"a tensor {list(shape)}", f"{type(value).__name__} {value!r}")
    if tuple(value.shape) != shape:
        raise _format(what, f"shape {list(shape)}", f"shape {list(value.shape)}")
    if value.dtype != dtype:
        raise _format(what, f"dtype {dtype}", f"dtype {value.dtype}")
    if near is not None and value.device != near.observation.mask.device:
        raise _format(what, f"device {near.observation.mask.device}", f"device {value.device}")


def _format(what: str, expected: str, got: str) -> CheckFailed:
    return CheckFailed(
        what,
        expected=expected,
        got=got,
        cause="numpy's float64, a missing batch dimension or a tensor made without device=",
        fix=f"build it with this shape and dtype (torch.float32 for numbers, torch.bool for flags); {CONTRACT}",
    )


def steps(subject: Subject) -> None:
    """Step has reward [B], state [B, G, m], flags [B], local_reward [B, N] or None, all of the right type."""
    env, moments = subject.env, subject.episode
    envs = subject.num_envs
    state = moments[0].step.state
    if not isinstance(state, Tensor) or state.dim() != 3 or state.shape[0] != envs:
        raise _format(
            "Step.state", f"a tensor [{envs}, G, m]", f"{list(state.shape) if isinstance(state, Tensor) else state!r}"
        )
    for t, moment in enumerate(moments):
        step, near = moment.step, moment.decision
        _tensor(f"Step.reward of step {t}", step.reward, (envs,), torch.float32, near)
        _tensor(f"Step.state of step {t}", step.state, tuple(state.shape), torch.float32, near)
        _tensor(f"Step.terminated of step {t}", step.terminated, (envs,), torch.bool, near)
        _tensor(f"Step.truncated of step {t}", step.truncated, (envs,), torch.bool, near)
        if step.local_reward is not None:
            _tensor(f"Step.local_reward of step {t}", step.local_reward, (envs, env.num_agents), torch.float32, near)
        gradients = [name for name, x in flat(step).items() if isinstance(x, Tensor) and x.requires_grad]
        if gradients:
            raise _format(f"{gradients[0]} of step {t}", "a tensor without gradient", "requires_grad=True")


def finals(subject: Subject) -> None:
    """Step.final is given exactly when an episode ended, and no end is both terminated and truncated."""
    for t, moment in enumerate(subject.episode):
        step = moment.step_then
        ended = bool((step.terminated | step.truncated).any())
        if ended != (step.final is not None):
            raise CheckFailed(
                f"Step.final of step {t}",
                expected="the moment in which the episode ended" if ended else "None, as no episode ended",
                got="None" if ended else "a decision",
                cause="final is built after the reset, or without asking whether an episode ended",
                fix="observe, then reset, then return final=... if (terminated | truncated).any() else None",
            )
        both = (step.terminated & step.truncated).nonzero().flatten().tolist()
        if both:
            raise CheckFailed(
                f"Step.terminated and Step.truncated of step {t}, environment {both[0]}",
                expected="at most one of them: a true end has no value beyond it, a cut one has",
                got="both True",
                cause="the horizon is not masked by the true end",
                fix="truncated = (t == horizon) & ~terminated",
            )


def contexts(subject: Subject) -> None:
    """The context maps names to tensors [B, ...] on the device, with the same names in every decision."""
    names: set[str] | None = None
    for t, moment in enumerate(subject.episode):
        context = moment.decision.context
        if not isinstance(context, Mapping):
            raise _format(f"Decision.context of step {t}", "a mapping from names to tensors", type(context).__name__)
        names = set(context) if names is None else names
        if set(context) != names:
            raise _format(f"Decision.context of step {t}", f"names {sorted(names)}", f"names {sorted(context)}")
        for name, value in context.items():
            what = f"context['{name}'] of step {t}"
            if not isinstance(value, Tensor) or value.dim() < 1 or value.shape[0] != subject.num_envs:
                got = f"shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise _format(what, f"a tensor [{subject.num_envs}, ...]", got)
            _tensor(what, value, tuple(value.shape), value.dtype, moment.decision)


def _decisions(subject: Subject) -> list[tuple[str, Observation]]:
    found = [(f"step {t}", m.decision_then.observation) for t, m in enumerate(subject.episode)]
    ends = [(f"the end in step {t}", m.step_then.final) for t, m in enumerate(subject.episode)]
    return found + [(name, end.observation) for name, end in ends if end is not None]


def final_observations(subject: Subject) -> None:
    """What agents see at the end of an episode has the shapes and types of any other observation."""
    (_, first), *others = _decisions(subject)
    for when, seen in others:
        for name in OBSERVATION:
            like = getattr(first, name)
            _tensor(f"observation.{name} of {when}", getattr(seen, name), tuple(like.shape), like.dtype)
