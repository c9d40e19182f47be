"""How far what agents see lies outside what they saw in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgpg.deploy import Rows


class Ranges:
    """Of an exported policy: the least and the most of each feature, and the range between."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._of = {name: _ends(features) for name, features in description["inputs"].items()}

    def beyond(self, rows: Rows) -> NDArray[np.float32]:
        """How many ranges the feature that is furthest out lies outside, 0 if all are inside, `[R]`.

        Choices that are not allowed do not count.
        """
        own: NDArray[np.float32] = self._far("agent", rows).max(-1, initial=0)
        if "choices" not in self._of:
            return own
        of: NDArray[np.float32] = self._far("choices", rows).max(-1, initial=0)
        found: NDArray[np.float32] = np.maximum(own, (of * rows["mask"] if "mask" in rows else of).max(-1, initial=0))
        return found

    def _far(self, name: str, rows: Rows) -> NDArray[np.float32]:
        low, high, size = self._of[name]
        seen: NDArray[np.float32] = rows[name]
        found: NDArray[np.float32] = np.maximum(np.maximum(low - seen, seen - high), np.float32(0)) / size
        return found


def _ends(features: Sequence[Mapping[str, Any]]) -> tuple[NDArray[np.float32], ...]:
    """Least, most and range; of a feature that never changed the range is its size, at least 1."""
    low, high = (np.array([one[end] for one in features], np.float32) for end in ("low", "high"))
    # Features are standardised to order one: rounding of a constant is no range.
    wide = high - low > 1e-3
    return low, high, np.where(wide, high - low, np.maximum(np.abs(high), 1)).astype(np.float32)
