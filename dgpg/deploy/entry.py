"""One graph of an export, asked again and again for the same shapes: that is what deciding is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dgpg.deploy.pruned import keeping

DRAWN = "sampled"
"""The output that needs noise."""
SMALL = 1 << 14
"""Numbers in a question up to which copying them is cheaper than what the runtime spends on taking arrays over."""
KEPT = 32
"""Shapes of questions that a thread has buffers for."""


class Bound(NamedTuple):
    """Buffers that the runtime reads from and writes to."""

    run: Callable[[Any, Any], None]
    binding: Any
    inputs: tuple[tuple[str, NDArray[Any]], ...]
    outputs: tuple[NDArray[Any], ...]


class Entry:
    """A graph whose outputs are asked for by name.

    Threads may share it: each has buffers of its own.

    Attributes:
        metadata: what the file says of itself, by name.
    """

    def __init__(self, model: bytes, threads: int) -> None:
        """Of the bytes of a file; what has no chance is answered without what a draw needs."""
        import onnxruntime

        self._runtime = onnxruntime
        self._all = self._sure = self._session(model, threads)
        self.metadata: Mapping[str, str] = self._all.get_modelmeta().custom_metadata_map
        outputs = [one.name for one in self._all.get_outputs()]
        if DRAWN in outputs:
            self._sure = self._session(keeping(model, [name for name in outputs if name != DRAWN]), threads)
        self._options = onnxruntime.RunOptions()
        # Without the entry the runtime asks for it in each run by an exception, twice the time of a decision.
        self._options.add_run_config_entry("gpu_graph_id", "-1")
        self._local = threading.local()

    def run(self, rows: Mapping[str, NDArray[Any]], outputs: tuple[str, ...]) -> list[NDArray[Any]]:
        """Outputs by name, arrays of the caller's own.

        Args:
            rows: every input that the outputs depend on, of the type that it has in the file; others are not read.
            outputs: names.
        """
        known = self._known()
        key = (outputs, *[x.shape for x in rows.values()])
        bound = known.get(key)
        if bound is not None:
            for name, buffer in bound.inputs:
                buffer[...] = rows[name]
            bound.run(bound.binding, self._options)
            return [x.copy() for x in bound.outputs]
        session = self._all if DRAWN in outputs else self._sure
        rows = {one.name: rows[one.name] for one in session.get_inputs()}
        found: list[NDArray[Any]] = session.run(list(outputs), rows, self._options)
        if sum(x.size for x in (*rows.values(), *found)) <= SMALL:
            known[key] = self._bound(session, rows, outputs, found)
        return found

    def _session(self, model: bytes, threads: int) -> Any:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        return self._runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def _known(self) -> dict[Any, Bound]:
        """Of this thread."""
        try:
            known: dict[Any, Bound] = self._local.known
        except AttributeError:
            known = self._local.known = {}
        if len(known) > KEPT:
            known.clear()
        return known

    def _bound(
        self, session: Any, rows: Mapping[str, NDArray[Any]], outputs: tuple[str, ...], like: Sequence[NDArray[Any]]
    ) -> Bound:
        value = self._runtime.OrtValue.ortvalue_from_numpy
        types = {x.name: _TYPES[x.type] for x in session.get_inputs()}
        inputs: tuple[tuple[str, NDArray[Any]], ...] = tuple(
            (name, np.zeros(x.shape, types[name])) for name, x in rows.items()
        )
        found, binding = tuple(np.zeros_like(x) for x in like), session.io_binding()
        for name, x in inputs:
            binding.bind_ortvalue_input(name, value(x))
        for name, x in zip(outputs, found, strict=True):
            binding.bind_ortvalue_output(name, value(x))
        return Bound(session.run_with_iobinding, binding, inputs, found)


_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}
