"""Step 3 of 5: from rewards and values to advantages, and what normalises them before alpha mixes.

Pure functions; which of them an estimator uses, and where, is said in `estimators/`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dgpg.learning.shards import WHOLE, Shard

Scope = Literal["batch", "agent", "none"]


def gae(
    reward_t: Tensor, value_t: Tensor, value_tp1: Tensor, terminated_t: Tensor, done_t: Tensor,
    gamma: float, lambda_: float,
) -> Tensor:  # fmt: skip
    """Generalised advantage estimation (Schulman et al. 2016, eq. 16), `[T, ...]`.

        delta_t = r_t + gamma (1 - terminated_t) V_{t+1} - V_t
        A_t     = delta_t + gamma lambda (1 - done_t) A_{t+1}

    An episode that is only cut keeps the value of its final observation in `value_tp1`; lambda is
    cut at every episode end (Pardo et al. 2018).
    """
    delta_t = reward_t + gamma * value_tp1 * (~terminated_t) - value_t
    decay_t = gamma * lambda_ * (~done_t)
    advantage_t = torch.empty_like(delta_t)
    running = torch.zeros_like(delta_t[0])
    for t in reversed(range(len(delta_t))):
        running = delta_t[t] + decay_t[t] * running
        advantage_t[t] = running
    return advantage_t


def normalise(advantage: Tensor, active: Tensor, scope: Scope, shard: Shard = WHOLE) -> Tensor:
    """Zero mean and unit deviation over the entries that act.

    Args:
        advantage: `[T, B, N]`.
        active: True where an agent had something to decide, `[T, B, N]`.
        scope: over everything (`batch`), over time and environments of each agent (`agent`), or not.
        shard: what this is a part of.

    Returns:
        `[T, B, N]`; zero where inactive. Safe for none or one active entry.
    """
    weight = active.to(advantage.dtype)
    if scope == "none":
        return advantage * weight
    dims = (0, 1, 2) if scope == "batch" else (0, 1)
    sums = torch.stack([x.sum(dims, keepdim=True) for x in (weight, advantage * weight)])
    count, whole = shard.total(sums).unbind()
    count = count.clamp(min=1)
    mean = whole / count
    variance = shard.total(((advantage - mean).square() * weight).sum(dims, keepdim=True)) / count
    return (advantage - mean) * weight / (variance.sqrt() + 1e-8)


def centre(potential: Tensor, probability: Tensor) -> Tensor:
    """Guidance advantage of every choice, u_i(k) - sum_j pi_i(j) u_i(j) with u = -phi, `[..., K]`."""
    mean = (potential * probability).sum(-1, keepdim=True)
    return (mean - potential) * (probability > 0)


def scale_guidance(u: Tensor, probability: Tensor, active: Tensor, own: Tensor | None, shard: Shard = WHOLE) -> Tensor:
    """Divide by the agent's own scale, then by the root mean square over the batch, under the policy.

    Heavy-tailed influences (job sizes) would otherwise decide the normaliser alone (docs/theory.md
    section 2, "scale before you mix").

    Args:
        u: centred guidance, `[T, B, N, K]`.
        probability: pi_old(k), `[T, B, N, K]`.
        active: `[T, B, N]`.
        own: each agent's own scale, `[T, B, N]`, or None.
        shard: what this is a part of.
    """
    if own is not None:
        u = u / own.clamp(min=1e-8).unsqueeze(-1)
    weight = probability * active.unsqueeze(-1)
    square, count = shard.total(torch.stack([(u.square() * weight).sum(), weight.sum()])).unbind()
    power = square / count.clamp(min=1)
    return u / (power.sqrt() + 1e-8)


def scale_direction(u: Tensor, worth: Tensor, active: Tensor, shard: Shard = WHOLE) -> Tensor:
    """Divide a direction of ascent by the root mean square of its worth over all agents that act.

    Args:
        u: `[T, B, N, K]`; zero where inactive.
        worth: what u promises in each dimension, `[T, B, N, K]`; u itself where dimensions are alike.
        active: `[T, B, N]`.
        shard: what this is a part of.
    """
    square, count = shard.total(torch.stack([worth.square().sum(), active.sum().to(worth.dtype)])).unbind()
    power = square / count.clamp(min=1)
    return u / (power.sqrt() + 1e-8)


def regress(advantage: Tensor, baseline: Tensor, active: Tensor, shard: Shard = WHOLE) -> float:
    """Coefficient of the baseline in the advantage, both `[T, B, N]`: sum A b / sum b^2 where agents act, else 0."""
    b = baseline[active]
    power, product = shard.total(torch.stack([b.square().sum(), (advantage[active] * b).sum()])).tolist()
    return product / power if power > 0 else 0.0


def mix(advantage: Tensor, u: Tensor, alpha: float) -> Tensor:
    """(1 - alpha) A + alpha u, `[T, B, N]`, both parts normalised before."""
    return (1 - alpha) * advantage + alpha * u
