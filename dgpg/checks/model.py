"""The analytical model: potential, gradient, blocks, and that it looks at nothing but its arguments."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from dgpg.checks.nested import difference
from dgpg.checks.subject import Sample, Subject
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.domain import AnalyticalModel, Context, SupportsBlockPotential, random

TOLERANCE = 1e-4
DIRECTIONS = 8
WIDTHS = (1e-6, 1e-4, 1e-2)
"""Relative steps of finite differences: narrow ones stay clear of kinks, wide ones of rounding."""


def potential_format(subject: Subject) -> None:
    """The potential of states [B, G, m] is [B], finite and not negative."""
    for sample in subject.samples:
        decision, state = sample.situation.decision, sample.state
        phi = subject.model.potential(state, decision.context)
        if not isinstance(phi, Tensor) or tuple(phi.shape) != (len(state),) or not phi.is_floating_point():
            got = f"{phi.dtype} {list(phi.shape)}" if isinstance(phi, Tensor) else repr(phi)
            raise _potential("its format", f"a tensor of floats [{len(state)}], one an environment", got)
        bad = (~phi.isfinite() | (phi < 0)).nonzero().flatten().tolist()
        if bad:
            what = f"environment {bad[0]}, step {sample.situation.t}, actions {sample.actions[bad[0]].tolist()[:12]}"
            raise _potential(what, "a finite number >= 0", f"{phi[bad[0]].item():.6g}")


def _potential(what: str, expected: str, got: str) -> CheckFailed:
    return CheckFailed(
        f"potential: {what}",
        expected=expected,
        got=got,
        cause="a sum over the batch, a cost that can be negative (reward instead of cost), or a division by zero",
        fix="sum over blocks and coordinates only; phi is a cost or a distance, zero at best",
    )


def gradient(subject: Subject) -> None:
    """The gradient of the potential agrees with central differences in float64."""
    chance = random.generator(subject.seed)
    model = wide(subject.model)
    for sample in subject.samples[::3]:
        context = wide_context(sample.situation.decision.context)
        state = _between(subject, sample, chance)
        _gradient_at(model, state, context, chance, sample)


def wide(model: AnalyticalModel) -> AnalyticalModel:
    """A copy that computes in float64, as far as it can."""
    return copy.deepcopy(model).double() if isinstance(model, nn.Module) else model


def wide_context(context: Context) -> Context:
    """Floats in float64."""
    return {name: x.double() if x.is_floating_point() else x for name, x in context.items()}


def _between(subject: Subject, sample: Sample, chance: torch.Generator) -> Tensor:
    """A random state between two that joint actions reach: inside what is possible, off most kinks."""
    other = next(s for s in reversed(subject.samples) if s.situation is sample.situation)
    share = torch.rand(sample.state.shape, generator=chance, dtype=torch.float64).to(sample.state.device)
    return sample.state.double() * share + other.state.double() * (1 - share)


def _gradient_at(
    model: AnalyticalModel, state: Tensor, context: Context, chance: torch.Generator, sample: Sample
) -> None:
    x = state.clone().requires_grad_()
    try:
        (slope,) = torch.autograd.grad(model.potential(x, context).sum(), x)
    except RuntimeError as error:
        raise _gradient("the potential", "a differentiable function of the state", f"{error}") from error
    size = state.abs().flatten(0, 1).amax(0).clamp(min=1e-3)
    moves = torch.randn(DIRECTIONS, *state.shape[1:], generator=chance, dtype=torch.float64).to(state.device) * size
    start = model.potential(state, context).detach().double()
    for direction in [*moves[: DIRECTIONS // 2], *(_single(move) for move in moves[DIRECTIONS // 2 :])]:
        claimed = (slope * direction).sum((-1, -2))
        measured = [_sides(model, state, context, direction, width, start) for width in WIDTHS]
        floor = 1e-6 * start.abs().amax()
        right = torch.stack([_fits(claimed, *sides, floor) for sides in measured]).any(0)
        wrong = (~right).nonzero().flatten().tolist()
        if wrong:
            b = wrong[0]
            left, after = (float(side[b]) for side in measured[1])
            raise _gradient(
                f"<grad phi, d> of environment {b} near the state of step {sample.situation.t}",
                f"between {min(left, after):.6g} and {max(left, after):.6g}, the differences to the left and right",
                f"{claimed[b].item():.6g} from autograd",
            )


def _single(direction: Tensor) -> Tensor:
    """Only the largest entry of a direction: one coordinate of one block."""
    return direction * (direction.abs() == direction.abs().amax())


def _sides(
    model: AnalyticalModel, x: Tensor, context: Context, d: Tensor, width: float, start: Tensor
) -> tuple[Tensor, Tensor]:
    """Slopes along d to the left and to the right of phi(x) = start, `[B]` each; where one is no number, the other."""
    with torch.no_grad():
        low, high = (model.potential(x + width * sign * d, context).double() for sign in (-1, 1))
    left, right = (start - low) / width, (high - start) / width
    return left.where(left.isfinite(), right), right.where(right.isfinite(), left)


def _fits(claimed: Tensor, left: Tensor, right: Tensor, floor: Tensor) -> Tensor:
    """At a kink both sides differ and any slope between them is right; elsewhere they agree."""
    slack = 1e-3 * torch.stack([claimed.abs(), left.abs(), right.abs()]).amax(0) + floor
    fits: Tensor = (claimed >= torch.minimum(left, right) - slack) & (claimed <= torch.maximum(left, right) + slack)
    return fits


def _gradient(what: str, expected: str, got: str) -> CheckFailed:
    return CheckFailed(
        f"gradient: {what}",
        expected=expected,
        got=got,
        cause="a part of the potential is detached, rounded or computed without gradient (.detach(), .item(), numpy), "
        "or an autograd function of its own is wrong",
        fix="compute phi from the state with torch operations only; detach the reference, not the state",
    )


def block_potential(subject: Subject) -> None:
    """block_potential adds up to the potential, whichever blocks are asked for in whichever order."""
    model = subject.model
    if not isinstance(model, SupportsBlockPotential):
        raise Skipped("the model has no block_potential: guidance is first order")
    chance = random.generator(subject.seed)
    for sample in subject.samples:
        context, state = sample.situation.decision.context, sample.state
        whole = torch.arange(state.shape[1], device=state.device)
        parts = _blocks(model, state, whole, context)
        size = parts.abs().sum(-1, keepdim=True).amax().clamp(min=1e-6)
        _agree(
            "the sum over all blocks against potential",
            "the two are different functions, or a part of phi belongs to no block",
            parts.sum(-1),
            model.potential(state, context),
            size,
        )
        mixed = torch.randperm(len(whole), generator=chance).to(state.device)
        _agree(
            "blocks in another order",
            "the place of a block is used instead of its number `index`",
            _blocks(model, state, mixed, context),
            parts[:, mixed],
            size,
        )
        _agree(
            "every block asked for twice, as guidance does",
            "block_potential takes A for G, or normalises over the blocks asked for",
            _blocks(model, state, torch.cat([whole, whole]), context),
            torch.cat([parts, parts], 1),
            size,
        )


def _blocks(model: SupportsBlockPotential, state: Tensor, which: Tensor, context: Context) -> Tensor:
    """phi_g of blocks `which` `[A]` of each environment, `[B, A]`."""
    return model.block_potential(state[:, which], which.expand(len(state), -1), context)


def _agree(what: str, cause: str, got: Tensor, expected: Tensor, size: Tensor) -> None:
    fix = "compute each phi_g from its own coordinates and gather its parameters by index"
    if got.shape != expected.shape:
        shapes = f"shape {list(expected.shape)}", f"{list(got.shape)}"
        raise CheckFailed(f"block_potential: {what}", expected=shapes[0], got=shapes[1], cause=cause, fix=fix)
    wrong = ((got - expected).abs() > TOLERANCE * size).nonzero()
    if len(wrong):
        at = tuple(wrong[0].tolist())
        raise CheckFailed(
            f"block_potential: {what}, index {list(at)} (environment first)",
            expected=f"{expected[at].item():.6g}",
            got=f"{got[at].item():.6g}",
            cause=cause,
            fix=fix,
        )


def model_is_pure(subject: Subject) -> None:
    """The potential depends on the state and the context alone, row by row."""
    for sample in subject.samples[::3]:
        context, state, model = sample.situation.decision.context, sample.state, subject.model
        sample.situation.step(sample.actions)
        first = model.potential(state, context).detach().clone()
        sample.situation.env.step(sample.actions.clone())
        where = difference(first, model.potential(state, context).detach())
        if where:
            raise CheckFailed(
                "potential of the same state and context, before and after the environment went on",
                expected="the same numbers bit for bit",
                got=where,
                cause="the model reads or keeps something besides its arguments (the environment, a counter, chance)",
                fix="put what it needs into Decision.context",
            )
        for b in range(subject.num_envs):
            one = {name: x[b : b + 1] for name, x in context.items()}
            where = difference(first[b : b + 1], model.potential(state[b : b + 1], one).detach(), 1e-4)
            if where:
                raise CheckFailed(
                    f"potential of environment {b} in a batch and alone",
                    expected="the same number",
                    got=where,
                    cause="a sum, mean or maximum over the batch",
                    fix="let dimension 0 be environments throughout",
                )
