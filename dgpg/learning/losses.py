"""Losses as pure functions of a minibatch, one number a row: `[M]`, or `[N, S]` where each agent has a network."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.learning.shards import WHOLE, Shard


def clipped_policy(log_prob: Tensor, log_prob_old: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """-min(rho A, clip(rho) A), rho = pi / pi_old of the sampled action (Schulman et al. 2017, eq. 7).

    All of one shape, a row each; the ratio is one agent's own.
    """
    ratio = (log_prob - log_prob_old).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def clipped_all_action(logs: Tensor, logs_old: Tensor, u: Tensor, clip: float) -> Tensor:
    """-sum_k pi_old(k) min(rho_k u_k, clip(rho_k) u_k): the clipped loss with its expectation over the
    agent's own action taken in closed form (docs/theory.md section 2.3).

    Args:
        logs: log pi(k), `[..., K]`, -inf where not allowed.
        logs_old: log pi_old(k), `[..., K]`.
        u: guidance advantage of each choice, `[..., K]`.
        clip: width of the trust region.

    Returns:
        One number a row, `[...]`.
    """
    allowed = logs_old > -torch.inf
    ratio = torch.where(allowed, logs - logs_old, 0.0).exp()  # -inf - -inf is NaN
    gain = torch.minimum(ratio * u, ratio.clamp(1 - clip, 1 + clip) * u)
    return -(logs_old.exp() * gain).sum(-1)


def towards_mirrored(logs: Tensor, logs_old: Tensor, u: Tensor, step: float) -> Tensor:
    """-sum_k q(k) log pi(k), q(k) = pi_old(k) exp(step u_k) / Z: a step of mirror descent with the negative entropy
    (Beck and Teboulle 2003; as a loss of policies Tomar et al. 2022).

    Args:
        logs: log pi(k), `[..., K]`, -inf where not allowed.
        logs_old: log pi_old(k), `[..., K]`.
        u: guidance advantage of each choice, `[..., K]`.
        step: how much of u enters log q.

    Returns:
        One number a row, `[...]`.
    """
    allowed = logs_old > -torch.inf
    target = torch.where(allowed, logs_old + step * u, -torch.inf).softmax(-1)
    return -(target * torch.where(allowed, logs, 0.0)).sum(-1)


def clipped_move(u: Tensor, move: Tensor, reach: float) -> Tensor:
    """-sum_k min(u_k m_k, u_k clip(m_k)): how far an action went along u, no more than `reach` of it counted.

    Args:
        u: direction of ascent, taken where the action was, `[..., K]`.
        move: of the action from there, `[..., K]`.
        reach: bound of the move in each dimension, beyond which it earns nothing more.

    Returns:
        One number a row, `[...]`.
    """
    return -torch.minimum(u * move, u * move.clamp(-reach, reach)).sum(-1)


def clipped_value(value: Tensor, value_old: Tensor, target: Tensor, clip: float, delta: float) -> Tensor:
    """Huber loss, a number a row, of the worse of the value and its move clipped around the old value.

    All in normalised units (Yu et al. 2022, section 5.1).
    """
    moved = value_old + (value - value_old).clamp(-clip, clip)
    loss = torch.nn.functional.huber_loss(value, target, reduction="none", delta=delta)
    loss_moved = torch.nn.functional.huber_loss(moved, target, reduction="none", delta=delta)
    return torch.maximum(loss, loss_moved)


def approximate_kl(log_prob: Tensor, log_prob_old: Tensor) -> Tensor:
    """(rho - 1) - log rho, `[...]`, an unbiased, non-negative estimate of KL(pi_old, pi)."""
    log_ratio = log_prob - log_prob_old
    return log_ratio.exp() - 1 - log_ratio


def mean_by_network(rows: Tensor, active: Tensor, count: Tensor) -> Tensor:
    """Part in the mean over the rows of each network that take part: `[M]` to one number, `[N, S]` to `[N]`.

    Summed, it is the loss of all networks at once: each learns from its own rows as if alone.

    Args:
        rows: numbers.
        active: rows that take part.
        count: how many do in all shards together, `[]` or `[N]`.
    """
    return (rows * active).sum(-1) / count.clamp(min=1)


def explained_variance(value: Tensor, target: Tensor, shard: Shard = WHOLE) -> Tensor:
    """1 - Var[target - value] / Var[target], one number for any shape; 0 where the target does not vary."""
    both = torch.stack([target, target - value]).flatten(1).double()
    count = shard.total(torch.tensor(float(target.numel()), device=target.device))
    mean = shard.total(both.sum(1, keepdim=True)) / count
    variance, rest = (shard.total((both - mean).square().sum(1)) / count).float()
    return torch.where(variance > 0, 1 - rest / variance, torch.zeros_like(variance))
