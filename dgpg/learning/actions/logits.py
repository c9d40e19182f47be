"""Distributions of the logits of a split, by name in `LOGITS`.

Logits `[..., K]` are -inf where a choice is not allowed. A policy is `[..., K + R]`: its K central logits, then what
else the distribution has. Adding a number to all logits of an agent changes no split: noise and densities are those
of logits less their mean over the n allowed choices, n - 1 dimensions.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from dgpg.learning.actions.kind import Offer

DEVIATION = (0.01, 0.2)
"""Range of the Gaussian's deviation. In a congestion game, noise of 0.1, 0.3, 0.5 and 1 in the logits cost 0.05, 0.3,
0.6 and 2.3 % by itself, as the cost is convex."""


class LogitDistribution(Protocol):
    """Chance in the logits of a split."""

    @property
    def rest(self) -> int:
        """R, parameters beyond the K logits."""
        ...

    @property
    def offers(self) -> frozenset[Offer]:
        """What an estimator may build on."""
        ...

    def parameters(self, logits: Tensor, rest: Tensor) -> Tensor:
        """The policy `[..., K + R]` of central logits `[..., K]` and unbounded numbers `[..., R]`."""
        ...

    def sample(self, policy: Tensor, noise: Tensor) -> Tensor:
        """Logits drawn from uniform `noise` `[..., K]`."""
        ...

    def centre(self, policy: Tensor) -> Tensor:
        """Logits without chance, `[..., K]`."""
        ...

    def deviation(self, policy: Tensor) -> Tensor:
        """What a logit varies by, `[..., 1]`; one where nothing does."""
        ...

    def log_prob(self, policy: Tensor, logits: Tensor) -> Tensor:
        """Log density of drawn logits, `[...]`."""
        ...

    def entropy(self, policy: Tensor) -> Tensor:
        """Differential entropy, `[...]`."""
        ...

    def again(self, policy: Tensor, old: Tensor, logits: Tensor) -> Tensor:
        """What the chance that drew `logits` `[..., K]` from `old` draws from `policy`; differentiable in this one."""
        ...


class Mean:
    """No chance. It has no score, so only a pathwise estimator can train it."""

    rest = 0
    offers: frozenset[Offer] = frozenset({"path"})

    def parameters(self, logits: Tensor, rest: Tensor) -> Tensor:
        """The logits alone."""
        return logits

    def sample(self, policy: Tensor, noise: Tensor) -> Tensor:
        """The centre."""
        return policy

    def centre(self, policy: Tensor) -> Tensor:
        """The logits."""
        return policy

    def deviation(self, policy: Tensor) -> Tensor:
        """One."""
        return torch.ones_like(policy[..., :1])

    def log_prob(self, policy: Tensor, logits: Tensor) -> Tensor:
        """Zero: the ratio of a policy without chance to its old self is taken as one."""
        return policy.new_zeros(policy.shape[:-1])

    def entropy(self, policy: Tensor) -> Tensor:
        """Zero."""
        return policy.new_zeros(policy.shape[:-1])

    def again(self, policy: Tensor, old: Tensor, logits: Tensor) -> Tensor:
        """The centre, whatever was drawn."""
        return policy


class Gaussian:
    """Logits m + s e, e standard normal less its mean; the split is logistic-normal (Aitchison and Shen 1980).

    The density is that of the latent logits less their mean. The split is a function of them that holds no parameter,
    a part of the environment for the score function: grad E[r(split)] = E[r grad log p(logits)]. As a split gives its
    logits less their mean back, the density of the split itself differs by a Jacobian that holds no parameter either,
    and ratios of policies are the same. The density of all n logits would be valid too, but would add the noise of the
    one dimension that no split shows.

    One deviation s for an agent, learned; it starts half way between the ends of `DEVIATION`.
    """

    rest = 1
    offers: frozenset[Offer] = frozenset({"score", "path"})

    def parameters(self, logits: Tensor, rest: Tensor) -> Tensor:
        """log s is the last."""
        low, high = DEVIATION
        return torch.cat([logits, (low + (high - low) * torch.sigmoid(rest)).log()], -1)

    def sample(self, policy: Tensor, noise: Tensor) -> Tensor:
        """By the inverse of the distribution function."""
        # Uniform numbers are multiples of 2^-24: both ends stay finite.
        return self.drawn(policy, math.sqrt(2) * torch.erfinv((2 * noise - 1).clamp(-1 + 2**-23, 1 - 2**-23)))

    def drawn(self, policy: Tensor, normal: Tensor) -> Tensor:
        """From standard normal numbers `[..., K]`."""
        mean = self.centre(policy)
        return mean + self.deviation(policy) * _less_mean(normal, allowed(mean))

    def centre(self, policy: Tensor) -> Tensor:
        """m."""
        return policy[..., :-1]

    def deviation(self, policy: Tensor) -> Tensor:
        """s."""
        return policy[..., -1:].exp()

    def log_prob(self, policy: Tensor, logits: Tensor) -> Tensor:
        """-|d|^2 / 2 s^2 - (n - 1) log(s sqrt(2 pi)), d = logits - m less its mean."""
        log_deviation, able = policy[..., -1], allowed(logits)
        way = _less_mean(difference(logits, self.centre(policy)), able)
        square = way.square().sum(-1) / (2 * log_deviation).exp()
        return -0.5 * square - _dimensions(able) * (log_deviation + 0.5 * math.log(2 * math.pi))

    def entropy(self, policy: Tensor) -> Tensor:
        """Of the logits less their mean: (n - 1) log(s sqrt(2 pi e))."""
        free = _dimensions(allowed(self.centre(policy)))
        return free * (policy[..., -1] + 0.5 * math.log(2 * math.pi * math.e))

    def again(self, policy: Tensor, old: Tensor, logits: Tensor) -> Tensor:
        """The reparameterised draw, e recovered from the logits."""
        normal = difference(logits, self.centre(old)) / self.deviation(old)
        return self.centre(policy) + self.deviation(policy) * normal


LOGITS: dict[str, LogitDistribution] = {"gaussian": Gaussian(), "mean": Mean()}


def allowed(logits: Tensor) -> Tensor:
    """Where choices are allowed, bool `[..., K]`."""
    return logits > -torch.inf


def difference(one: Tensor, other: Tensor) -> Tensor:
    """one - other of logits `[..., K]` with the same mask, zero where not allowed (-inf - -inf is NaN)."""
    return torch.where(allowed(other), one - other, 0.0)


def _less_mean(x: Tensor, able: Tensor) -> Tensor:
    """x less its mean over the allowed choices, zero elsewhere, `[..., K]`."""
    inside = x * able
    return (inside - inside.sum(-1, keepdim=True) / able.sum(-1, keepdim=True)) * able


def _dimensions(able: Tensor) -> Tensor:
    """n - 1, `[...]`."""
    return able.sum(-1) - 1
