"""The mapping of choices against the environment: x = x_0 + sum_i z_i(a_i), each z_i(k) what k really does."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dgpg.checks.nested import copied, difference, flat, row
from dgpg.checks.subject import Sample, Situation, Subject
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.domain import AgentMapping, Decision, Influence, JointMapping, random
from dgpg.domain.expected import assembled

TOLERANCE = 1e-4
"""Of float32 sums, relative to the largest number of the coordinate."""
UNITS = (1000.0, 1024.0, 60.0, 3600.0, 1e6)
"""Factors between units that are mixed up often."""
AGENTS = 6
"""How many agents' choices are tried one by one in each situation."""


def influence_format(subject: Subject) -> None:
    """Influence has index int64 [B, N, K, P] within the G blocks, and value [B, N, K, P, m]."""
    for situation in subject.situations:
        influence = _influence(subject, situation)
        base = _sum(subject).base_state(situation.decision.context)
        wanted = tuple(situation.decision.observation.mask.shape)
        index, value, state = influence.index, influence.value, subject.samples[0].state
        if base.shape != state.shape:
            raise _format("base_state", f"shape {list(state.shape)}, as Step.state", f"{list(base.shape)}")
        if index.dtype != torch.int64 or index.dim() != 4 or tuple(index.shape[:3]) != wanted:
            got = f"{index.dtype} {list(index.shape)}"
            raise _format("Influence.index", f"torch.int64 {[*wanted, 'P']}", got)
        shape = (*index.shape, state.shape[-1])
        if tuple(value.shape) != shape or value.dtype != torch.float32:
            raise _format("Influence.value", f"torch.float32 {list(shape)}", f"{value.dtype} {list(value.shape)}")
        outside = (index < 0) | (index >= state.shape[1])
        if outside.any():
            at = outside.nonzero()[0].tolist()
            got = f"{int(index[tuple(at)])} at {at} (environment, agent, choice, place)"
            raise _format("Influence.index", f"a block in 0 ... {state.shape[1] - 1}", got)
        if not (base.isfinite().all() and value.isfinite().all()):
            raise _format("base_state and Influence.value", "finite numbers", "nan or infinity")


def _sum(subject: Subject) -> AgentMapping:
    """The mapping of choices; continuous actions have none."""
    if isinstance(subject.mapping, JointMapping):
        raise Skipped("actions are continuous: the checks joint_state and slope_is_effect look at their mapping")
    return subject.mapping


def _influence(subject: Subject, situation: Situation) -> Influence:
    return _sum(subject).influence(situation.decision.observation, situation.decision.context)


def _format(what: str, expected: str, got: str) -> CheckFailed:
    return CheckFailed(
        f"AgentMapping: {what}",
        expected=expected,
        got=got,
        cause="blocks of the state and agents are counted differently, or a dimension is missing",
        fix="see dgpg.domain.Influence: one row for each choice, its P blocks in the last dimension of index",
    )


def distinct_blocks(subject: Subject) -> None:
    """The blocks that one choice moves are distinct; unused places hold zero."""
    for situation in subject.situations:
        influence = _influence(subject, situation)
        used = (influence.value != 0).any(-1)
        same = (
            (influence.index.unsqueeze(-1) == influence.index.unsqueeze(-2)) & used.unsqueeze(-1) & used.unsqueeze(-2)
        )
        places = same.shape[-1]
        twice = (same & ~torch.eye(places, dtype=torch.bool, device=same.device)).nonzero()
        if len(twice):
            b, i, k, p, q = twice[0].tolist()
            raise CheckFailed(
                f"Influence.index, environment {b}, agent {i}, choice {k}, places {p} and {q}",
                expected="distinct blocks: guidance adds up what each place changes on its own",
                got=f"block {int(influence.index[b, i, k, p])} in both, with values that are not zero",
                cause="a choice that touches a block twice (a path that returns) is written twice",
                fix="add the two values in one place and leave the other zero",
            )


