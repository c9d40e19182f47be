"""An exported policy: what one agent sees in, what it does out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgpg.errors import DataError, DecisionError

Given: TypeAlias = ArrayLike | Mapping[str, ArrayLike]
"""An array, or a value by the name of each feature."""
FORMAT = 1
"""Of the description in a file."""


class Policy:
    """A policy of `dgpg export`, for one agent or many.

    Attributes:
        description: what the file says of itself: domain, names, units, ranges, versions.
        features: names of what an agent sees, and of what it sees of each choice.
    """

    def __init__(self, session: Any, description: Mapping[str, Any]) -> None:
        self._session, self.description = session, description
        self._arrays: Mapping[str, Sequence[Any]] = description["arrays"]
        self.features = {name: tuple(f["name"] for f in of) for name, of in description["inputs"].items()}

    @classmethod
    def load(cls, folder: str | Path, threads: int = 1) -> Policy:
        """The policy in a folder.

        Args:
            folder: that `dgpg export` wrote, or the `.onnx` file itself.
            threads: that one decision may use; more than one pays for thousands of rows only.

        Raises:
            DataError: no such file, or none that `dgpg export` wrote.
        """
        import onnxruntime

        path = Path(folder)
        path = path / "policy.onnx" if path.is_dir() else path
        if not path.is_file():
            raise DataError(f"{path}: no such file; expected the folder that `dgpg export RUN --out DIR` wrote")
        if not isinstance(threads, int) or threads < 1:
            raise DataError(f"threads: expected a whole number of at least 1, got {threads!r}")
        unchanged(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own classes are no public names
            raise DataError(
                f"{path}: not a readable ONNX file ({str(error).splitlines()[0]}); export it again"
            ) from None
        return cls(session, described(path, session))

    def act(
        self,
        agent: Given,
        choices: Given | None = None,
        mask: ArrayLike | None = None,
        index: ArrayLike | None = None,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """What agents do: the number of a choice, numbers in the action's units, or a split.

        Args:
            agent: features `[F]` of one agent or `[R, F]` of R, as an array or by name.
            choices: of each choice `[K, C]` or `[R, K, C]`, as an array or by name (`[K]` or `[R, K]` each).
            mask: allowed choices `[K]` or `[R, K]`; all of them by default.
            index: which agents, where each has bounds or a network of its own; 0 to N - 1.
            rng: draws the action; None takes the one without chance. A policy that has no chance acts the same with it.

        Returns:
            Of one agent `[]`, `[A]` or `[K]`, of R agents with R in front.

        Raises:
            DecisionError: a name that is missing or unknown, a shape that does not fit, a value that is no number, or a
                policy whose draws need SciPy.
        """
        if rng is not None and not isinstance(rng, np.random.Generator):
            raise DecisionError(f"rng: expected a numpy Generator, as np.random.default_rng(seed) makes, got {rng!r}")
        rows, one = self._rows(agent, choices, mask, index)
        if "noise" in self._arrays:
            rows["noise"] = self._noise(rows, rng)
        elif rng is not None and self.description["chance"] == "elsewhere":
            raise DecisionError("this policy's distribution (beta) is not drawn from here; leave rng out for its mean")
        wanted = "sampled" if rng is not None and "noise" in self._arrays else "greedy"
        (found,) = self._session.run([wanted], rows)
        return found[0] if one else found  # type: ignore[no-any-return]

    def log_probability(
        self, agent: Given, choices: Given, mask: ArrayLike | None = None, index: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """log pi(k) of every choice, `[K]` or `[R, K]`; -inf where not allowed. Arguments as for `act`.

        Raises:
            DecisionError: as `act`; or agents do not choose.
        """
        if self.description["action"]["kind"] != "choice":
            raise DecisionError("agents of this policy do not choose, so there are no probabilities; call act")
        rows, one = self._rows(agent, choices, mask, index)
        rows["noise"] = np.zeros(len(rows["agent"]), np.float32)
        (found,) = self._session.run(["log_probability"], rows)
        return found[0] if one else found  # type: ignore[no-any-return]

    def outside(self, agent: Given, choices: Given | None = None) -> dict[str, NDArray[np.bool_]]:
        """Which features lie outside what was seen when the policy was exported, shaped as they are, by input."""
        rows, one = self._seen(agent, choices)
        self._fit(rows)
        found = {}
        for name, features in self.description["inputs"].items():
            low, high = (np.array([f[end] for f in features], np.float32) for end in ("low", "high"))
            beyond = (rows[name] < low) | (rows[name] > high)
            found[name] = beyond[0] if one else beyond
        return found

    def _rows(
        self, agent: Given, choices: Given | None, mask: ArrayLike | None, index: ArrayLike | None
    ) -> tuple[dict[str, NDArray[Any]], bool]:
        """Arrays with a row an agent, and whether one agent alone was given."""
        rows, one = self._seen(agent, choices)
        if "mask" in self._arrays:
            rows["mask"] = self._mask(mask, rows, one)
        elif mask is not None:
            raise DecisionError("mask: given, but there is nothing to choose from; leave it out")
        if "index" in self._arrays:
            rows["index"] = self._index(index, one)
        elif index is not None:
            raise DecisionError("index: given, but all agents share one network; leave it out")
        self._fit(rows)
        return rows, one

    def _seen(self, agent: Given, choices: Given | None) -> tuple[dict[str, NDArray[Any]], bool]:
        """Features with a row an agent, and whether one agent alone was given."""
        own = self._array("agent", agent)
        one = own.ndim == 1
        rows: dict[str, NDArray[Any]] = {"agent": own[None] if one else own}
        if "choices" in self._arrays:
            if choices is None:
                raise DecisionError(f"choices: nothing is given, expected {self._shape('choices')}")
            of = self._array("choices", choices)
            rows["choices"] = of[None] if one and of.ndim == 2 else of
        elif choices is not None:
            raise DecisionError("choices: given, but this policy sees none; leave it out")
        return rows, one

    def _fit(self, rows: Mapping[str, NDArray[Any]]) -> None:
        for name, x in rows.items():
            self._fits(name, x, len(rows["agent"]), rows)

    def _array(self, name: str, given: Given) -> NDArray[np.float32]:
        """Features in their order, float32."""
        if isinstance(given, Mapping):
            given = self._stacked(name, given)
        return self._numbers(name, given)

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
        try:
            found = np.asarray(given)
        except (TypeError, ValueError):
            found = np.asarray(None)
        if found.dtype.kind not in "fiub":
            raise DecisionError(
                f"{name}: not an array of numbers"
                + (f", expected {self._shape(name)}" if name in self.features else "")
            )
        return found.astype(np.float32)

    def _mask(self, mask: ArrayLike | None, rows: Mapping[str, NDArray[Any]], one: bool) -> NDArray[np.bool_]:
        if mask is None:
            like = rows["choices"].shape[:2] if "choices" in rows else (len(rows["agent"]), self._arrays["mask"][2])
            return np.ones(like, bool)
        try:
            able = np.asarray(mask)
        except ValueError:
            able = np.asarray(None)
        if able.dtype.kind not in "biuf" or not np.isin(able, (0, 1)).all():
            raise DecisionError("mask: expected true or false for each choice")
        able = able.astype(bool)
        able = able[None] if one and able.ndim == 1 else able
        if able.ndim == 2 and len(able) and not able.any(-1).all():
            raise DecisionError(f"mask: nothing is allowed in row {int(np.flatnonzero(~able.any(-1))[0])}")
        return able

    def _index(self, index: ArrayLike | None, one: bool) -> NDArray[np.int64]:
        agents = self.description["agents"]
        if index is None:
            raise DecisionError(f"index: nothing is given, expected which agent decides, from 0 to {agents - 1}")
        which = np.asarray(index)
        which = which.astype(np.int64) if not which.size else which
        if which.dtype.kind not in "iu" or ((which < 0) | (which >= agents)).any():
            raise DecisionError(
                f"index: expected which agent decides, whole numbers from 0 to {agents - 1}, got {which.tolist()}"
            )
        return which.astype(np.int64).reshape(1) if one and which.ndim == 0 else which.astype(np.int64)

    def _fits(self, name: str, x: NDArray[Any], count: int, rows: Mapping[str, NDArray[Any]]) -> None:
        """DecisionError unless an array has the shape that the policy reads, and holds numbers."""
        choices = rows["choices"].shape[1] if "choices" in rows and rows["choices"].ndim == 3 else None
        wanted = [{"R": count, "K": choices}.get(size, size) for size in self._arrays[name][1:]]
        fits = x.ndim == len(wanted) and all(size in (None, have) for size, have in zip(wanted, x.shape, strict=True))
        if not fits:
            raise DecisionError(f"{name}: expected {self._shape(name)}, got {list(x.shape)} (with a row an agent)")
        if choices == 0:
            raise DecisionError("choices: there are none, expected at least one choice")
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            bad = tuple(np.argwhere(~np.isfinite(x))[0])
            feature, value = self.features[name][bad[-1]], float(x[bad])
            raise DecisionError(f"{name}: '{feature}' of row {bad[0]} is {value}, expected a finite number")

    def _noise(self, rows: Mapping[str, NDArray[Any]], rng: np.random.Generator | None) -> NDArray[np.float32]:
        """A row an agent; zeros where nothing is drawn."""
        width = [rows["mask"].shape[1] if size == "K" else size for size in self._arrays["noise"][2:]]
        shape = (len(rows["agent"]), *width)
        if rng is None:
            return np.zeros(shape, np.float32)
        uniform = self.description["chance"] == "uniform"
        return rng.random(shape, np.float32) if uniform else rng.standard_normal(shape, np.float32)

    def _shape(self, name: str) -> str:
        features = self.features.get(name, ())
        told = f" ({', '.join(features)})" if features else ""
        return f"[{', '.join(map(str, self._arrays[name][1:]))}], the first left out for one agent{told}"


def unchanged(path: Path) -> None:
    """Hold a file against the digest that `policy.json` beside it has, where there is one.

    Raises:
        DataError: it is another.
    """
    beside = path.with_name("policy.json")
    try:
        told = json.loads(beside.read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if told != hashlib.sha256(path.read_bytes()).hexdigest():
        raise DataError(f"{path}: not the file that {beside} is about: damaged, or of another export; export it again")


def described(path: Path, session: Any) -> Mapping[str, Any]:
    """What the file says of itself.

    Raises:
        DataError: none that `dgpg export` wrote, or one of another version.
    """
    try:
        told = json.loads(session.get_modelmeta().custom_metadata_map["dgpg"])
        version, _ = told["format"], (told["arrays"], told["inputs"], told["action"]["kind"], told["chance"])
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path}: an ONNX file, but none that `dgpg export` wrote; export the run") from None
    if version != FORMAT:
        raise DataError(
            f"{path}: format {version}, this dgpg reads {FORMAT}; export the run again, or install another dgpg"
        )
    return told  # type: ignore[no-any-return]
