"""All workers of some environments: asked together, and replaced where they die by replaying what led there."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle
import numpy as np

from dgpg.bridges.simulators.actor import Actor, cpus
from dgpg.bridges.simulators.carrier import Carrier, Died, Hung, board_of, release
from dgpg.bridges.simulators.host import Failed, Trouble
from dgpg.bridges.simulators.local import Local
from dgpg.bridges.simulators.process import Process, take
from dgpg.bridges.simulators.settings import Simulation, Workers, own_cores, processes
from dgpg.bridges.simulators.story import Story
from dgpg.bridges.simulators.view import Array, Sizes
from dgpg.errors import ConfigError, SimulatorError

START_S = 60.0
"""Time that a process may take to start and import a simulator, whatever a step may take: nothing hangs in it yet."""
ATTEMPTS = 3
"""Deaths in a row after which a simulator is said to be their cause."""
SEEDED = (
    "draw all chance from the seed that reset is given, keep nothing of former episodes, look at no clock and iterate "
    "over no set; where that cannot be helped, Simulation(repeats=False) trains without saving"
)


class Crew:
    """B simulators in some processes; `stories` say where each of them is.

    Args:
        simulation: what they are.
        workers: how many processes, and how long they may take.
        seeds: of `make`, one an environment.
    """

    def __init__(self, simulation: Simulation, workers: Workers, seeds: Sequence[int]) -> None:
        self.simulation, self.sizes, self.workers = simulation, simulation.sizes, workers
        self.stories = [Story(seed) for seed in seeds]
        self._engine = "here" if workers.count == 0 else workers.engine
        cores = cpus() if self._engine == "ray" and workers.count is None else own_cores()
        count = processes(workers, simulation.alone, len(seeds), cores)
        self._cuts = [cut.tolist() for cut in np.array_split(np.arange(len(seeds)), max(count, 1))]
        self._carriers: list[Carrier] = []
        self._stale = self._told = False
        """Whether simulators may be elsewhere than their stories say; whether it was told that they print."""
        weakref.finalize(self, release, self._carriers)

    @property
    def pids(self) -> list[int]:
        """Of the processes of this machine."""
        return [carrier.pid for carrier in self._carriers if isinstance(carrier, Process)]

    def shown(self, part: str = "now") -> dict[str, Array]:
        """A copy of what views showed last (`now`), or before an episode ended (`final`), in order of environments."""
        columns = [board_of(carrier).columns[part] for carrier in self._carriers]
        return {name: np.concatenate([one[name] for one in columns]) for name in columns[0]}

    def overs(self) -> Array:
        """Whether the last step of each environment ended its episode, and how."""
        return np.concatenate([board_of(carrier).records["over"] for carrier in self._carriers])

    def reset(self, seeds: Sequence[int]) -> None:
        """New episodes everywhere."""
        self._stale = True
        self._ask("reset", [([seeds[b] for b in cut],) for cut in self._cuts])
        for story, seed, digest in zip(self.stories, seeds, self._column("digest"), strict=True):
            story.begin(story.episode + 1, seed, digest)
        self._stale = False

    def step(self, actions: Array, seeds: Sequence[int]) -> None:
        """One step of all; where an episode ends, the next one begins with the seed given."""
        self._catch_up()

        def prepare(k: int) -> None:
            records, cut = board_of(self._carriers[k]).records, self._cuts[k]
            records["action"], records["seed"] = actions[cut], [seeds[b] for b in cut]

        self._stale = True
        self._ask("step", [()] * len(self._cuts), prepare, self._retell)
        digests, overs = self._column("digest"), self._column("over")
        for story, action, seed, digest, over in zip(self.stories, actions, seeds, digests, overs, strict=True):
            if over:
                story.begin(story.episode + 1, seed, digest)
            else:
                story.actions.append(action)
                story.digests.append(digest)
        self._stale = False

    def save(self) -> list[bytes | None]:
        """What simulators save of themselves, those that can."""
        self._catch_up()
        found = self._ask("save", [()] * len(self._cuts), back=self._retell)
        return [saved for part in found for saved in part]

    def restore(self, stories: Sequence[Story], saved: Sequence[bytes | None]) -> None:
        """Bring every environment to where its story ends.

        Raises:
            SimulatorError: a simulator does something else than the story says.
        """
        self.stories, self._stale = list(stories), True
        self._open()
        for k, cut in enumerate(self._cuts):
            for place, b in enumerate(cut):
                self._one(k, place, saved[b])
        self._stale = False

    def rehearse(self) -> None:
        """Whether a simulator made anew goes where the longest story leads, once before a run relies on it."""
        self._catch_up()
        b = max(range(len(self.stories)), key=lambda b: len(self.stories[b].actions))
        k = next(k for k, cut in enumerate(self._cuts) if b in cut)
        self._one(k, self._cuts[k].index(b), None, fresh=True)

    def _one(self, k: int, place: int, saved: bytes | None, fresh: bool = False) -> None:
        """Bring one simulator to where its story ends."""
        b = self._cuts[k][place]
        tale = self.stories[b].tale(self.sizes.action)
        if not tale.digests:
            return
        name = "replay" if saved is None else "load"
        arguments = (place, tale, fresh) if saved is None else (place, tale, saved)
        (parted,) = self._ask(name, [arguments], back=self._retell, which=[k])
        if parted is not None:
            raise self._parted(b, parted, saved is not None)

    def _parted(self, b: int, step: int, loaded: bool) -> SimulatorError:
        when = "after the reset" if step == 0 else f"after step {step - 1}"
        if loaded:
            what = f"shows something else {when}, loaded from what it saved, than when it was saved"
            return SimulatorError(f"{self._where(b)}: the simulator {what}; let save hold all that changes after reset")
        story = self.stories[b]
        what = f"made with seed {story.make_seed} and reset with seed {story.episode_seed}, shows something else {when}"
        return SimulatorError(
            f"{self._where(b)}: the simulator does not repeat itself: {what} than it did before, after the same "
            f"actions, so no saved run goes on as it would have; {SEEDED}"
        )

    def _where(self, b: int) -> str:
        return f"environment {b}, episode {self.stories[b].episode}"

    def _column(self, name: str) -> list[int]:
        return [x for carrier in self._carriers for x in board_of(carrier).records[name].tolist()]

    def _catch_up(self) -> None:
        """After an interrupt in the middle of a step: back to where stories end."""
        if self._stale:
            self.restore(self.stories, [None] * len(self.stories))

    def _open(self) -> None:
        if self._carriers:
            return
        self._carriers += [self._start() for _ in self._cuts]
        for k in range(len(self._carriers)):
            self._carriers[k].open(*self._opening(k))
        for k in range(len(self._carriers)):
            self._receive(k, "open")

    def _start(self) -> Carrier:
        if self._engine == "here":
            return Local(self.simulation.make, self.simulation.read)
        return Actor() if self._engine == "ray" else take()

    def _opening(self, k: int) -> tuple[bytes, Sizes, list[int]]:
        return self._pickled(), self.sizes, [self.stories[b].make_seed for b in self._cuts[k]]

    def _pickled(self) -> bytes:
        if self._engine == "here":
            return b""
        try:
            pickled: bytes = cloudpickle.dumps((self.simulation.make, self.simulation.read))
        except Exception as error:  # pickle raises what it likes
            raise ConfigError(
                f"Simulation.make and read cannot be sent to a process ({type(error).__name__}: {error}); let them be "
                "functions of a module that hold no open file, lock or generator, or use workers.count=0"
            ) from None
        return pickled

    def _ask(
        self, name: str, arguments: Sequence[tuple[Any, ...]], prepare: Callable[[int], None] = lambda k: None,
        back: Callable[[int], None] = lambda k: None, which: Sequence[int] | None = None,
    ) -> list[Any]:  # fmt: skip
        """Ask workers at the same time; those that die are replaced, brought `back` and asked again."""
        self._open()
        chosen = range(len(self._carriers)) if which is None else which
        died: dict[int, Died] = {}
        for k, given in zip(chosen, arguments, strict=True):
            try:
                if self._carriers[k].broken:
                    raise Died("its process is gone")
                prepare(k)
                self._carriers[k].send(name, *given)
            except Died as death:
                died[k] = death
        answers = []
        for k, given in zip(chosen, arguments, strict=True):
            try:
                if k in died:
                    raise died[k]
                answers.append(self._receive(k, name))
            except Died as death:
                answers.append(self._again(k, death, name, given, prepare, back))
        self._listen()
        return answers

    def _again(
        self, k: int, death: Died, name: str, given: tuple[Any, ...],
        prepare: Callable[[int], None], back: Callable[[int], None],
    ) -> Any:  # fmt: skip
        """Ask a new worker what the dead one did not answer."""
        for _ in range(ATTEMPTS):
            try:
                self._replace(k)
                back(k)
                prepare(k)
                self._carriers[k].send(name, *given)
                return self._receive(k, name)
            except Died as another:
                death = another
        envs = ", ".join(map(str, self._cuts[k]))
        steps = max(len(self.stories[b].actions) for b in self._cuts[k])
        raise SimulatorError(
            f"a worker with environments {envs} died {ATTEMPTS + 1} times in a row in {name}, step {steps} of the "
            f"longest episode: {death}"
        )

    def _replace(self, k: int) -> None:
        self._carriers[k].kill()
        self._carriers[k] = self._start()
        self._carriers[k].open(*self._opening(k))
        self._receive(k, "open")

    def _retell(self, k: int) -> None:
        """Bring a new worker to where the stories of its environments end."""
        for place, b in enumerate(self._cuts[k]):
            if not self.simulation.repeats:
                raise SimulatorError(
                    f"{self._where(b)}: its worker died, and the simulator is declared not to repeat itself, so the "
                    "episode is lost; start again from a reset"
                )
            tale = self.stories[b].tale(self.sizes.action)
            if not tale.digests:
                continue
            self._carriers[k].send("replay", place, tale)
            parted = self._receive(k, "replay")
            if parted is not None:
                raise self._parted(b, parted, False)

    def _receive(self, k: int, name: str) -> Any:
        """An answer; what simulators did wrong in the words of a user."""
        limit = max(self.workers.timeout, START_S if name == "open" else 0.0)
        try:
            return self._carriers[k].receive(limit)
        except Failed as failed:
            raise self._failed(k, name, failed.trouble) from None
        except Hung as hung:
            b = self._cuts[k][max(hung.place, 0)]
            where = f"; it was here:\n{hung.where}" if hung.where else ""
            raise SimulatorError(
                f"{self._at(b, name, len(self.stories[b].actions))}: no answer within {limit:g} s "
                f"(workers.timeout){where}"
            ) from None

    def _failed(self, k: int, name: str, trouble: Trouble) -> SimulatorError:
        if name == "open":
            return SimulatorError(f"a worker cannot import the simulator: {trouble.what}\n{trouble.details}".rstrip())
        b = self._cuts[k][trouble.place]
        printed = self._carriers[k].printed
        parts = [f"{self._at(b, name, trouble.step, trouble.asked)}: {trouble.said}", trouble.details]
        parts.append(f"it printed last:\n{printed}" if printed else "")
        return SimulatorError("\n".join(part for part in parts if part))

    def _at(self, b: int, name: str, step: int, asked: str = "step") -> str:
        """Environment, episode and step, as a message names them."""
        story = self.stories[b]
        begins = name == "reset" or (name == "step" and asked == "reset")
        if begins:
            return f"environment {b}, episode {story.episode + 1}, at its start"
        return f"environment {b}, episode {story.episode}, step {step}"

    def _listen(self) -> None:
        """Say once that simulators print: where, and what."""
        if self._told:
            return
        for k, carrier in enumerate(self._carriers):
            if carrier.printed:
                self._told = True
                story = self.stories[self._cuts[k][0]]
                logging.getLogger("dgpg").warning(
                    "simulators print, which is kept apart and shown where one fails; this is the first of it, from "
                    "the worker of environment %d, episode %d, by step %d: %s",
                    self._cuts[k][0], story.episode, len(story.actions), carrier.printed.splitlines()[0],
                )  # fmt: skip
                return
