"""Action spaces that Gymnasium lacks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from dgpg.errors import PluginError

Array = NDArray[np.float32]
ROUNDING = 1e-4
"""What float32 may make of a sum of one."""


class Simplex(spaces.Space[Array]):
    """Each of N agents splits one unit over K choices: `[N, K]`, float32, not negative, rows of sum one.

    Which choices are allowed changes from moment to moment: that is said by `Observation.mask`, not here.

    Args:
        num_agents: N.
        num_choices: K.
        start: logits that policies begin at, finite, `[N, K]`; all zero, an even split, by default.
        seed: of `sample`.
    """

    def __init__(
        self, num_agents: int, num_choices: int, start: ArrayLike | None = None, seed: int | None = None
    ) -> None:
        if num_agents < 1 or num_choices < 1:
            raise PluginError(f"Simplex({num_agents}, {num_choices}): expected at least one agent and one choice")
        shape = (num_agents, num_choices)
        logits = np.zeros(shape, np.float32) if start is None else np.array(start, np.float32)
        if logits.shape != shape or not np.isfinite(logits).all():
            found = f"shape {list(logits.shape)}" if logits.shape != shape else "nan or infinity"
            raise PluginError(
                f"Simplex: start has {found}; expected finite logits {list(shape)}, say the logarithm of a split "
                "whose zeros are replaced by a small share"
            )
        self.start: Array = logits
        super().__init__(shape, np.float32, seed)

    def stacked(self, count: int) -> Simplex:
        """The same for `count` environments at once, `[B, N, K]`; the batched space of Gymnasium's vector form."""
        many = Simplex(len(self.start), self.start.shape[1], self.start)
        many._shape = (count, *self.start.shape)
        return many

    @property
    def is_np_flattenable(self) -> bool:
        """No: Gymnasium's flattening wrappers would lose that shares sum to one."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> Array:
        """Uniform over all splits, or over those of the choices that `mask` `[N, K]` allows.

        An agent that may choose nothing splits over all of its choices; `probability` has no meaning here.
        """
        weight = self.np_random.exponential(size=self.shape or ())
        if mask is not None:
            allowed = np.asarray(mask, bool)
            weight = weight * (allowed | ~allowed.any(-1, keepdims=True))
        split: Array = (weight / weight.sum(-1, keepdims=True)).astype(np.float32)
        return split

    def contains(self, x: Any) -> bool:
        """Whether x is an array of splits, up to rounding."""
        if not isinstance(x, np.ndarray) or x.shape != self.shape or not np.issubdtype(x.dtype, np.floating):
            return False
        return bool((x >= 0).all() and (np.abs(x.sum(-1) - 1) <= ROUNDING).all())

    def to_jsonable(self, sample_n: Iterable[Array]) -> list[Any]:
        """Nested lists."""
        return [np.asarray(sample).tolist() for sample in sample_n]

    def from_jsonable(self, sample_n: list[Any]) -> list[Array]:
        """Back from nested lists."""
        return [np.asarray(sample, np.float32) for sample in sample_n]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Simplex) and self.shape == other.shape and np.array_equal(self.start, other.start)

    def __repr__(self) -> str:
        return f"Simplex({', '.join(str(size) for size in self.shape or ())})"
