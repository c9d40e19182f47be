"""The mapping of continuous actions against the environment: x of a joint action, and dx/da is what an action does."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg.checks.mapping import TOLERANCE, known_factor, size_of, some_agents
from dgpg.checks.nested import difference
from dgpg.checks.subject import Sample, Situation, Subject, allowed, continuous, ends, splits
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.domain import Context, JointMapping, random

WIDTHS = (1e-3, 1e-2)
"""Steps of finite differences, shares of the range: narrow ones stay clear of kinks, wide ones of rounding."""
SLACK = 2e-3
"""Relative difference of slopes that curvature within a step explains."""
ROUNDING = 5e-7
"""Relative error of a state in float32."""
DETACHED = "it is computed by numpy, under no_grad, or through detach, argmin or round"


def _joint(subject: Subject) -> JointMapping:
    wanted, fits = continuous(subject.env), isinstance(subject.mapping, JointMapping)
    if isinstance(subject.mapping, JointMapping) and wanted:
        return subject.mapping
    if not wanted and not fits:
        raise Skipped("agents choose: the checks state_is_sum and influence_is_effect look at their mapping")
    box, choice = "state(actions, context) for a Box or Simplex", "base_state and influence for MultiDiscrete"
    raise CheckFailed(
        "agent_mapping",
        expected=box if wanted else choice,
        got=f"{type(subject.mapping).__name__}, which has {'no' if wanted else 'a'} state(actions, context)",
        cause="a mapping for the other kind of action",
        fix="return a JointMapping for continuous actions and an AgentMapping for choices, see dgpg.domain.protocols",
    )


def joint_state(subject: Subject) -> None:
    """Step.state equals state(actions, context) of a continuous mapping, whatever the joint action."""
    mapping = _joint(subject)
    for sample in subject.samples:
        said = mapping.state(sample.actions, sample.situation.decision.context).detach()
        if said.shape != sample.state.shape or said.dtype != torch.float32:
            raise CheckFailed(
                "JointMapping.state",
                expected=f"torch.float32 {list(sample.state.shape)}, as Step.state",
                got=f"{said.dtype} {list(said.shape)}",
                cause="blocks of the state and agents are counted differently, or numpy's float64",
                fix="return x [B, G, m] in the order of Step.state",
            )
        fits = (sample.state - said).abs() <= TOLERANCE * size_of(sample.state, said)
        if not fits.all():
            b, g, j = (~fits).nonzero()[0].tolist()
            raise CheckFailed(
                f"Step.state of step {sample.situation.t}, environment {b}, block {g}, coordinate {j}, "
                f"after actions {sample.actions[b].flatten().tolist()[:12]}",
                expected=f"{said[b, g, j]:.6g}, as JointMapping.state says",
                got=f"{sample.state[b, g, j]:.6g}",
                cause=_cause_of_state(subject, mapping, sample, said),
                fix="let Step.state be what this joint action made, and state(actions, context) the same function",
            )


def _cause_of_state(subject: Subject, mapping: JointMapping, sample: Sample, said: Tensor) -> str:
    """Compare with what other mistakes would give."""
    situation, actions = sample.situation, sample.actions
    other = situation.step(allowed(situation.env, situation.decision, random.generator(subject.seed + 3)))
    if difference(other.state, sample.state) is None:
        return "state is read too early, before the joint action: another one gives the same"
    for cause, (given, context) in _mistaken(situation, actions).items():
        if not ((sample.state - mapping.state(given, context)).abs() > TOLERANCE * size_of(sample.state, said)).any():
            return cause
    idle = ~situation.decision.observation.active.unsqueeze(-1)
    least, most = (torch.where(idle, end, actions) for end in ends(situation.env))
    if difference(situation.step(least).state, situation.step(most).state):
        return "step also acts for agents with nothing to decide"
    context = situation.decision.context
    if difference(mapping.state(least, context), mapping.state(most, context)):
        return "the mapping also acts for agents with nothing to decide"
    return known_factor(sample.state, said) or (
        "a limit that only one of them applies, some coordinate in other units, or a state read too early or too late"
    )


def _mistaken(situation: Situation, actions: Tensor) -> dict[str, tuple[Tensor, Context]]:
    """Actions and context for which the mapping would be right, by the mistake that this would show."""
    context, (low, high) = situation.decision.context, ends(situation.env)
    following = situation.step(actions).decision.context
    late = {"state is read too late: it is what the joint action makes of the next context": (actions, following)}
    if splits(situation.env):
        logits = actions.clamp(min=1e-12).log()
        return late | {
            "the mapping takes actions as logits of a split, the environment as the split": (logits, context),
            "the environment takes actions as logits of a split, the mapping as the split": (
                actions.softmax(-1), context,
            ),
        }  # fmt: skip
    return late | {
        "the mapping takes actions as shares of their range, the environment in its units": (
            (actions - low) / (high - low), context,
        ),
        "the environment takes actions as shares of their range, the mapping in its units": (
            low + (high - low) * actions, context,
        ),
    }  # fmt: skip


@dataclass(frozen=True)
class _Place:
    """What is compared: <w, x> as a function of the actions of one situation, and its slope by autograd."""

    situation: Situation
    actions: Tensor
    state: Tensor
    """x after `actions`, measured, `[B, G, m]`."""
    weight: Tensor
    """w, `[G, m]`: random, so that no coordinate can hide."""
    claimed: Tensor
    """d <w, x> / da by autograd, `[B, N, A]`."""


def slope_is_effect(subject: Subject) -> None:
    """The slope of a continuous mapping by autograd is how Step.state moves with each number of an action."""
    mapping = _joint(subject)
    chance = random.generator(subject.seed + 4)
    for situation in subject.situations:
        place = _place(mapping, situation, chance)
        for i in some_agents(situation, subject.seed):
            for d in range(place.actions.shape[-1]):
                _one_number(place, i, d)


def _place(mapping: JointMapping, situation: Situation, chance: torch.Generator) -> _Place:
    """A random joint action, far enough from the edge of what is allowed for a step to either side."""
    actions = _inside(situation, allowed(situation.env, situation.decision, chance))
    state = situation.step(actions).state
    weight = torch.randn(state.shape[1:], generator=chance).to(state) / size_of(state)
    a = actions.clone().requires_grad_()
    try:
        said = (mapping.state(a, situation.decision.context) * weight).sum()
        (claimed,) = torch.autograd.grad(said, a)
    except RuntimeError as error:
        raise _slope("JointMapping.state", "a differentiable function of the actions", str(error), DETACHED) from error
    return _Place(situation, actions, state, weight, claimed)


def _inside(situation: Situation, actions: Tensor) -> Tensor:
    """Joint actions moved away from the edge: half of the way to an even split, or the widest step off the bounds."""
    if splits(situation.env):
        mask = situation.decision.observation.mask
        even = mask / mask.sum(-1, keepdim=True).clamp(min=1)
        return torch.where(mask.any(-1, keepdim=True), (actions + even) / 2, actions)
    low, high = ends(situation.env)
    edge = max(WIDTHS) * (high - low)
    return actions.clamp(low + edge, high - edge)


def _way(situation: Situation, i: int, d: int) -> tuple[Tensor, float]:
    """Direction `[B, A]` that raises number d of agent i, zero where it cannot, and the size of its range.

    A share rises at the expense of the agent's other allowed choices, alike: nothing is said beyond the simplex.
    """
    seen, env = situation.decision.observation, situation.env
    if splits(env):
        mask = seen.mask[:, i].float()
        others = mask.clone()
        others[:, d] = 0.0
        way = -others / others.sum(-1, keepdim=True).clamp(min=1)
        way[:, d] = 1.0
        able = (mask[:, d] > 0) & (others > 0).any(-1)
        # Shares inside are 1 / 2 K or more: a step must not leave the simplex.
        return way * able.unsqueeze(-1), min(1.0, 0.5 / (max(WIDTHS) * mask.shape[-1]))
    low, high = ends(env)
    way = torch.zeros(len(seen.mask), low.shape[-1], device=low.device)
    way[:, d] = seen.active[:, i].float()
    return way, float((high - low)[i, d])


def _one_number(place: _Place, i: int, d: int) -> None:
    """Number d of agent i a little smaller and a little greater, in each environment in which the agent acts."""
    way, size = _way(place.situation, i, d)
    claimed = (place.claimed[:, i] * way).sum(-1)
    wrong = way.any(-1)
    for width in WIDTHS:
        step = width * size
        left, right = (_moved(place, i, way, by) for by in (-step, step))
        # A kink of one coordinate leaves the others alone: each may take either side.
        least, most = (side(left, right).sum((-1, -2)) for side in (torch.minimum, torch.maximum))
        noise = ROUNDING * (place.state * place.weight).abs().sum((-1, -2)) / step
        slack = SLACK * torch.stack([least, most, claimed]).abs().amax(0) + noise
        wrong = wrong & ((claimed < least - slack) | (claimed > most + slack))
    if wrong.any():
        b = int(wrong.nonzero()[0])
        raise _slope(
            f"JointMapping.state in step {place.situation.t}, environment {b}, agent {i}, number {d} of its action"
            f"{' against its other shares' if splits(place.situation.env) else ''}: "
            "slope of a weighted sum of coordinates",
            f"between {least[b]:.6g} and {most[b]:.6g}, the differences of Step.state to the left and right",
            f"{claimed[b].item():.6g} from autograd",
            _cause_of_slope((least + most)[b] / 2, claimed[b], float(noise[b])),
        )


def _moved(place: _Place, i: int, way: Tensor, by: float) -> Tensor:
    """Slope of each coordinate times w towards one side, `[B, G, m]`, the agent's numbers changed by `by` times way."""
    changed = place.actions.clone()
    changed[:, i] += by * way
    moved = (place.situation.step(changed).state - place.state) * place.weight
    return moved / by * way.any(-1)[:, None, None]


def _cause_of_slope(measured: Tensor, claimed: Tensor, noise: float) -> str:
    if abs(float(claimed)) <= noise:
        return f"autograd sees no effect: {DETACHED}"
    if abs(float(measured)) <= noise:
        return "the environment ignores this number here: the bounds are wider than what it takes"
    return known_factor(measured, claimed) or "an effect that is left out, or a state that is another function"


def _slope(what: str, expected: str, got: str, cause: str) -> CheckFailed:
    return CheckFailed(
        what,
        expected=expected,
        got=got,
        cause=cause,
        fix="write state in torch operations on `actions`, the same that the environment applies",
    )
