"""One graph of an export, asked again and again for the same shapes: that is what deciding is."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SMALL = 1 << 14
"""Numbers in a question up to which copying them is cheaper than what the runtime spends on taking arrays over."""
KEPT = 32
"""Shapes of questions that a thread has buffers for."""


class Bound(NamedTuple):
    """Buffers that the runtime reads from and writes to."""

    binding: Any
    inputs: tuple[tuple[str, NDArray[Any]], ...]
    outputs: tuple[NDArray[Any], ...]


class Entry:
    """A session of the runtime that computes what is asked for and nothing else.

    Threads may share it: each has buffers of its own.
    """

    def __init__(self, session: Any) -> None:
        import onnxruntime

        self._session, self._runtime = session, onnxruntime
        self._options = onnxruntime.RunOptions()
        self._options.only_execute_path_to_fetches = True
        # Without the entry the runtime asks for it in each run by an exception, twice the time of a decision.
        self._options.add_run_config_entry("gpu_graph_id", "-1")
        self._types = {one.name: _TYPES[one.type] for one in session.get_inputs()}
        self._local = threading.local()

    def run(self, rows: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Outputs by name, arrays of the caller's own.

        Args:
            rows: every input that the outputs depend on, of the type that it has in the file.
            outputs: names.
        """
        known = self._known()
        key = (*outputs, *(x.shape for x in rows.values()))
        bound = known.get(key)
        if bound is not None:
            for name, buffer in bound.inputs:
                buffer[...] = rows[name]
            self._session.run_with_iobinding(bound.binding, self._options)
            return [x.copy() for x in bound.outputs]
        found: list[NDArray[Any]] = self._session.run(list(outputs), dict(rows), self._options)
        if sum(x.size for x in (*rows.values(), *found)) <= SMALL:
            known[key] = self._bound(rows, outputs, found)
        return found

    def _known(self) -> dict[Any, Bound]:
        """Of this thread."""
        try:
            known: dict[Any, Bound] = self._local.known
        except AttributeError:
            known = self._local.known = {}
        if len(known) > KEPT:
            known.clear()
        return known

    def _bound(self, rows: Mapping[str, NDArray[Any]], outputs: Sequence[str], like: Sequence[NDArray[Any]]) -> Bound:
        value = self._runtime.OrtValue.ortvalue_from_numpy
        inputs: tuple[tuple[str, NDArray[Any]], ...] = tuple(
            (name, np.zeros(x.shape, self._types[name])) for name, x in rows.items()
        )
        found, binding = tuple(np.zeros_like(x) for x in like), self._session.io_binding()
        for name, x in inputs:
            binding.bind_ortvalue_input(name, value(x))
        for name, x in zip(outputs, found, strict=True):
            binding.bind_ortvalue_output(name, value(x))
        return Bound(binding, inputs, found)


_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}
