"""Eleven levels for any number of nodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dgpg_cloud.kubernetes.protocol import MAX_PRIORITY


def levels(preference: NDArray[np.floating]) -> NDArray[np.int64]:
    """Scores 0 to 10 by rank: the best node alone has 10, the second 9, the next two 8, the next four 7, and so on.

    Each level has twice as many nodes as the one above, so that those which matter are told apart, and 1,024 fit.
    Probabilities themselves would give most of many nodes the same level, and the best one company.

    Args:
        preference: of each node, greatest best, `[K]`; -inf where the pod cannot run. The first of equals is better.

    Returns:
        `[K]`; 0 where the pod cannot run.
    """
    rank = np.empty(len(preference), np.int64)
    rank[np.argsort(-preference, kind="stable")] = np.arange(len(preference))
    _, bits = np.frexp(rank.astype(np.float64))  # 0 of 0, 1 of 1, 2 of 2 and 3, 3 of 4 to 7
    scores = np.maximum(MAX_PRIORITY - bits.astype(np.int64), 0)
    return np.where(np.isneginf(preference), 0, scores)
