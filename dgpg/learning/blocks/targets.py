"""What a block's state led to, as pure functions of what was seen; docs/theory.md section 6.

Of the moments of B environments over T steps and G blocks, `[T, B, G]`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.learning.shards import WHOLE, Shard, mean


def price_of(work: Tensor, cost: Tensor, shard: Shard = WHOLE) -> float:
    """Price of a unit of work at which what arrived pays for all costs.

    Args:
        work: that arrived in each step, `[T, B, G]`.
        cost: of blocks, `[T, B, G]`.
        shard: that these are of, as below.
    """
    total, costs = shard.total(torch.stack([work.sum(), cost.sum()])).tolist()
    return costs / total if total > 0 else 0.0


def added_by(work: Tensor, followed: Tensor, known: Tensor, shard: Shard = WHOLE) -> float:
    """What a unit of work added to all that followed: its coefficient over moments, which nobody chose.

    Work comes whatever agents do, so this is an effect and no mere correlation. What all environments have at the same
    step of an episode is taken off; 0 where work does not vary.

    Args:
        work: that arrived at all blocks together, `[T, B]`.
        followed: costs of all blocks together from then on, `[T, B]`.
        known: moments to look at, `[T, B]`.
        shard: that these are of.
    """
    both = torch.stack([work, followed])
    several = shard.total(torch.tensor(work.shape[1])) > 1
    w, y = (both - mean(both, (2,) if several else (1,), shard))[:, known]
    power, product = shard.total(torch.stack([w.square().sum(), (w * y).sum()])).tolist()
    return product / power if power > 0 else 0.0


def returns(
    cost: Tensor,
    fee: Tensor,
    value: Tensor | None,
    tail: Tensor,
    terminated: Tensor,
    done: Tensor,
    gamma: float,
    lambda_: float,
) -> Tensor:
    """y_t = c_t + gamma ((1 - lambda) v(x_{t+1}) + lambda y_{t+1} - fee_{t+1}), of each block, `[T, B, G]`.

    v(x_{t+1}) is after the joint action of t + 1, whose fee it was charged with: what came with it is taken off again.

    Args:
        cost: c, `[T, B, G]`.
        fee: `[T, B, G]`.
        value: v(x_t), `[T, B, G]`; None before there is any, for lambda = 1.
        tail: what stands for the future beyond what was seen, `[G]`.
        terminated: true ends, `[T, B]`: nothing comes after.
        done: ends, `[T, B]`.
        gamma: discount.
        lambda_: weight of what was seen.
    """
    found, ahead = torch.empty_like(cost), tail.expand_as(cost[0])
    for t in reversed(range(len(cost))):
        ahead = torch.where(done[t].unsqueeze(-1), tail, ahead)
        ahead = torch.where(terminated[t].unsqueeze(-1), 0.0, ahead)
        found[t] = cost[t] + gamma * ahead
        here = found[t] if value is None else lambda_ * found[t] + (1 - lambda_) * value[t]
        ahead = here - fee[t]
    return found


def seen_enough(terminated: Tensor, done: Tensor, ahead: int) -> Tensor:
    """Moments after which at least `ahead` steps were seen, or a true end, `[T, B]`."""
    count, left = torch.zeros_like(done, dtype=torch.int64), torch.zeros_like(done[0], dtype=torch.int64)
    for t in reversed(range(len(done))):
        left = torch.where(done[t], torch.where(terminated[t], ahead, 0), left)
        count[t] = left
        left = left + 1
    return count >= ahead


def within(x: Tensor, shard: Shard = WHOLE) -> Tensor:
    """Less the mean of its moment and that of its block, `[S, G]`: a choice between blocks hears only of what is left.

    The mean over all is added back, once.
    """
    return x - mean(x, (0,), shard) - x.mean(1, keepdim=True) + mean(x, (0, 1), shard)


def fit(prediction: Tensor, target: Tensor, shard: Shard = WHOLE) -> tuple[float, float]:
    """Coefficient of one in the other, both `[S, G]` of `within`, and the share of the variance that it explains.

    `(0, 0)` where one of them does not vary.
    """
    products = (prediction.square(), target.square(), prediction * target)
    power, whole, both = shard.total(torch.stack([x.sum() for x in products])).tolist()
    if power == 0 or whole == 0:
        return 0.0, 0.0
    slope = both / power
    rest = float(shard.total((target - slope * prediction).square().sum()))
    return slope, 1 - rest / whole
