"""What estimators of choices measure over a trajectory, docs/theory.md section 2."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, AnalyticalModel, Decision, Influence
from dgpg.domain.types import flatten, map_tensors
from dgpg.learning import guidance
from dgpg.learning.trajectory import Trajectory

STATES = 64
"""States that guidance takes at a time: what their choices touch then stays in the processor's cache."""

Measure = Callable[[Decision, Tensor, Tensor, Tensor], tuple[Tensor, ...]]
"""Of S moments: decisions, states `[S, G, m]`, actions `[S, N]`, log probabilities `[S, N, K]`; results `[S, ...]`."""


def measured(trajectory: Trajectory, measure: Measure) -> tuple[Tensor, ...]:
    """Results of `measure` over all moments, a few at a time, each `[T, B, ...]`."""
    decision = flatten(trajectory.decision)
    state, actions, logs = (x.flatten(0, 1) for x in (trajectory.state, trajectory.actions, trajectory.policy))
    found = []
    for first in range(0, len(state), STATES):
        at = slice(first, first + STATES)
        moments = map_tensors(lambda x: x[at], decision)  # noqa: B023 (called at once)
        found.append(measure(moments, state[at], actions[at], logs[at]))
    shape = trajectory.reward.shape
    return tuple(torch.cat(x).view(*shape, *x[0].shape[1:]) for x in zip(*found, strict=True))


def marginal(
    model: AnalyticalModel, mapping: AgentMapping, decision: Decision, state: Tensor, actions: Tensor
) -> tuple[Tensor, Tensor]:
    """phi_i(k) `[S, N, K]`, exact where the potential is a sum over blocks, and each agent's own scale `[S, N]`.

    phi_i is zero of agents with nothing to decide: the model is not asked about them, but for as many as make the
    moments equally long.
    """
    seen, context = decision.observation, decision.context
    influence, active = mapping.influence(seen, context), seen.active
    acting = active.byte().argsort(dim=-1, descending=True, stable=True)[:, : max(int(active.sum(-1).max()), 1)]

    def of(x: Tensor) -> Tensor:
        return x.gather(1, acting.view(*acting.shape, *[1] * (x.dim() - 2)).expand(-1, -1, *x.shape[2:]))

    found = guidance.marginal_potential(
        model, state, context, Influence(of(influence.index), of(influence.value)), of(actions), of(active)
    ) * of(active).unsqueeze(-1)
    potential = found.new_zeros(seen.mask.shape).scatter_(1, acting.unsqueeze(-1).expand_as(found), found)
    return potential, guidance.own_scale(influence, seen.mask)
