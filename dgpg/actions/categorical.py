"""Categorical actions with masks: logits for each choice `[..., K]`."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg import advantage, guidance
from dgpg.losses import clipped_all_action, clipped_policy
from dgpg.protocols import AgentMapping, AnalyticalModel
from dgpg.types import Decision, Trajectory, flatten, map_tensors

ESTIMATORS = ("all_action", "exact", "first_order")
"""Estimators of grad G, docs/theory.md section 2; the first is the default."""
STATES = 64
"""States that guidance takes at a time."""


def log_probs(logits: Tensor, mask: Tensor) -> Tensor:
    """log pi(k), `[..., K]`: -inf where not allowed, uniform where nothing is."""
    nothing = ~mask.any(-1, keepdim=True)
    return logits.masked_fill(~(mask | nothing), -torch.inf).log_softmax(-1)


def sample(logs: Tensor, noise: Tensor) -> Tensor:
    """Draw by the inverse of the distribution function from uniform `noise` `[...]`.

    One uniform number an agent decides, so the draw of an environment does not depend on its batch.
    """
    distribution = logs.exp().cumsum(-1)
    return (distribution <= noise.unsqueeze(-1) * distribution[..., -1:]).sum(-1)


def greedy(logs: Tensor) -> Tensor:
    """The most probable choice, the first where several are."""
    return logs.argmax(-1)


def log_prob(logs: Tensor, actions: Tensor) -> Tensor:
    """log pi(a), `[...]`."""
    return logs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def entropy(logs: Tensor) -> Tensor:
    """-sum_k pi(k) log pi(k), `[...]`."""
    # 0 * -inf is NaN: a choice that is not allowed adds nothing.
    return -(logs.exp() * logs.masked_fill(logs == -torch.inf, 0.0)).sum(-1)


def policy_loss(
    logs: Tensor, logs_old: Tensor, actions: Tensor, advantage: Tensor, u: Tensor | None,
    alpha: float, clip: float,
) -> Tensor:  # fmt: skip
    """(1 - alpha) of the sampled clipped loss + alpha of the all-action one.

    Args:
        logs: log pi(k) under the parameters being trained, `[M, K]`.
        logs_old: the same when the action was drawn.
        actions: `[M]`.
        advantage: of the sampled action, `[M]`.
        u: guidance of every choice for `all_action`, `[M, K]`; None when `advantage` holds it already.
        alpha: weight of u, unused without it.
        clip: width of the trust region.
    """
    sampled = clipped_policy(log_prob(logs, actions), log_prob(logs_old, actions), advantage, clip)
    if u is None:
        return sampled
    return (1 - alpha) * sampled + alpha * clipped_all_action(logs, logs_old, u, clip)


@torch.no_grad()
def guide(
    estimator: str, model: AnalyticalModel, mapping: AgentMapping, trajectory: Trajectory, scaled: bool
) -> Tensor:
    """The signal u for a whole trajectory, normalised (docs/theory.md section 2).

    Returns:
        `all_action`: advantage of every choice, `[T, B, N, K]`.
        `exact`, `first_order`: advantage of the sampled choice, `[T, B, N]`.
    """
    decision = flatten(trajectory.decision)
    state, actions = trajectory.state.flatten(0, 1), trajectory.actions.flatten(0, 1)
    # A few states at a time: what their choices touch then stays in the processor's cache.
    parts = []
    for first in range(0, len(state), STATES):
        at = slice(first, first + STATES)
        part = map_tensors(lambda x: x[at], decision)  # noqa: B023 (called at once)
        parts.append(_potential(estimator, model, mapping, part, state[at], actions[at]))
    shape = trajectory.log_policy.shape
    potential = torch.cat([part[0] for part in parts]).view(shape)
    active = trajectory.decision.observation.active
    if estimator == "first_order":
        return advantage.normalise(-log_prob(potential, trajectory.actions), active, "batch")
    probability = trajectory.log_policy.exp()
    own = torch.cat([part[1] for part in parts]).view(shape[:-1]) if scaled else None
    u = advantage.scale_guidance(advantage.centre(potential, probability), probability, active, own)
    return u if estimator == "all_action" else log_prob(u, trajectory.actions)


def _potential(
    estimator: str, model: AnalyticalModel, mapping: AgentMapping, decision: Decision, state: Tensor, actions: Tensor
) -> tuple[Tensor, Tensor]:
    """phi_i(k) `[S, N, K]` and each agent's own scale `[S, N]` of S states."""
    seen, context = decision.observation, decision.context
    influence = mapping.influence(seen, context)
    if estimator == "first_order":
        potential = guidance.linear_potential(model, state, context, influence)
    else:
        potential = guidance.marginal_potential(model, state, context, influence, actions, seen.active)
    return potential, guidance.own_scale(influence, seen.mask)
