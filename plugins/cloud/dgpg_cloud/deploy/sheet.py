"""Where the features of candidates are written: rows of one layout, made once for as many candidates as there are."""

from __future__ import annotations

import threading
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dgpg_cloud.deploy.scales import LARGE_MACHINE

Floats: TypeAlias = NDArray[np.float32]
KEPT = 32
"""Sheets that a thread keeps."""
# Arrays without a dimension: numpy reads them in half the time of its own numbers.
_NONE, _ONE, _TWO, _MOST = (np.array(x, np.float32) for x in (0, 1, 2, 3))
ROUNDING = np.array(1e-6, np.float32)
"""A share of a node that a sum of shares may be off by."""


class Sheet:
    """Features `[5 R + 8, K]` in the order of the names, each row or block of R rows by its own; `told` are the first,
    from `free` to `speed`.

    Over a handful of candidates it is the number of steps that takes time, not what they compute: each works on whole
    arrays of one layout, and nothing is made on the way.
    """

    def __init__(self, resources: int, count: int) -> None:
        r, block = resources, (resources, count)
        self.all = np.empty((5 * r + 8, count), np.float32)
        self.free, self.requested, self.drain = (self.all[n * r : (n + 1) * r] for n in range(3))
        self.queued, self.on, self.price, self.speed = self.all[3 * r : 3 * r + 4]
        self.size, self.share = self.all[3 * r + 4 : 4 * r + 4], self.all[4 * r + 4 : 5 * r + 4]
        self.now, self.excess, self.over, self.steps = self.all[5 * r + 4 :]
        self.told = self.all[: 3 * r + 4]
        self._counts = self.all[2 * r : 3 * r + 1]
        self.capacity, self._inverse, self._sum = (np.empty(block, np.float32) for _ in range(3))
        self._large = np.repeat(np.array(LARGE_MACHINE[:r], np.float32)[:, None], count, 1)
        self._most, self._true = np.empty(count, np.float32), np.empty(block, np.bool_)
        self._rows = tuple(self.requested), tuple(self._sum), tuple(self._true)

    def fits(self) -> NDArray[np.bool_]:
        """Where the job's demand, in `share`, is within `capacity`, `[K]`."""
        np.less_equal(self.share, self.capacity, out=self._true)
        return self._every()

    def fill(self) -> None:
        """Write what follows from what was written.

        `free` is what is used until then, `share` the job's demand, `drain` the work that is left, `steps` the job's on
        each node; all of them and `requested` in units of `capacity`, `queued` in jobs.
        """
        if np.count_nonzero(self.capacity) == self.capacity.size:
            np.divide(_ONE, self.capacity, out=self._inverse)
        else:
            self._inverse[:] = 0  # a node that has none of a resource
            np.divide(_ONE, self.capacity, out=self._inverse, where=self.capacity > 0)
        for amounts in (self.free, self.requested, self.drain, self.share):
            amounts *= self._inverse
        np.subtract(_ONE, self.free, out=self.free)
        self.drain /= self.speed
        requested, together, _ = self._rows
        self.on[:] = self._largest(requested) > _NONE
        np.divide(self.capacity, self._large, out=self.size)
        np.add(self.free, ROUNDING, out=self._sum)
        np.less_equal(self.share, self._sum, out=self._true)
        ready = self._every()
        ready &= self.queued == _NONE
        self.now[:] = ready
        np.add(self.requested, self.share, out=self._sum)
        most = self._largest(together)
        most -= _ONE
        np.minimum(most, _TWO, out=self.excess)  # it is above -1: nothing asks for less than nothing
        np.maximum(self.excess, _NONE, out=self.over)
        np.minimum(self.requested, _MOST, out=self.requested)
        np.log1p(self._counts, out=self._counts)
        np.log1p(self.steps, out=self.steps)

    def _largest(self, rows: tuple[Floats, ...]) -> Floats:
        """Of the R rows, `[K]`: reductions over so few numbers cost more than they do."""
        np.maximum(rows[0], rows[1], out=self._most)
        if len(rows) > 2:
            np.maximum(self._most, rows[2], out=self._most)
        return self._most

    def _every(self) -> NDArray[np.bool_]:
        """Where all R rows are true, `[K]`, of the caller's own."""
        rows = self._rows[2]
        found: NDArray[np.bool_] = rows[0] & rows[1]
        if len(rows) > 2:
            found &= rows[2]
        return found


_LOCAL = threading.local()


def sheet(resources: int, count: int) -> Sheet:
    """One of this thread's own; what was written on it last is still there."""
    try:
        kept: dict[tuple[int, int], Sheet] = _LOCAL.kept
    except AttributeError:
        kept = _LOCAL.kept = {}
    found = kept.get((resources, count))
    if found is None:
        if len(kept) >= KEPT:
            kept.clear()
        found = kept[resources, count] = Sheet(resources, count)
    return found
