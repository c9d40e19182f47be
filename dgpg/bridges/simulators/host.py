"""The simulators of one process: made, reset, stepped and replayed there. Needs numpy alone."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgpg.bridges.simulators import chance
from dgpg.bridges.simulators.view import (
    CUT,
    ENDED,
    GOES_ON,
    Array,
    Board,
    Layout,
    Misfit,
    Sizes,
    View,
    arrays_of,
    layout_of,
)
from dgpg.errors import DgpgError

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Trouble:
    """What went wrong in a simulator: plain, so that it travels."""

    place: int
    """Which of the process's simulators."""
    call: str
    """What it was asked: make, reset, step, read, save or load."""
    asked: str
    """The reset or the step that this was part of."""
    step: int
    """Steps of its episode that were done before."""
    what: str
    details: str = ""
    """The author's own traceback; none where what was raised says all (`dgpg.errors`)."""

    @property
    def said(self) -> str:
        """With what raised it, if something did."""
        return f"{self.call} raised {self.what}" if self.details else self.what


class Failed(Exception):
    """Carries a `Trouble` out of a host."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble


@dataclass(frozen=True)
class Tale:
    """An episode so far: what leads there again."""

    make_seed: int
    episode_seed: int
    actions: Array
    """Joint actions, `[T, ...]`."""
    digests: Sequence[int]
    """Of what was seen after the reset and after each action, T + 1."""


class Host:
    """Simulators at places 0, 1, ... of one process.

    Args:
        make: called with a seed; returns an object with `reset(seed)` and `step(action)`.
        read: called with that object and with what `reset` or `step` returned; returns a `View`.
        sizes: what views must fit.
        seeds: one for each simulator to be made.
        lay: makes the board, once the first view has shown its layout.
        clock: told the place and the time before a simulator is asked for anything, and -1 when all is done. None where
            the process is the trainer's own, whose global generators are put back then.
    """

    def __init__(
        self, make: Callable[[int], Any], read: Callable[[Any, Any], View], sizes: Sizes, seeds: Sequence[int],
        lay: Callable[[Layout], Board], clock: Callable[[int, float], None] | None = None,
    ) -> None:  # fmt: skip
        self._make, self._read, self.sizes, self._lay = make, read, sizes, lay
        self._clock, self._guest = clock or (lambda place, now: None), clock is None
        self.board: Board | None = None
        self._age, self._asked = [0] * len(seeds), "reset"
        self._seeds, self._episodes = list(seeds), [0] * len(seeds)
        self._before: chance.State | None = None
        self._simulators: list[Any] = [None] * len(seeds)

    def reset(self, seeds: Sequence[int]) -> None:
        """A new episode in each simulator."""
        for place, seed in enumerate(seeds):
            self._begin(place, seed)
        self._leave()

    def step(self) -> None:
        """The joint actions on the board; an episode that ends is followed by one of the seed on the board."""
        assert self.board is not None, "a reset comes first"
        records = self.board.records
        for place in range(len(self._simulators)):
            found = self._advance(place, records["action"][place].copy())
            over = self._over(place, found)
            records["over"][place] = over
            self._write("now" if over == GOES_ON else "final", place, found)
            self._age[place] += 1
            if over != GOES_ON:
                self._begin(place, int(records["seed"][place]))
        self._leave()

    def replay(self, place: int, tale: Tale, fresh: bool = False) -> int | None:
        """Bring a simulator to where a tale ends; the first step that went otherwise than told, if one did.

        Args:
            place: of the simulator.
            tale: of the episode.
            fresh: in a simulator made anew, as nothing of former episodes is left in it.
        """
        if fresh or tale.make_seed != self._seeds[place]:
            self._close(place)
            self._seeds[place] = tale.make_seed
        self._begin(place, tale.episode_seed)
        assert self.board is not None
        digests = self.board.records["digest"]
        for t, action in enumerate(tale.actions):
            if digests[place] != tale.digests[t]:
                break
            self._write("now", place, self._advance(place, action.copy()))
            self._age[place] += 1
        else:
            t = len(tale.actions)
        self._leave()
        return None if digests[place] == tale.digests[t] else t

    def save(self) -> list[bytes | None]:
        """What each simulator saves of itself, where it offers `save`."""
        found = []
        for place, simulator in enumerate(self._simulators):
            save = getattr(simulator, "save", None)
            saved = None if save is None else self._call(place, "save", save)
            if saved is not None and not isinstance(saved, bytes | bytearray):
                raise self._failed(place, "save", f"save returned {type(saved).__name__}; expected bytes")
            found.append(None if saved is None else bytes(saved))
        self._leave()
        return found

    def load(self, place: int, tale: Tale, saved: bytes) -> int | None:
        """Let a simulator put itself back to what it saved where a tale ends; as `replay` otherwise."""
        if tale.make_seed != self._seeds[place]:
            self._close(place)
            self._seeds[place] = tale.make_seed
        simulator = self._simulator(place)
        self._call(place, "load", simulator.load, saved)
        self._episodes[place], self._age[place] = tale.episode_seed, len(tale.actions)
        self._write("now", place, self._seen(place, None))
        self._leave()
        assert self.board is not None
        return None if self.board.records["digest"][place] == tale.digests[-1] else len(tale.actions)

    def close(self) -> None:
        """Let each simulator that offers `close` end itself."""
        for place in range(len(self._simulators)):
            self._close(place)
        self._leave()

    def _begin(self, place: int, seed: int) -> None:
        self._asked, self._age[place], self._episodes[place] = "reset", 0, seed
        simulator = self._simulator(place)
        self._draw(seed, 0)
        said = self._call(place, "reset", simulator.reset, seed)
        self._write("now", place, self._seen(place, said))

    def _advance(self, place: int, action: Array) -> dict[str, Array]:
        self._asked = "step"
        self._draw(self._episodes[place], self._age[place] + 1)
        return self._seen(place, self._call(place, "step", self._simulators[place].step, action))

    def _over(self, place: int, found: dict[str, Array]) -> int:
        if found["terminated"]:
            return ENDED
        return CUT if found["truncated"] or self._age[place] + 1 >= self.sizes.horizon else GOES_ON

    def _simulator(self, place: int) -> Any:
        if self._simulators[place] is None:
            self._draw(self._seeds[place], -1)
            self._simulators[place] = self._call(place, "make", self._make, self._seeds[place])
            for name in ("reset", "step"):
                if not callable(getattr(self._simulators[place], name, None)):
                    what = f"make returned {type(self._simulators[place]).__name__} without {name}"
                    raise self._failed(place, "make", what)
        return self._simulators[place]

    def _seen(self, place: int, said: Any) -> dict[str, Array]:
        view = self._call(place, "read", self._read, self._simulators[place], said)
        try:
            return arrays_of(view, self.sizes)
        except Misfit as misfit:
            raise self._failed(place, "read", str(misfit)) from None

    def _write(self, part: str, place: int, found: dict[str, Array]) -> None:
        if self.board is None:
            self.board = self._lay(layout_of(found))
        try:
            self.board.write(part, place, found)
        except Misfit as misfit:
            raise self._failed(place, "read", str(misfit)) from None

    def _call(self, place: int, call: str, function: Callable[..., Any], *arguments: Any) -> Any:
        self._clock(place, time.monotonic())
        try:
            return function(*arguments)
        except KeyboardInterrupt:
            self._leave()
            raise
        except BaseException as error:  # SystemExit of an author's is no end of ours
            raise self._failed(place, call, *_told(error)) from None

    def _failed(self, place: int, call: str, what: str, details: str = "") -> Failed:
        self._leave()
        return Failed(Trouble(place, call, self._asked, self._age[place], what, details))

    def _close(self, place: int) -> None:
        simulator, self._simulators[place] = self._simulators[place], None
        close = getattr(simulator, "close", None)
        if close is not None:
            self._call(place, "close", close)

    def _draw(self, seed: int, step: int) -> None:
        """Let global generators be the simulator's; those of a trainer in the same process are put back afterwards."""
        if self._guest and self._before is None:
            self._before = chance.state()
        chance.seed(seed, step)

    def _leave(self) -> None:
        if self._before is not None:
            before, self._before = self._before, None
            chance.put_back(before)
        self._clock(-1, time.monotonic())


def trouble_of(error: BaseException, call: str) -> Trouble:
    """Of what was raised before there were simulators."""
    return Trouble(0, call, "reset", 0, *_told(error))


def _told(error: BaseException) -> tuple[str, str]:
    """What happened and where; a message that was written for people stands alone."""
    return (str(error), "") if isinstance(error, DgpgError) else (_said(error), _traceback(error))


def _said(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _traceback(error: BaseException) -> str:
    """Without the frames of this package."""
    tb = error.__traceback__
    while tb is not None and Path(tb.tb_frame.f_code.co_filename).parent == HERE:
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(error), error, tb)).rstrip()
