"""How far what agents see lies outside what they saw in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgpg.deploy import Rows

MOST = np.array(1e9, np.float32)
"""Ranges; further outside nobody counts."""


class Ranges:
    """Of an exported policy: the least and the most of each feature, and the range between."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._of = {name: _ends(features) for name, features in description["inputs"].items()}

    def beyond(self, rows: Rows) -> NDArray[np.float32]:
        """How many ranges the feature that is furthest out lies outside, 0 if all are inside, `[R]`.

        Choices that are not allowed do not count.
        """
        found = np.zeros(len(rows["agent"]), np.float32)
        for name, (low, high, size) in self._of.items():
            seen = rows[name]
            over = np.maximum(low - seen, seen - high)
            if np.count_nonzero(over > 0):  # which is seldom
                far = np.minimum(np.maximum(over, np.float32(0)) / size, MOST).max(-1)
                if name == "choices":
                    far = (far * rows["mask"] if "mask" in rows else far).max(-1)
                np.maximum(found, far, out=found)
        return found


def _ends(features: Sequence[Mapping[str, Any]]) -> tuple[NDArray[np.float32], ...]:
    """Least, most and range; of a feature that never changed the range is its size, at least 1."""
    low, high = (np.array([one[end] for one in features], np.float32) for end in ("low", "high"))
    # Features are standardised to order one: rounding of a constant is no range.
    wide = high - low > 1e-3
    return low, high, np.where(wide, high - low, np.maximum(np.abs(high), 1)).astype(np.float32)
