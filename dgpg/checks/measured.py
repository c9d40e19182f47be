"""How far the state that the mapping expects is from the one that a simulator measured."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dgpg.checks.subject import LONGEST, Subject
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.domain import random

ENVS = 16
"""Environments that are played: the interval is over them."""
DRAWS = 1000
"""Of the bootstrap."""


def measured_state(subject: Subject) -> str:
    """Step.measured, where there is one, is a state of the same shape; its distance to Step.state is told."""
    if subject.episode[0].step_then.measured is None:
        raise Skipped("the environment measures no state beside Step.state")
    env = subject.make_env(num_envs=ENVS)
    steps = [moment.step_then for moment in subject.play(env, min(env.horizon, LONGEST))]
    for t, step in enumerate(steps):
        if step.measured is None or step.measured.shape != step.state.shape or not step.measured.isfinite().all():
            what = "None" if step.measured is None else f"shape {list(step.measured.shape)}"
            raise CheckFailed(
                f"Step.measured of step {t}",
                expected=f"finite numbers of shape {list(step.state.shape)}, as Step.state",
                got=what if step.measured is None or step.measured.shape != step.state.shape else "nan or infinity",
                cause="blocks or coordinates of what is measured are counted otherwise than those of the mapping",
                fix="let View.state be [G, m] in the order and units of the mapping's state",
            )
    expected = torch.stack([step.state for step in steps]).double().cpu()
    measured = torch.stack([step.measured for step in steps if step.measured is not None]).double().cpu()
    return "; ".join(_told(j, expected[..., j], measured[..., j], subject.seed) for j in range(expected.shape[-1]))


def _told(j: int, expected: Tensor, measured: Tensor, seed: int) -> str:
    """Of one coordinate, `[T, B, G]`: root mean square of the difference over that from each block's own mean."""
    off = (measured - expected).square().sum((0, 2)).numpy()
    spread = (measured - measured.mean((0, 1))).square().sum((0, 2)).numpy()
    if spread.sum() <= 0:
        apart = np.sqrt(off.sum() / expected.numel())
        return f"coordinate {j}: what is measured never changes, and is {apart:.3g} from what is expected"
    draws = np.random.default_rng(random.derive(seed, "measured")).integers(0, len(off), (DRAWS, len(off)))
    drawn = np.sqrt(off[draws].sum(1) / np.maximum(spread[draws].sum(1), np.finfo(float).tiny))
    low, high = np.quantile(drawn, [0.025, 0.975])
    distance = float(np.sqrt(off.sum() / spread.sum()))
    bias = float((measured - expected).mean() / measured.abs().mean().clamp(min=1e-12))
    verdict = "" if high < 1 else ", so that a block's mean foretells it as well as the mapping"
    return (
        f"coordinate {j}: measured states are {distance:.2f} [{low:.2f}, {high:.2f}] of their own spread from what the "
        f"mapping expects, and {abs(bias):.1%} {'above' if bias > 0 else 'below'} it on average{verdict}"
    )
