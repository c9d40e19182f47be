"""What estimators say and what they make an update descend, asked for in one line."""

from typing import Any

import torch
from torch import Tensor

from dgpg.learning import Trajectory
from dgpg.learning.actions import ActionKind, Box, Simplex
from dgpg.learning.estimators import CHOICES, NUMBERS, SPLITS, Estimator, Unguided, offered
from dgpg.learning.trajectory import Rows


def guide(
    kind: ActionKind, name: str, model: Any, mapping: Any, trajectory: Trajectory, gamma: float, scaled: bool
) -> Tensor:
    """The signal of the estimator of that name, whether or not the distribution offers what training with it needs."""
    table = {Box: NUMBERS, Simplex: SPLITS}.get(type(kind), CHOICES)
    (chosen,) = (one for one in table if name == one.NAME)
    return chosen(kind, gamma, scaled).signal(model, mapping, trajectory)


def estimator(kind: ActionKind, guided: bool = True) -> Estimator:
    """The kind's default one, or none."""
    return (next(iter(offered(kind).values())) if guided else Unguided)(kind, 0.9, False)


def policy_loss(
    kind: ActionKind, policy: Tensor, old: Tensor, actions: Tensor, advantage: Tensor, u: Tensor | None, alpha: float,
    clip: float,
) -> Tensor:  # fmt: skip
    """The loss of the kind's default estimator, a number a row; of none where u is None."""
    rows = Rows(actions, old, advantage, u, torch.ones_like(advantage, dtype=torch.bool))
    return estimator(kind, u is not None).loss(policy, rows, alpha, clip)
