"""Distributions on the unit interval for continuous actions, by name in `DISTRIBUTIONS`.

Each dimension of an action has one; `[..., A, P]` are the P parameters of A dimensions, `[..., A]` actions,
which are independent of each other given the parameters.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from scipy.special import betaincinv
from torch import Tensor

from dgpg.learning.actions.kind import Offer

EDGE = 1e-5
"""Drawn actions keep this distance from 0 and 1, where densities and their slopes are infinite."""
LOG_DEVIATION = (-4.0, 1.0)
"""Range of the Gaussian's log deviation, before squashing."""
START = -0.7
"""The Gaussian's log deviation at zero output: half a unit before squashing, about 12 % of the range."""


class Distribution(Protocol):
    """A distribution on [0, 1]."""

    @property
    def width(self) -> int:
        """P, parameters of one dimension."""
        ...

    @property
    def offers(self) -> frozenset[Offer]:
        """What an estimator may build on."""
        ...

    def parameters(self, raw: Tensor) -> Tensor:
        """From unbounded numbers `[..., A, P]`."""
        ...

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Draw from uniform `noise` `[..., A]`."""
        ...

    def centre(self, parameters: Tensor) -> Tensor:
        """The action without chance, `[..., A]`."""
        ...

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Log density of each dimension, `[..., A]`."""
        ...

    def entropy(self, parameters: Tensor) -> Tensor:
        """Differential entropy of each dimension, `[..., A]`."""
        ...

    def again(self, parameters: Tensor, old: Tensor, actions: Tensor) -> Tensor:
        """What the chance that drew `actions` `[..., A]` from `old` draws from `parameters`, differentiable there."""
        ...


class Gaussian:
    """sigmoid(m + s e), e standard normal; parameters m and log s."""

    width = 2
    offers: frozenset[Offer] = frozenset({"score", "path"})

    def parameters(self, raw: Tensor) -> Tensor:
        """The log deviation starts at `START` and stays within `LOG_DEVIATION`."""
        mean, log_deviation = raw.unbind(-1)
        return torch.stack([mean, (log_deviation + START).clamp(*LOG_DEVIATION)], -1)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """By the inverse of the distribution function."""
        # Uniform numbers are multiples of 2^-24: both ends stay finite.
        return self.drawn(parameters, math.sqrt(2) * torch.erfinv((2 * noise - 1).clamp(-1 + 2**-23, 1 - 2**-23)))

    def drawn(self, parameters: Tensor, normal: Tensor) -> Tensor:
        """From standard normal numbers `[..., A]`."""
        mean, log_deviation = parameters.unbind(-1)
        return torch.sigmoid(mean + log_deviation.exp() * normal).clamp(EDGE, 1 - EDGE)

    def centre(self, parameters: Tensor) -> Tensor:
        """The median, sigmoid(m)."""
        return torch.sigmoid(parameters[..., 0])

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Normal density of logit(a), times |d logit / d a| = 1 / (a (1 - a))."""
        mean, log_deviation = parameters.unbind(-1)
        z = (torch.logit(actions) - mean) / log_deviation.exp()
        inside = -0.5 * z.square() - log_deviation - 0.5 * math.log(2 * math.pi)
        return inside - (actions * (1 - actions)).log()

    def entropy(self, parameters: Tensor) -> Tensor:
        """Of the normal before squashing: that of the squashed one has no closed form."""
        return parameters[..., 1] + 0.5 * math.log(2 * math.pi * math.e)

    def again(self, parameters: Tensor, old: Tensor, actions: Tensor) -> Tensor:
        """The reparameterised draw, e recovered from the action."""
        mean_old, log_old = old.unbind(-1)
        mean, log_deviation = parameters.unbind(-1)
        normal = (torch.logit(actions) - mean_old) / log_old.exp()
        return torch.sigmoid(mean + log_deviation.exp() * normal)


class Beta:
    """Beta(p, q) with p, q > 1, so that it has one mode inside (Chou, Maturana and Scherer 2017)."""

    width = 2
    offers: frozenset[Offer] = frozenset({"score"})

    def parameters(self, raw: Tensor) -> Tensor:
        """p, q = 1 + softplus."""
        return 1 + torch.nn.functional.softplus(raw)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """By the inverse of the distribution function, in SciPy on the CPU."""
        p, q = parameters.detach().double().cpu().unbind(-1)
        drawn = betaincinv(p.numpy(), q.numpy(), noise.double().cpu().numpy())
        return torch.as_tensor(drawn).to(parameters).clamp(EDGE, 1 - EDGE)

    def centre(self, parameters: Tensor) -> Tensor:
        """The mean, p / (p + q)."""
        return parameters[..., 0] / parameters.sum(-1)

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """(p - 1) log a + (q - 1) log(1 - a) - log B(p, q)."""
        p, q = parameters.unbind(-1)
        return (p - 1) * actions.log() + (q - 1) * torch.log1p(-actions) - _log_beta(p, q)

    def entropy(self, parameters: Tensor) -> Tensor:
        """log B(p, q) - (p - 1) psi(p) - (q - 1) psi(q) + (p + q - 2) psi(p + q)."""
        p, q = parameters.unbind(-1)
        spread = (p - 1) * torch.digamma(p) + (q - 1) * torch.digamma(q) - (p + q - 2) * torch.digamma(p + q)
        return _log_beta(p, q) - spread

    def again(self, parameters: Tensor, old: Tensor, actions: Tensor) -> Tensor:
        """Not needed: the inverse distribution function has no derivative in torch, so there is no pathwise form.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("a Beta distribution has no pathwise estimator")


class Mean:
    """No chance: sigmoid of one output. It has no score, so only the pathwise estimator can train it."""

    width = 1
    offers: frozenset[Offer] = frozenset({"path"})

    def parameters(self, raw: Tensor) -> Tensor:
        """As they are."""
        return raw

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """The centre."""
        return self.centre(parameters)

    def centre(self, parameters: Tensor) -> Tensor:
        """sigmoid(m)."""
        return torch.sigmoid(parameters[..., 0])

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Zero: the ratio of a policy without chance to its old self is taken as one."""
        return torch.zeros_like(actions)

    def entropy(self, parameters: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(parameters[..., 0])

    def again(self, parameters: Tensor, old: Tensor, actions: Tensor) -> Tensor:
        """The centre, whatever was drawn."""
        return self.centre(parameters)


DISTRIBUTIONS: dict[str, Distribution] = {"gaussian": Gaussian(), "beta": Beta(), "mean": Mean()}


def _log_beta(p: Tensor, q: Tensor) -> Tensor:
    return torch.lgamma(p) + torch.lgamma(q) - torch.lgamma(p + q)
