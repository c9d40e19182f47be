"""How an episode goes: its end, its numbers, who can act, and that nothing handed out changes later."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dgpg.checks.nested import difference, flat, row
from dgpg.checks.subject import LONGEST, Moment, Situation, Subject, continuous, ends, splits
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.domain import Decision


def horizon(subject: Subject) -> None:
    """Every episode ends at the horizon, if it did not before, and the next one lasts as long."""
    env = subject.make_env()
    if env.horizon > LONGEST:
        raise Skipped(f"the horizon of {env.horizon} steps is long; give the domain a `small` with at most {LONGEST}")
    age = torch.zeros(subject.num_envs, dtype=torch.long)
    for t, moment in enumerate(subject.play(env, 2 * env.horizon + 1)):
        age += 1
        done = _ended(moment).cpu()
        late = ((age >= env.horizon) & ~done).nonzero().flatten().tolist()
        if late:
            raise CheckFailed(
                f"Step.truncated of step {t}, environment {late[0]}",
                expected=f"True: this is step {int(age[late[0]])} of an episode of horizon {env.horizon}",
                got="no end",
                cause="the clock is compared with horizon + 1, or is not set back when an episode ends",
                fix="count a step, then truncate where the count equals horizon, then set it to 0",
            )
        age[done] = 0


def _ended(moment: Moment) -> Tensor:
    return moment.step_then.terminated | moment.step_then.truncated


def new_episode(subject: Subject) -> None:
    """After an end Step.decision belongs to the next episode, Step.final to the one that ended."""
    ends = [(t, m.step_then, b) for t, m in enumerate(subject.episode) for b in _ended(m).nonzero().flatten().tolist()]
    if not ends:
        raise Skipped(f"no episode ended in {len(subject.episode)} steps")
    fresh = subject.make_env().reset()
    for t, step, b in ends:
        assert step.final is not None, "Step.final is missing: see the check `finals`"
        same = difference(row(step.decision, b), row(step.final, b)) is None
        if same and difference(row(fresh, b), row(step.final, b)) is not None:
            raise CheckFailed(
                f"Step.decision of step {t}, environment {b}",
                expected="the first moment of the next episode",
                got="the moment in which the last one ended, equal to Step.final in every number",
                cause="the environment is not reset inside step, or the decision is made before the reset",
                fix="keep the observation as final, reset what ended, observe again for decision",
            )


def finite(subject: Subject) -> None:
    """Observation, context, reward and state hold no nan and no infinity."""
    for t, moment in enumerate(subject.episode):
        for name, value in (flat(moment.decision_then, "decision") | flat(moment.step_then, "step")).items():
            if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all():
                at = (~value.isfinite()).nonzero()[0].tolist()
                raise CheckFailed(
                    f"{name}{at} in step {t} (the first index is the environment)",
                    expected="a finite number",
                    got=f"{value[tuple(at)].item()}",
                    cause="a division by zero (an empty queue, no capacity), a logarithm of zero, or inf as a mark",
                    fix="clamp the denominator; say what is not allowed in the mask, not by inf",
                )


def someone_acts(subject: Subject) -> None:
    """In an episode some agent has an allowed choice."""
    if not any(m.decision_then.observation.mask.any() for m in subject.episode):
        raise CheckFailed(
            f"observation.mask of all {subject.num_envs} environments in {len(subject.episode)} steps",
            expected="at least one agent with an allowed choice at some time",
            got="no allowed choice anywhere",
            cause="the mask is inverted (True must mean allowed), or computed before anything arrived",
            fix="mask[b, i, k] = True where agent i may take choice k",
        )


def idle_agents(subject: Subject) -> None:
    """The action of an agent with nothing to decide changes nothing."""
    found = False
    for sample in subject.samples:
        idle = ~sample.situation.decision.observation.active
        found |= bool(idle.any())
        there = idle.view(*idle.shape, *[1] * (sample.actions.dim() - 2))
        first, last = (
            sample.situation.step(torch.where(there, entry, sample.actions)) for entry in ends(sample.situation.env)
        )
        where = difference(first, last)
        if where:
            raise CheckFailed(
                f"Environment.step {sample.situation.t} with other entries for agents {idle.nonzero().tolist()[:4]} "
                "([environment, agent])",
                expected="the same step: their mask allows nothing, so their entry of `actions` means nothing",
                got=where,
                cause="step uses actions of agents without an allowed choice",
                fix="multiply what an agent does by observation.active (mask.any(-1))",
            )
    if not found:
        raise Skipped("every agent had something to decide in the situations looked at")


def actions_kept(subject: Subject) -> None:
    """step leaves the tensor of actions as it was."""
    for t, moment in enumerate(subject.episode):
        where = difference(moment.actions_then, moment.actions)
        if where:
            raise CheckFailed(
                f"actions{where.partition(':')[0].removeprefix('value')} given to step {t}",
                expected="the tensor unchanged: the trainer keeps it for the update",
                got=f"before and after, {where}",
                cause="an in-place operation on the argument (actions[...] = , actions += , clamp_)",
                fix="work on a copy: actions = actions.clone(), or use where/masked_fill without the underscore",
            )


def outputs_kept(subject: Subject) -> None:
    """Decisions and steps handed out stay as they were when the environment goes on."""
    for t, moment in enumerate(subject.episode):
        pairs: tuple[tuple[str, Any, Any], ...] = (
            ("decision", moment.decision_then, moment.decision),
            ("step", moment.step_then, moment.step),
        )
        for name, then, now in pairs:
            where = difference(flat(then, name), flat(now, name))
            if where:
                raise CheckFailed(
                    f"what the environment returned around step {t}",
                    expected="the same numbers at the end of the episode: trajectories stack them later",
                    got=f"then and now, {where}",
                    cause="the record shares memory with the environment's own tensors, which change in place",
                    fix="return a copy (.clone()), or replace tensors instead of changing them in place",
                )


def late_features(subject: Subject) -> None:
    """Features that are made on request are those of their moment, however late they are asked for."""
    env = subject.make_env()
    late: list[tuple[str, Decision, Decision]] = []

    def keep(where: str, then: Decision | None, now: Decision | None) -> None:
        if then is not None and now is not None and not now.observation.made:
            late.append((where, then, now))

    decision = env.reset()
    for t, moment in enumerate(subject.episode):
        step = env.step(moment.actions_then.clone())
        keep(f"decision {t}", moment.decision_then, decision)
        keep(f"Step.final of step {t}", moment.step_then.final, step.final)
        decision = step.decision
    if not late:
        raise Skipped("features are made at once")
    for name, then, now in late:
        where = difference(flat(then, "decision"), flat(now, "decision"))
        if where:
            raise CheckFailed(
                f"features of {name}, asked for at the end of the episode",
                expected="the numbers that were there at its time: Observation.on_request may be asked any time later",
                got=f"at once and at the end, {where}",
                cause="what makes them reads the environment's own tensors, which have gone on in the meantime",
                fix="take what they are made of as it is now (local names, .clone() of what changes in place)",
            )


def action_matters(subject: Subject) -> None:
    """In some situation two joint actions lead to different states."""
    for situation in subject.situations:
        states = [sample.state for sample in subject.samples if sample.situation is situation]
        if any(difference(states[0], other) for other in states[1:]):
            return
    several = [s for s in subject.situations if _free(s)]
    if not several:
        raise Skipped("no agent had anything to choose from in the situations looked at")
    raise CheckFailed(
        f"Step.state in situations {[s.t for s in several]}",
        expected="different states for different joint actions",
        got="the same state whatever the agents do",
        cause="state is read before the actions are applied (it is x_0, not x_t)",
        fix="read the state after the joint action, before anything else of the step happens",
    )


def _free(situation: Situation) -> bool:
    """Whether some agent can do more than one thing."""
    several = 1 if continuous(situation.env) and not splits(situation.env) else 2
    return bool((situation.decision.observation.mask.sum(-1) >= several).any())
