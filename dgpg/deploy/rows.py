"""What an exported policy is given, as arrays with a row an agent; whatever does not fit is told in one message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgpg.deploy.plain import short
from dgpg.errors import DecisionError

Given: TypeAlias = ArrayLike | Mapping[str, ArrayLike]
"""An array, or a value by the name of each feature."""


PLACES = ("block", "here", "value")
"""What a choice does to the state of the system, where agents speak of it."""
_FLOAT = np.dtype(np.float32)
KEPT = 32
"""Numbers of agents and of choices for which shapes are kept."""


class Reader:
    """Reads what operators give a policy, by what the policy says of itself."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.arrays: Mapping[str, Sequence[Any]] = description["arrays"]
        self.features = {name: tuple(f["name"] for f in of) for name, of in description["inputs"].items()}
        self._sizes = {name: tuple(of[1:]) for name, of in self.arrays.items()}
        self._agents: int = description["agents"]
        self._known: dict[tuple[int, int | None], Mapping[str, tuple[int | None, ...]]] = {}

    def rows(
        self, agent: Given, choices: Given | None, mask: ArrayLike | None, index: ArrayLike | None
    ) -> tuple[dict[str, NDArray[Any]], bool]:
        """Arrays with a row an agent, and whether one agent alone was given. Arguments as for `Policy.act`.

        Raises:
            DecisionError: a name that is missing or unknown, a shape that does not fit, a value that is no number.
        """
        rows, one = self.seen(agent, choices)
        if "mask" in self.arrays:
            rows["mask"] = self._mask(mask, rows, one)
        elif mask is not None:
            raise DecisionError("mask: given, but there is nothing to choose from; leave it out")
        if "index" in self.arrays:
            rows["index"] = self._index(index, one)
        elif index is not None:
            raise DecisionError("index: given, but all agents share one network; leave it out")
        self.fit(rows)
        return rows, one

    def placed(self, seen: tuple[Any, ...], places: Mapping[str, ArrayLike]) -> tuple[dict[str, NDArray[Any]], bool]:
        """As `rows`, of its arguments, with what is told of places and of rounds, by name.

        Raises:
            DecisionError: as `rows`.
        """
        rows, one = self.rows(*seen)
        own = {"agent", "choices", "mask", "index", "noise", "turn"}
        wanted = [name for name in self.arrays if name not in own and name in places]
        context = [name for name in self.arrays if name.startswith("context.")]
        known = (*PLACES, "last", "heard", *context)
        missing = [name for name in (*PLACES, *context) if name not in places]
        strange = [str(name) for name in places if name not in known]
        if missing or strange:
            told = [f"{', '.join(x)} {what}" for x, what in ((missing, "missing"), (strange, "unknown")) if x]
            raise DecisionError(f"places: {'; '.join(told)}; expected {', '.join((*PLACES, *context))}")
        for name in wanted:
            kind = np.int64 if name == "block" else np.float32
            with large():
                x = self._numbers(name, places[name]).astype(kind, copy=False)
            rows[name] = x[None] if one and x.ndim == len(self._sizes[name]) - 1 else x
        self.fit(rows)
        return rows, one

    def seen(self, agent: Given, choices: Given | None) -> tuple[dict[str, NDArray[Any]], bool]:
        """Features with a row an agent, and whether one agent alone was given.

        Raises:
            DecisionError: a name that is missing or unknown, a shape that does not fit, a value that is no number.
        """
        own = self._array("agent", agent)
        if not own.ndim:
            raise DecisionError(f"agent: expected {self._shape('agent')}, got one number")
        one = own.ndim == 1
        rows: dict[str, NDArray[Any]] = {"agent": own[None] if one else own}
        if "choices" in self.arrays:
            if choices is None:
                raise DecisionError(f"choices: nothing is given, expected {self._shape('choices')}")
            of = self._array("choices", choices)
            rows["choices"] = of[None] if one and of.ndim == 2 else of
        elif choices is not None:
            raise DecisionError("choices: given, but this policy sees none; leave it out")
        return rows, one

    def fit(self, rows: Mapping[str, NDArray[Any]]) -> None:
        """Hold arrays against the shapes that the policy reads.

        Raises:
            DecisionError: one does not fit, or holds what is no number.
        """
        choices = rows["choices"].shape[1] if "choices" in rows and rows["choices"].ndim == 3 else None
        shapes = self._shapes(len(rows["agent"]), choices)
        for name, x in rows.items():
            if x.shape != shapes[name]:
                self._fits(name, x, shapes[name])
            if x.dtype.kind == "f" and np.count_nonzero(np.isfinite(x)) < x.size:
                self._finite(name, x)
        if choices == 0:
            raise DecisionError("choices: there are none, expected at least one choice")

    def _shapes(self, agents: int, choices: int | None) -> Mapping[str, tuple[int | None, ...]]:
        """Of each array for so many rows and choices; None is any number."""
        found = self._known.get((agents, choices))
        if found is None:
            if len(self._known) > KEPT:
                self._known.clear()
            sizes = {"R": agents, "K": choices}
            found = {name: tuple(sizes.get(size, size) for size in of) for name, of in self._sizes.items()}
            self._known[agents, choices] = found
        return found

    def _array(self, name: str, given: Given) -> NDArray[np.float32]:
        """Features in their order, float32."""
        if isinstance(given, np.ndarray) and given.dtype == _FLOAT:
            return given
        with large():  # once for all features: it takes as long as reading one
            return self._numbers(name, self._stacked(name, given) if isinstance(given, Mapping) else given)

    def _stacked(self, name: str, given: Mapping[str, ArrayLike]) -> NDArray[np.float32]:
        """Values by name; each is of one shape, or one number for all."""
        wanted = self.features[name]
        missing, strange = [f for f in wanted if f not in given], [str(f) for f in given if f not in wanted]
        if missing or strange:
            told = [
                f"{', '.join(found)} {what}" for found, what in ((missing, "missing"), (strange, "unknown")) if found
            ]
            raise DecisionError(f"{name}: {'; '.join(told)}; expected {', '.join(wanted)}")
        values = {f: self._numbers(f"{name}: '{f}'", given[f]) for f in wanted}
        shapes = {f: x.shape for f, x in values.items() if x.shape}
        if len(set(shapes.values())) > 1:
            told = [f"'{f}' {list(shape)}" for f, shape in shapes.items()]
            raise DecisionError(
                f"{name}: features of several shapes, expected one shape or single numbers: {', '.join(told)}"
            )
        return np.stack(np.broadcast_arrays(*values.values()), -1)

    def _numbers(self, name: str, given: ArrayLike) -> NDArray[np.float32]:
        """An array of real numbers."""
        found = _array(given)
        if found.dtype.kind not in "fiub":
            raise DecisionError(
                f"{name}: not an array of numbers"
                + (f", expected {self._shape(name)}" if name in self.features else "")
            )
        return found.astype(np.float32, copy=False)

    def _mask(self, mask: ArrayLike | None, rows: Mapping[str, NDArray[Any]], one: bool) -> NDArray[np.bool_]:
        if mask is None:
            like = rows["choices"].shape[:2] if "choices" in rows else (len(rows["agent"]), self.arrays["mask"][2])
            return np.ones(like, bool)
        able = _array(mask)
        if able.dtype.kind != "b" or not able.ndim:
            if not able.ndim or able.dtype.kind not in "iuf" or not np.isin(able, (0, 1)).all():
                raise DecisionError("mask: expected true or false for each choice")
            able = able.astype(bool)
        able = able[None] if one and able.ndim == 1 else able
        if len(able) == 1 and np.count_nonzero(able):
            return able
        if able.ndim == 2 and len(able) and not able.any(-1).all():
            raise DecisionError(f"mask: nothing is allowed in row {int(np.flatnonzero(~able.any(-1))[0])}")
        return able

    def _index(self, index: ArrayLike | None, one: bool) -> NDArray[np.int64]:
        agents = self._agents
        if index is None:
            raise DecisionError(f"index: nothing is given, expected which agent decides, from 0 to {agents - 1}")
        which = _array(index)
        which = which.astype(np.int64) if not which.size else which
        # Seen as without a sign, numbers below 0 are too large.
        if which.dtype.kind not in "iu" or np.count_nonzero(which.astype(np.uint64) >= agents):
            got = short(index.tolist() if isinstance(index, np.ndarray) else index)
            raise DecisionError(f"index: expected which agent decides, whole numbers from 0 to {agents - 1}, got {got}")
        found = which.astype(np.int64, copy=False)
        return found.reshape(1) if one and found.ndim == 0 else found

    def _fits(self, name: str, x: NDArray[Any], shape: tuple[int | None, ...]) -> None:
        if x.ndim != len(shape) or any(size not in (None, have) for size, have in zip(shape, x.shape, strict=True)):
            raise DecisionError(f"{name}: expected {self._shape(name)}, got {list(x.shape)} (with a row an agent)")

    def _finite(self, name: str, x: NDArray[Any]) -> None:
        if name != "last" and not np.isfinite(x).all():
            bad = tuple(np.argwhere(~np.isfinite(x))[0])
            feature, value = (self.features.get(name) or [name] * x.shape[-1])[bad[-1]], float(x[bad])
            raise DecisionError(f"{name}: '{feature}' of row {bad[0]} is {value}, expected a finite number")

    def _shape(self, name: str) -> str:
        features = self.features.get(name, ())
        told = f" ({', '.join(features)})" if features else ""
        return f"[{', '.join(map(str, self.arrays[name][1:]))}], the first left out for one agent{told}"


def large() -> np.errstate:
    """What is too large for single precision becomes infinite without a warning, and is told as such."""
    return np.errstate(over="ignore")


def _array(given: Any) -> NDArray[Any]:
    """An array, of None where that cannot be made of it; whatever is given says why in a class of its own."""
    try:
        return np.asarray(given)
    except Exception:
        return np.asarray(None)
