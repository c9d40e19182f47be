"""Rows of numpy arrays by key, so that a cluster is summed up without a loop over nodes or pods."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import repeat
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Key = TypeVar("Key", bound=Hashable)


class Table(Generic[Key]):
    """Columns that grow together; rows that were freed are used again, and are blank until then.

    Row 0 is nobody's and always blank, so that a key without a row can be looked up like any other.

    Attributes:
        rows: number of the row of each key.
        columns: arrays `[rows]` or `[rows, width]`, longer than there are rows.
    """

    def __init__(self, **blank: Any) -> None:
        """Columns with what a blank row has of each, as arrays `[]` or `[width]`."""
        self._blank = {name: np.asarray(value) for name, value in blank.items()}
        self.rows: dict[Key, int] = {}
        self._free: list[int] = []
        self.columns: dict[str, NDArray[Any]] = {
            name: np.empty((0, *value.shape), value.dtype) for name, value in self._blank.items()
        }
        self._grow(64)
        self._free.remove(0)

    def __contains__(self, key: Key) -> bool:
        return key in self.rows

    def __len__(self) -> int:
        return len(self.rows)

    def find(self, keys: Sequence[Key]) -> NDArray[np.int64]:
        """Rows of keys, 0 where a key has none."""
        return np.fromiter(map(self.rows.get, keys, repeat(0)), np.int64, len(keys))

    def row(self, key: Key) -> int:
        """The row of a key, a blank one where it has none yet."""
        at = self.rows.get(key)
        if at is None:
            if not self._free:
                self._grow(len(next(iter(self.columns.values()))))
            at = self.rows[key] = self._free.pop()
        return at

    def put(self, key: Key, **values: Any) -> None:
        """Set some columns of a key's row."""
        at = self.row(key)
        for name, value in values.items():
            self.columns[name][at] = value

    def drop(self, key: Key) -> None:
        """Free the row of a key, if it has one."""
        at = self.rows.pop(key, None)
        if at is not None:
            for name, value in self._blank.items():
                self.columns[name][at] = value
            self._free.append(at)

    def _grow(self, more: int) -> None:
        size = len(next(iter(self.columns.values())))
        for name, value in self._blank.items():
            self.columns[name] = np.concatenate([self.columns[name], np.broadcast_to(value, (more, *value.shape))])
        self._free += range(size + more - 1, size - 1, -1)