def state_is_sum(subject: Subject) -> None:
    """Step.state equals base_state plus the influences of the actions taken, whatever the joint action."""
    for sample in subject.samples:
        decision = sample.situation.decision
        base = _sum(subject).base_state(decision.context)
        influence = _influence(subject, sample.situation)
        expected = assembled(base, influence, sample.actions, decision.observation.active)
        gap = (sample.state - expected).abs()
        wrong = (gap > TOLERANCE * size_of(sample.state, expected)).nonzero()
        if len(wrong):
            b, g, j = wrong[0].tolist()
            acting = _acting_on(influence, sample, b, g)
            raise CheckFailed(
                f"Step.state of step {sample.situation.t}, environment {b}, block {g}, coordinate {j}, "
                f"after actions {sample.actions[b].tolist()[:12]}",
                expected=f"base_state + influences = {expected[b, g, j]:.6g} "
                f"({base[b, g, j]:.6g} from base_state; agents {acting} act on this block)",
                got=f"{sample.state[b, g, j]:.6g}",
                cause=_cause_of_state(subject, sample, base, expected),
                fix="let Step.state be what this joint action made of base_state(context), in the units of both",
            )


def size_of(*states: Tensor) -> Tensor:
    """Largest number of each coordinate, `[m]`."""
    return torch.cat([s.flatten(0, 1) for s in states]).abs().amax(0).clamp(min=1e-6)


def _acting_on(influence: Influence, sample: Sample, b: int, g: int) -> list[int]:
    active = sample.situation.decision.observation.active[b]
    chosen = [influence.index[b, i, int(a)].tolist() for i, a in enumerate(sample.actions[b].tolist())]
    return [i for i, blocks in enumerate(chosen) if g in blocks and bool(active[i])][:8]


def _cause_of_state(subject: Subject, sample: Sample, base: Tensor, expected: Tensor) -> str:
    """Compare with what other mistakes would give."""
    close = TOLERANCE * size_of(sample.state, expected)
    influence, active = _influence(subject, sample.situation), sample.situation.decision.observation.active
    following = _sum(subject).base_state(sample.situation.step(sample.actions).decision.context)
    everyone = assembled(base, influence, sample.actions, torch.ones_like(active))
    others = {
        "state is x_0, read before the joint action": base,
        "state is that of the next step (x_{t+1}): it is read after the system has moved on, so it depends on the "
        "future": following,
        "step also acts for agents without an allowed choice": everyone,
    }
    for cause, state in others.items():
        if not ((sample.state - state).abs() > close).any():
            return cause
    known = known_factor(sample.state - base, expected - base)
    if known:
        return known
    ones = Influence(influence.index, (influence.value != 0).any(-1, keepdim=True).float())
    acting = assembled(torch.zeros_like(base[..., :1]), ones, sample.actions, active)
    crowded = ((sample.state - expected).abs() > close).any(-1) & (acting[..., 0] < 2)
    if not crowded.any():
        return "what several agents do to one block does not add up: a limit or a full queue turns some of them away"
    return (
        "influence or state in other units for some coordinates, a choice that the environment ignores although the "
        "mask allows it, or a state read too early or too late"
    )


def known_factor(got: Tensor, said: Tensor) -> str | None:
    """Is one the other with the wrong sign or in other units?"""
    if not said.any():
        return None
    for factor in (-1.0, *UNITS, *(1 / unit for unit in UNITS)):
        slack = 1e-2 * abs(factor) * said.abs().amax()
        if not ((got - factor * said).abs() > slack).any():
            if factor < 0:
                return "the sign of the influence is wrong"
            return f"other units: what happens is {factor:.4g} times what influence says"
    return None


def influence_is_effect(subject: Subject) -> None:
    """Each allowed choice moves Step.state by z_i(k), measured by finite differences."""
    for situation in subject.situations:
        influence = _influence(subject, situation)
        actions = next(s.actions for s in subject.samples if s.situation is situation)
        state = situation.step(actions).state
        for i in some_agents(situation, subject.seed):
            for k in range(situation.decision.observation.mask.shape[-1]):
                _one_choice(situation, influence, actions, state, i, k)


