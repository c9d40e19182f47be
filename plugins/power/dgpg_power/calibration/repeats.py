"""What a log says twice counts once: rows that repeat another, and moments that are alike."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from dgpg_power.data.moments import Moments

OFTEN = 3
"""Independent moments from which what recurs may be more than chance."""
ALIKE = 1e-3
"""Moments whose loads differ by less, as a share of the largest total, are one: a plateau says a thing once."""


def distinct(moments: Moments) -> Moments:
    """The moments without those that repeat another in every column, in their order."""
    columns = [moments.load, moments.output, *([] if moments.price is None else [moments.price[:, None]])]
    first = np.sort(np.unique(np.concatenate(columns, 1), axis=0, return_index=True)[1])
    price = None if moments.price is None else moments.price[first]
    return Moments(moments.load[first], moments.output[first], price)


def independent(load: Tensor, total: float) -> int:
    """How many of some moments, loads `[k, nb]`, are not like another; `total` is the largest load of the log, MW."""
    if not len(load):
        return 0
    ordered = load[load.sum(-1).argsort(stable=True)]
    return 1 + int((ordered.diff(dim=0).abs().amax(-1) > ALIKE * total).sum())
