"""The efficient state that a model declares: least, stationary, conserving, and blind to the action."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.checks.model import wide, wide_context
from dgpg.checks.nested import difference
from dgpg.checks.subject import Subject, allowed
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.domain import Context, SupportsConservation, SupportsReference
from dgpg.domain.random import generator

TOLERANCE = 1e-4
STEP = 1e-4
"""Share of the way from x~ to a reachable state that is gone to look for a descent."""


def _declaring(subject: Subject) -> SupportsReference:
    if not isinstance(subject.model, SupportsReference):
        raise Skipped("the model declares no reference(context)")
    return subject.model


def reference_format(subject: Subject) -> None:
    """The reference has the shape of a state and is finite."""
    model = _declaring(subject)
    for sample in subject.samples:
        found = model.reference(sample.situation.decision.context)
        if found.shape != sample.state.shape or not found.isfinite().all():
            raise CheckFailed(
                f"reference in step {sample.situation.t}",
                expected=f"finite numbers {list(sample.state.shape)}, as Step.state",
                got=f"{list(found.shape)}" + ("" if found.isfinite().all() else " with nan or infinity"),
                cause="coordinates that the model does not speak of are left out, or a division by zero",
                fix="return every block and coordinate; give those without meaning weight zero",
            )


def reference_is_least(subject: Subject) -> None:
    """No random joint action leads to a state with a lower potential than the reference."""
    model = wide(subject.model)
    assert isinstance(_declaring(subject), SupportsReference) and isinstance(model, SupportsReference)
    for sample in subject.samples:
        context = wide_context(sample.situation.decision.context)
        best = model.potential(model.reference(context), context).detach()
        phi = model.potential(sample.state.double(), context).detach()
        lower = (phi < best - TOLERANCE * phi.abs().clamp(min=1e-9)).nonzero().flatten().tolist()
        if lower:
            b = lower[0]
            raise CheckFailed(
                f"potential of the reference, environment {b}, step {sample.situation.t}",
                expected=f"at most {phi[b].item():.6g}, the potential after actions {sample.actions[b].tolist()[:12]}",
                got=f"{best[b].item():.6g}",
                cause="x~ minimises another function than phi, or keeps a total that joint actions do not keep",
                fix="let potential and reference come from one objective over one feasible set",
            )


def reference_is_stationary(subject: Subject) -> None:
    """From the reference no way towards a reachable state descends: <grad phi(x~), x - x~> >= 0."""
    _declaring(subject)
    model = wide(subject.model)
    assert isinstance(model, SupportsReference)
    for sample in subject.samples:
        context = wide_context(sample.situation.decision.context)
        reference = model.reference(context).detach()
        way = sample.state.double() - reference
        with torch.no_grad():
            start, end = model.potential(reference, context), model.potential(sample.state.double(), context)
            # One-sided difference: it is the gradient condition where phi is smooth, and right at kinks too.
            slope = (model.potential(reference + STEP * way, context) - start) / STEP
        descends = (slope < -TOLERANCE * (start.abs() + end.abs())).nonzero().flatten().tolist()
        if descends:
            b = descends[0]
            raise CheckFailed(
                f"slope of phi from the reference towards a state of step {sample.situation.t}, environment {b}",
                expected="at least 0: x~ is efficient, so every way from it climbs",
                got=f"{slope[b].item():.6g} towards the state after actions {sample.actions[b].tolist()[:12]}",
                cause="x~ does not minimise phi (wrong weights, wrong total, or a solver stopped early)",
                fix="let potential and reference come from one objective over one feasible set",
            )


def reference_is_exogenous(subject: Subject) -> None:
    """The reference is a function of the context alone: it sees neither the action nor what comes after it."""
    model = _declaring(subject)
    chance = generator(subject.seed + 2)
    for situation in subject.situations:
        context = situation.decision.context
        situation.restore()
        before, again = _references(model, context), _references(model, context)
        situation.step(allowed(situation.env, situation.decision, chance))
        one = _references(model, context)
        situation.step(allowed(situation.env, situation.decision, chance))
        other = _references(model, context)
        for what, pair, seen in (
            ("two calls in a row", (before, again), "chance or a counter"),
            ("after two different joint actions", (one, other), "the action, through the environment"),
            ("before and after a step", (before, one), "what comes after the decision, through the environment"),
        ):
            where = difference(*pair)
            if where:
                raise _sees(what, where, seen)
        for b in range(subject.num_envs):
            alone = model.reference({name: x[b : b + 1] for name, x in context.items()}).detach()
            where = difference(before[b : b + 1], alone, 1e-4)
            if where:
                raise _sees(f"environment {b} in a batch and alone", where, "other environments of the batch")


def _references(model: SupportsReference, context: Context) -> Tensor:
    return model.reference(context).detach().clone()


def _sees(what: str, where: str, seen: str) -> CheckFailed:
    return CheckFailed(
        f"reference of one context: {what}",
        expected="the same numbers: x~ is fixed before the action is drawn",
        got=where,
        cause=f"reference sees {seen}",
        fix="compute it from its argument `context` alone, and put into the context only what is known before acting",
    )


def conservation(subject: Subject) -> None:
    """Conserved quantities are the same after any two joint actions and in the reference."""
    model = subject.model
    if not isinstance(model, SupportsConservation):
        raise Skipped("the model declares no conserved(state, context)")
    for situation in subject.situations:
        context = situation.decision.context
        states = [sample.state for sample in subject.samples if sample.situation is situation]
        kept = [model.conserved(state, context) for state in states]
        if kept[0].dim() != 2 or len(kept[0]) != subject.num_envs:
            raise _conserved("its shape", f"[{subject.num_envs}, Q]", f"{list(kept[0].shape)}", "a sum over the batch")
        for other in kept[1:]:
            _same(
                kept[0], other, f"after two joint actions in step {situation.t}", "an action creates or destroys some"
            )
        if isinstance(model, SupportsReference):
            ideal = model.conserved(model.reference(context), context)
            _same(
                kept[0],
                ideal,
                f"after a joint action and in the reference in step {situation.t}",
                "x~ keeps another total",
            )


def _same(first: Tensor, second: Tensor, what: str, cause: str) -> None:
    size = torch.maximum(first.abs(), second.abs()).amax().clamp(min=1e-6)
    wrong = ((first - second).abs() > TOLERANCE * size).nonzero()
    if len(wrong):
        b, q = wrong[0].tolist()
        where = f"quantity {q} of environment {b}, {what}"
        raise _conserved(where, f"the same amount, {first[b, q].item():.6g}", f"{second[b, q].item():.6g}", cause)


def _conserved(what: str, expected: str, got: str, cause: str) -> CheckFailed:
    return CheckFailed(
        f"conserved: {what}",
        expected=expected,
        got=got,
        cause=f"{cause}; or idle agents' parts are counted in one and not in the other",
        fix="sum over the same agents and coordinates in state, reference and conserved",
    )
