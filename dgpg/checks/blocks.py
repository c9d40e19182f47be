"""What a domain says of blocks beside their potential: what each cost, how it looks, and what choices bring."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.checks.subject import Sample, Subject
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.domain import AgentMapping, Step, SupportsBlockCost, SupportsBlockFeatures, SupportsBlockWork, random

TOLERANCE = 1e-4
"""Of float32 sums, relative."""
SHOWN = "see dgpg.domain.blocks"


def block_cost(subject: Subject) -> None:
    """Every step of an environment that says what blocks cost has block_cost [B, G], and with it goes the shared cost.

    What is left of the shared cost belongs to no block: other joint actions of the same moment change it by less than
    they change the shared cost.
    """
    env = subject.env
    if not isinstance(env, SupportsBlockCost):
        found = [t for t, moment in enumerate(subject.episode) if moment.step_then.block_cost is not None]
        if found:
            raise _failed(
                "Environment.num_blocks", "G, as Step.block_cost is there", "no such attribute",
                "num_blocks is what tells the trainer that block costs exist",
            )  # fmt: skip
        raise Skipped("the environment does not say what blocks cost")
    for t, moment in enumerate(subject.episode):
        cost, state = moment.step_then.block_cost, moment.step_then.state
        wanted = [env.num_envs, env.num_blocks]
        if state.shape[1] != env.num_blocks:
            raise _failed("Environment.num_blocks", f"G = {state.shape[1]}, as Step.state has", f"{env.num_blocks}")
        if cost is None or list(cost.shape) != wanted or cost.dtype != torch.float32:
            got = "None" if cost is None else f"{cost.dtype} {list(cost.shape)}"
            raise _failed(f"Step.block_cost in step {t}", f"torch.float32 {wanted}", got)
        if not cost.isfinite().all():
            raise _failed(f"Step.block_cost in step {t}", "finite numbers", "nan or infinity")
    _goes_with_cost(subject)


def _goes_with_cost(subject: Subject) -> None:
    """What joint actions of one moment change in the shared cost is changed in what blocks cost."""
    shared, blocks = [], []
    for situation in subject.situations:
        steps = [sample.step for sample in subject.samples if sample.situation is situation]
        cost, of_blocks = torch.stack([-step.reward for step in steps]), torch.stack([_sum(step) for step in steps])
        shared.append(cost.double() - cost.double().mean(0))
        blocks.append(of_blocks - of_blocks.mean(0))
    change, explained = torch.cat(shared).square().sum(), torch.cat(blocks)
    left = (torch.cat(shared) - explained).square().sum()
    if float(left) > float(change) * (1 + TOLERANCE) and float(explained.square().sum()) > 0:
        raise _failed(
            "Step.block_cost of other joint actions of the same moments",
            f"to change with the shared cost, whose changes have the sum of squares {float(change):.4g}",
            f"changes that leave {float(left):.4g} of it when they are taken off",
            "a reward for a cost, other units, or costs of another step: who learns from them is led the wrong way",
        )


def _sum(step: Step) -> Tensor:
    assert step.block_cost is not None
    return step.block_cost.double().sum(-1)


def block_features(subject: Subject) -> None:
    """How a block looks is finite, of its own coordinates alone, and differentiable in them."""
    mapping = subject.mapping
    if not isinstance(mapping, SupportsBlockFeatures):
        raise Skipped("the mapping does not say how blocks look: a network sees their coordinates")
    for sample in subject.samples:
        context, state = sample.situation.decision.context, sample.state
        every = torch.arange(state.shape[1], device=state.device).expand(state.shape[:2])
        shown = mapping.block_features(state, every, context)
        where = "AgentMapping.block_features"
        if shown.dim() != 3 or shown.shape[:2] != every.shape or shown.dtype != torch.float32:
            raise _failed(where, f"torch.float32 {[*every.shape, 'F']}", f"{shown.dtype} {list(shown.shape)}")
        if not shown.isfinite().all():
            raise _failed(where, "finite numbers", "nan or infinity")
        order = torch.randperm(state.shape[1], generator=random.generator(subject.seed)).to(state.device)
        turned = mapping.block_features(state[:, order], every[:, order], context)
        if not torch.allclose(turned, shown[:, order], rtol=TOLERANCE, atol=TOLERANCE):
            raise _failed(
                f"{where} of the blocks in another order", "the same rows in that order", "other numbers",
                "the place in the batch is taken for the number of the block: that is `index`",
            )  # fmt: skip
        _differentiable(mapping, sample, every)


def _differentiable(mapping: SupportsBlockFeatures, sample: Sample, every: Tensor) -> None:
    x = sample.state.clone().requires_grad_()
    shown = mapping.block_features(x, every, sample.situation.decision.context)
    if not shown.requires_grad:
        raise _failed(
            "AgentMapping.block_features", "numbers that depend on the coordinates, differentiably", "none that does",
            "a detach(), a round trip through numpy, or the context's state instead of `block`",
        )  # fmt: skip
    (slope,) = torch.autograd.grad(shown.sum(), x)
    if not slope.isfinite().all():
        raise _failed("the derivative of AgentMapping.block_features", "finite numbers", "nan or infinity")


def block_work(subject: Subject) -> None:
    """The work that choices bring to blocks is not negative, and what two bring is the sum."""
    mapping = subject.mapping
    if not (isinstance(mapping, SupportsBlockWork) and isinstance(mapping, AgentMapping)):
        raise Skipped("the mapping does not say what work choices bring")
    for sample in subject.samples:
        change = sample.state - mapping.base_state(sample.situation.decision.context)
        work, later = mapping.block_work(change, 1.0), mapping.block_work(change, 0.9)
        where = "AgentMapping.block_work"
        if list(work.shape) != list(change.shape[:2]) or not work.isfinite().all():
            raise _failed(where, f"finite {list(change.shape[:2])}", f"{list(work.shape)}")
        scale = float(work.abs().max()) or 1.0
        if float(work.min()) < -TOLERANCE * scale:
            raise _failed(f"{where} of what a joint action brought", "at least 0", f"{float(work.min()):.4g}")
        if float((later - work).max()) > TOLERANCE * scale:
            raise _failed(
                f"{where} at gamma = 0.9", "no more than at 1", f"{float((later - work).max()):.4g} more",
                "the discount is taken the other way round",
            )  # fmt: skip
        if not torch.allclose(mapping.block_work(2 * change, 1.0), 2 * work, rtol=TOLERANCE, atol=TOLERANCE * scale):
            raise _failed(
                f"{where} of twice as much", "twice the work", "something else",
                "an offset or a threshold: fees of agents would not add up",
            )  # fmt: skip


def _failed(
    what: str, expected: str, got: str, cause: str = "blocks are counted differently here and in Step.state"
) -> CheckFailed:
    return CheckFailed(what, expected=expected, got=got, cause=cause, fix=SHOWN)