def some_agents(situation: Situation, seed: int) -> list[int]:
    """At most AGENTS of them, drawn anew in each situation."""
    count = situation.decision.observation.mask.shape[1]
    order = torch.randperm(count, generator=random.generator(seed + situation.t))
    return sorted(order[:AGENTS].tolist())


def _one_choice(situation: Situation, influence: Influence, actions: Tensor, state: Tensor, i: int, k: int) -> None:
    """Agent i takes k instead of what it took, in each environment that allows it."""
    able = situation.decision.observation.mask[:, i, k]
    changed = actions.clone()
    changed[:, i] = torch.where(able, k, actions[:, i])
    if torch.equal(changed, actions):
        return
    moved = situation.step(changed).state - state
    nothing, alone = torch.zeros_like(state), torch.zeros_like(situation.decision.observation.active)
    alone[:, i] = able
    new = assembled(nothing, influence, changed, alone)
    old = assembled(nothing, influence, actions, alone)
    said = new - old
    wrong = ((moved - said).abs() > TOLERANCE * size_of(state, said)).nonzero()
    if len(wrong) == 0:
        return
    b, g, j = wrong[0].tolist()
    raise CheckFailed(
        f"AgentMapping.influence in step {situation.t}, environment {b}, agent {i}, choice {k} instead of "
        f"{int(actions[b, i])}, block {g}, coordinate {j}",
        expected=f"Step.state to move by {said[b, g, j]:.6g}, as influence says",
        got=f"{moved[b, g, j]:.6g}, measured by taking one choice and then the other",
        cause=_cause_of_effect(moved[b], new[b], old[b]),
        fix="let value[b, i, k] be what choice k adds to block index[b, i, k], in the units of Step.state, "
        "and mask[b, i, k] False where the environment would ignore k",
    )


def _cause_of_effect(moved: Tensor, new: Tensor, old: Tensor) -> str:
    """Compare what moved `[G, m]` with what other mistakes would give; `new` and `old` are the choices' influences."""
    known = known_factor(moved, new - old)
    if known:
        return known
    slack = 1e-2 * torch.maximum(new.abs(), old.abs()).amax()
    for half in (torch.zeros_like(new), -old, new):
        if not ((moved - half).abs() > slack).any():
            return "the environment ignores a choice that the mask allows: the mask is forgotten or too wide"
    return (
        "a wrong amount or block (index off by one, a block left out), or an effect that depends on what other agents "
        "do: then it is no sum"
    )


def mapping_is_pure(subject: Subject) -> None:
    """What the mapping says depends on its arguments alone, row by row."""
    for sample in subject.samples[::3]:
        decision, mapping = sample.situation.decision, subject.mapping
        sample.situation.step(sample.actions)
        first = mapped(mapping, decision, sample.actions)
        sample.situation.env.step(sample.actions.clone())
        where = difference(first, mapped(mapping, decision, sample.actions))
        if where:
            raise CheckFailed(
                "what the mapping says of the same context, before and after the environment went on",
                expected="the same numbers bit for bit",
                got=where,
                cause="the mapping reads or keeps something besides its arguments (the environment, a counter)",
                fix="put what it needs into Decision.context",
            )
        for b in range(subject.num_envs):
            single = mapped(mapping, row(decision, b), sample.actions[b : b + 1])
            where = difference({name: x[b : b + 1] for name, x in flat(first).items()}, flat(single), 1e-5)
            if where:
                raise CheckFailed(
                    f"what the mapping says of environment {b} in a batch and alone",
                    expected="the same numbers",
                    got=where,
                    cause="a sum or mean over the batch, or a shape that is right for one batch size only",
                    fix="let dimension 0 be environments throughout",
                )


def mapped(mapping: AgentMapping | JointMapping, decision: Decision, actions: Tensor) -> dict[str, Any]:
    """Copies of all that a mapping of either kind says: x of a joint action, or x_0 and z_i(k)."""
    if isinstance(mapping, JointMapping):
        return {"state": mapping.state(actions, decision.context).detach().clone()}
    base = mapping.base_state(decision.context).detach().clone()
    return {"base_state": base, "influence": copied(mapping.influence(decision.observation, decision.context))}
