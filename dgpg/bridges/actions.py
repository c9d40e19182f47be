"""Joint actions that come from elsewhere: looked at, and turned into what an environment takes.

Nothing is bent in silence: what is no action is refused. Two things are allowed for, since other libraries cannot know
better. Of a split, shares that the mask does not allow are taken out and the rest is scaled to one: vehicles that are
sent along a route that does not exist would cost nothing. A choice that the mask does not allow is handed on, and is
said in `not_allowed`: what it does is the domain's business (of the cloud's, a job goes on waiting).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from dgpg.domain import Simplex
from dgpg.domain.spaces import ROUNDING
from dgpg.errors import ActionError, PluginError

Array = NDArray[Any]
REACH = 10.0
"""Bounds of logits: a choice gets at most exp(20) times the share of another, the start aside."""

TINY = 1e-12
"""A sum of allowed shares that is less says nothing: such a split is even."""


def joint(given: Any, space: spaces.Space[Any], mask: Tensor) -> Tensor:
    """Actions of B environments, checked, as their environment takes them.

    Args:
        given: choices `[B, N]`, numbers `[B, N, A]` in the environment's units, or shares `[B, N, K]`; an array, a
            tensor, or nested lists.
        space: one environment's joint action.
        mask: what is allowed now, `[B, N, K]`.

    Raises:
        ActionError: another shape or type; a choice that is not there; NaN; shares that are no split.
    """
    found = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    shape = (len(mask), *(space.shape or ()))
    if found.shape != shape:
        names = {2: "[B, N]", 3: "[B, N, K]" if isinstance(space, Simplex) else "[B, N, A]"}[len(shape)]
        raise ActionError(f"actions: expected shape {names} = {list(shape)}, got {list(found.shape)}")
    if found.dtype.kind not in "iuf":
        raise ActionError(f"actions: expected numbers, got {found.dtype}")
    if isinstance(space, spaces.MultiDiscrete):
        return _choices(found, space.nvec)
    _no_nan(found)
    if isinstance(space, Simplex):
        return _split(found, mask)
    return torch.as_tensor(found.astype(np.float32))


def not_allowed(actions: Tensor, mask: Tensor) -> Tensor:
    """True for agents that chose what the mask does not allow, `[B, N]`; never of agents with nothing to decide."""
    if actions.dim() > 2:
        return torch.zeros(actions.shape[:2], dtype=torch.bool)
    return mask.any(-1) & ~mask.gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def any_where_idle(mask: Tensor) -> Tensor:
    """The mask `[..., K]` with all choices allowed to agents that have nothing to decide: what they do is ignored.

    A mask that allows nothing makes NaN of a categorical policy in most libraries, and an action it is not.
    """
    return mask | ~mask.any(-1, keepdim=True)


def each(space: spaces.Space[Any]) -> list[spaces.Space[Any]]:
    """The spaces of N agents on their own: `Discrete`, `Box` `[A]` of its own bounds, or `Box` `[K]` of logits."""
    if isinstance(space, spaces.MultiDiscrete):
        return [spaces.Discrete(int(count)) for count in space.nvec]
    box = logits_box(space) if isinstance(space, Simplex) else space
    assert isinstance(box, spaces.Box)
    return [spaces.Box(low, high, dtype=np.float32) for low, high in zip(box.low, box.high, strict=True)]


def unit_box(space: spaces.Box) -> spaces.Box:
    """Numbers in [-1, 1] in place of units, of the same shape: what a policy of unit variance can search."""
    return spaces.Box(-1.0, 1.0, space.shape, np.float32)


def from_unit(numbers: Array, space: spaces.Box) -> Array:
    """Numbers of [-1, 1] `[B, N, A]` in the environment's units; beyond them clipped, as SB3 does itself."""
    share = (np.clip(np.asarray(numbers, np.float64), -1, 1) + 1) / 2
    units: Array = (space.low * (1 - share) + space.high * share).astype(np.float32)
    return units


def logits_box(space: Simplex) -> spaces.Box:
    """Logits `[N, K]` in place of shares: all zero is the split that the domain's own policies begin at."""
    return spaces.Box(-REACH, REACH, space.start.shape, np.float32)


def from_logits(logits: Array, space: Simplex) -> Array:
    """Shares `[B, N, K]`, softmax(start + logits), of logits of that shape, clipped to the box."""
    x = np.clip(np.asarray(logits, np.float64), -REACH, REACH) + space.start
    weight = np.exp(x - x.max(-1, keepdims=True))
    shares: Array = weight / weight.sum(-1, keepdims=True)
    return shares


def known(space: spaces.Space[Any]) -> None:
    """Raise PluginError unless it is one of the three kinds of joint action."""
    if not isinstance(space, spaces.MultiDiscrete | spaces.Box | Simplex):
        raise PluginError(f"Environment.action_space: expected MultiDiscrete, Box or Simplex, got {space}")


def _choices(found: Array, count: Array) -> Tensor:
    whole = found.astype(np.int64) if np.isfinite(found).all() else np.full(found.shape, -1)
    wrong = (whole != found) | (whole < 0) | (whole >= count)
    if wrong.any():
        b, i = np.argwhere(wrong)[0]
        raise ActionError(
            f"actions: environment {b}, agent {i}: expected a choice from 0 to {int(count[i]) - 1}, got {found[b, i]}"
        )
    return torch.as_tensor(whole)


def _no_nan(found: Array) -> None:
    if np.isnan(found).any():
        b, i = np.argwhere(np.isnan(found))[0][:2]
        raise ActionError(f"actions: environment {b}, agent {i}: NaN; the policy that made it has diverged")


def _split(found: Array, mask: Tensor) -> Tensor:
    shares = found.astype(np.float64)
    wrong = (shares < -ROUNDING).any(-1) | (np.abs(shares.sum(-1) - 1) > ROUNDING)
    if wrong.any():
        b, i = np.argwhere(wrong)[0]
        got = ", ".join(f"{x:.4g}" for x in shares[b, i][:8])
        raise ActionError(
            f"actions: environment {b}, agent {i}: expected shares that are not negative and sum to 1, got {got}; "
            "`dgpg.bridges.gym.Logits` makes splits of any numbers"
        )
    allowed = any_where_idle(mask).cpu().numpy()
    kept = shares.clip(min=0) * allowed
    total = kept.sum(-1, keepdims=True)
    even = allowed / allowed.sum(-1, keepdims=True)
    scaled = np.where(total > TINY, kept / np.maximum(total, TINY), even)
    split = np.where((kept == shares).all(-1, keepdims=True), shares, scaled)  # bit for bit where nothing was wrong
    return torch.as_tensor(split.astype(np.float32))
