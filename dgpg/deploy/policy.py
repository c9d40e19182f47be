"""An exported policy: what one agent sees in, what it does out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgpg.deploy.entry import DRAWN, Entry
from dgpg.deploy.files import beside, described, opened, unchanged
from dgpg.deploy.plain import Rows
from dgpg.deploy.rows import Given, Reader
from dgpg.deploy.speaking import Words
from dgpg.errors import DataError, DecisionError


class Policy:
    """A policy of `dgpg export`, for one agent or many.

    Attributes:
        description: what the file says of itself: domain, names, units, ranges, versions.
        digest: SHA-256 of the file.
        features: names of what an agent sees, and of what it sees of each choice.
    """

    def __init__(
        self,
        entry: Entry,
        description: Mapping[str, Any],
        digest: str,
        more: Mapping[str, Entry] = MappingProxyType({}),
    ) -> None:
        self._entry, self.description, self.digest, self._more = entry, description, digest, more
        self._reader = Reader(description)
        self._everyone = np.arange(description["agents"], dtype=np.int64).tobytes() if "everyone" in more else None
        self.features = self._reader.features

    @classmethod
    def load(cls, folder: str | Path, threads: int = 1) -> Policy:
        """The policy in a folder.

        Args:
            folder: that `dgpg export` wrote, or the `.onnx` file itself.
            threads: that one decision may use; more than one pays for thousands of rows only.

        Raises:
            DataError: no such file, or none that `dgpg export` wrote.
        """
        path = Path(folder)
        path = path / "policy.onnx" if path.is_dir() else path
        if not isinstance(threads, int) or threads < 1:
            raise DataError(f"threads: expected a whole number of at least 1, got {threads!r}")
        model = unchanged(path)
        entry = opened(path, model, threads)
        told = described(path, entry.metadata)
        more = {name: opened(at, one, threads) for name, at, one in beside(path, told)}
        return cls(entry, told, hashlib.sha256(model).hexdigest(), more)

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
        self._alone()
        outputs = ("greedy",) if rng is None else (self._drawn(rng),)
        rows, one = self._reader.rows(agent, choices, mask, index)
        (found,) = self.run(rows, outputs, rng)
        return found[0] if one else found

    def log_probability(
        self, agent: Given, choices: Given, mask: ArrayLike | None = None, index: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """log pi(k) of every choice, `[K]` or `[R, K]`; -inf where not allowed. Arguments as for `act`.

        Raises:
            DecisionError: as `act`; or agents do not choose.
        """
        self._alone()
        if self.description["action"]["kind"] != "choice":
            raise DecisionError("agents of this policy do not choose, so there are no probabilities; call act")
        rows, one = self._reader.rows(agent, choices, mask, index)
        (found,) = self.run(rows, ("log_probability",))
        return found[0] if one else found

    def rounds(self) -> Mapping[str, Any]:
        """How agents speak before they act: number of rounds (`count`) and of blocks, places and coordinates of each.

        Raises:
            DecisionError: they do not.
        """
        told: Mapping[str, Any] | None = self.description.get("rounds")
        if told is None:
            raise DecisionError("agents of this policy do not speak; call act")
        return told

    def announce(
        self, agent: Given, choices: Given, places: Mapping[str, ArrayLike], mask: ArrayLike | None = None,
        index: ArrayLike | None = None,
    ) -> Words:  # fmt: skip
        """What agents say first, before they have heard anything; see `dgpg.deploy.totals` for what becomes of it.

        Args:
            agent: as for `act`.
            choices: as for `act`.
            places: what each choice does to the state of the system: `block`, the numbers of the blocks that it touches
                `[R, K, P]`, `here`, their coordinates if nobody acted, and `value`, what the choice adds to them,
                `[R, K, P, m]` each; and what `rounds()["context"]` names, by that name. Without R for one agent.
            mask: as for `act`.
            index: as for `act`.

        Raises:
            DecisionError: as `act`; or agents do not speak.
        """
        rows, one = self._placed((agent, choices, mask, index), places)
        return self._words("announce", rows, one)

    def hear(
        self, agent: Given, choices: Given, places: Mapping[str, ArrayLike], last: ArrayLike, heard: ArrayLike,
        turn: int = 1, mask: ArrayLike | None = None, index: ArrayLike | None = None,
    ) -> Words:  # fmt: skip
        """What agents say when they have heard what all said; arguments as for `announce`.

        Args:
            agent: as for `act`.
            choices: as for `act`.
            places: as for `announce`.
            last: what each announced last, `Words.announced`.
            heard: what `totals` made of what all said, `[R, K, P, m + 1]`, their own part included.
            turn: number of the round, 1 after the first announcement.
            mask: as for `act`.
            index: as for `act`.

        Raises:
            DecisionError: as `announce`.
        """
        rows, one = self._placed((agent, choices, mask, index), {**places, "last": last, "heard": heard})
        return self._words("hear", self._timed(rows, turn), one)

    def decide(
        self, agent: Given, choices: Given, places: Mapping[str, ArrayLike], last: ArrayLike, heard: ArrayLike,
        mask: ArrayLike | None = None, index: ArrayLike | None = None, rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:  # fmt: skip
        """What agents do after the last round, as `act`; the other arguments as for `hear`.

        Raises:
            DecisionError: as `hear`.
        """
        _generator(rng)
        rows, one = self._placed((agent, choices, mask, index), {**places, "last": last, "heard": heard})
        rows = self._timed(rows, self.rounds()["count"])
        (found,) = self.run(rows, ("greedy" if rng is None else "sampled",), rng)
        return found[0] if one else found

    def _drawn(self, rng: Any) -> str:
        """The output that is drawn, by a generator."""
        _generator(rng)
        if "noise" in self._reader.arrays:
            return DRAWN
        if self.description["chance"] == "elsewhere":
            raise DecisionError("this policy's distribution (beta) is not drawn from here; leave rng out for its mean")
        return "greedy"

    def _alone(self) -> None:
        if self.description.get("rounds") is not None:
            raise DecisionError(
                "agents of this policy speak before they act: call announce, hear and decide, or dgpg.deploy.agree "
                "where all of them are at hand"
            )

    def _placed(self, seen: tuple[Any, ...], places: Mapping[str, ArrayLike]) -> tuple[dict[str, NDArray[Any]], bool]:
        self.rounds()
        return self._reader.placed(seen, places)

    def _timed(self, rows: dict[str, NDArray[Any]], turn: int) -> dict[str, NDArray[Any]]:
        """With the number of the round, where a policy asks for it."""
        if "turn" not in self._reader.arrays:
            return rows
        return {**rows, "turn": np.full(len(rows["agent"]), turn, np.int64)}

    def _words(self, name: str, rows: dict[str, NDArray[Any]], one: bool) -> Words:
        announced, said = self._more[name].run(rows, ("announced", "said"))
        return Words(announced[0], said[0]) if one else Words(announced, said)

    def outside(self, agent: Given, choices: Given | None = None) -> dict[str, NDArray[np.bool_]]:
        """Which features lie outside what was seen when the policy was exported, shaped as they are, by input."""
        rows, one = self._reader.seen(agent, choices)
        self._reader.fit(rows)
        found = {}
        for name, features in self.description["inputs"].items():
            low, high = (np.array([f[end] for f in features], np.float32) for end in ("low", "high"))
            beyond = (rows[name] < low) | (rows[name] > high)
            found[name] = beyond[0] if one else beyond
        return found

    def rows(
        self, agent: Given, choices: Given | None = None, mask: ArrayLike | None = None, index: ArrayLike | None = None
    ) -> tuple[dict[str, NDArray[Any]], bool]:
        """What `act` takes, checked, with a row an agent, for `run`, rules and estimates; and whether it was one agent.

        Raises:
            DecisionError: as `act`.
        """
        return self._reader.rows(agent, choices, mask, index)

    def run(self, rows: Rows, outputs: Sequence[str], rng: np.random.Generator | None = None) -> list[NDArray[Any]]:
        """Outputs by name (`greedy`, `sampled`, `log_probability`) of what `rows` made, a row an agent each."""
        if DRAWN in outputs:
            rows = {**rows, "noise": self._noise(rows, rng)}
        every = self._everyone is not None and rows["index"].tobytes() == self._everyone
        return (self._more["everyone"] if every else self._entry).run(rows, tuple(outputs))

    def _noise(self, rows: Rows, rng: np.random.Generator | None) -> NDArray[np.float32]:
        """A row an agent; zeros where nothing is drawn."""
        width = [rows["mask"].shape[1] if size == "K" else size for size in self._reader.arrays["noise"][2:]]
        shape = (len(rows["agent"]), *width)
        if rng is None:
            return np.zeros(shape, np.float32)
        uniform = self.description["chance"] == "uniform"
        return rng.random(shape, np.float32) if uniform else rng.standard_normal(shape, np.float32)


def _generator(rng: Any) -> None:
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise DecisionError(f"rng: expected a numpy Generator, as np.random.default_rng(seed) makes, got {rng!r}")
