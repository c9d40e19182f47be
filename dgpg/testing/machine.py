"""Reset, step, save and restore in any order, compared with a replay from the start."""

from __future__ import annotations

import copy
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from torch import Tensor

from dgpg.checks.nested import copied, difference
from dgpg.checks.subject import Subject, allowed
from dgpg.domain import Decision, Environment
from dgpg.domain.random import generator

Event = Tensor | None
"""A joint action, or None for a reset."""


class EnvironmentMachine(RuleBasedStateMachine):
    """One environment driven in any order; `subject` is set by `machine_of`.

    The shadow is a fresh environment that repeats the events which led to where the environment is said to be: a
    restored environment must be where its saved events lead, bit for bit.
    """

    subject: Subject

    def __init__(self) -> None:
        super().__init__()
        self.env: Environment = self.subject.make_env()
        self.horizon = self.env.horizon
        self.events: list[Event] = []
        self.saves: list[tuple[dict[str, Any], list[Event], Tensor]] = []
        self.age = torch.zeros(self.subject.num_envs, dtype=torch.long)
        self.decision: Decision

    @initialize()
    def begin(self) -> None:
        """Every environment is reset before anything else, and has a first state to go back to."""
        self.reset()
        self.save()

    @rule()
    def reset(self) -> None:
        """New episodes, at any time."""
        self._went(None, self.env.reset())
        self.age = torch.zeros_like(self.age)

    @rule(seed=st.integers(0, 2**20), steps=st.integers(1, 4))
    def step(self, seed: int, steps: int) -> None:
        """Some steps with random allowed actions; none goes beyond the horizon."""
        chance = generator(seed)
        for _ in range(steps):
            actions = allowed(self.env, self.decision, chance)
            step = self.env.step(actions.clone())
            done = (step.terminated | step.truncated).cpu()
            self.age += 1
            late = (self.age >= self.horizon) & ~done
            assert not late.any(), f"environment {late.nonzero()[0].item()}: no end at the horizon of {self.horizon}"
            self.age = torch.where(done, 0, self.age)
            self._went(actions, step.decision)

    @rule()
    def save(self) -> None:
        """Keep what state_dict returns, as it is."""
        self.saves.append((self.env.state_dict(), list(self.events), self.age.clone()))

    @rule(data=st.data(), fresh=st.booleans())
    def restore(self, data: st.DataObject, fresh: bool) -> None:
        """Go back to any saved state, perhaps in a fresh environment made with another seed."""
        self._compare()
        self._restore(data.draw(st.integers(0, len(self.saves) - 1), label="saved state"), fresh)

    @rule(seed=st.integers(0, 2**20), steps=st.integers(1, 4), fresh=st.booleans())
    def there_and_back(self, seed: int, steps: int, fresh: bool) -> None:
        """Save, go on, go back: the order in which most mistakes show."""
        self.save()
        self.step(seed, steps)
        self._restore(len(self.saves) - 1, fresh)

    def _restore(self, number: int, fresh: bool) -> None:
        state, events, age = self.saves[number]
        if fresh:
            self.env = self.subject.make_env(seed=self.subject.seed + 1)
        self.decision = copied(self.env.load_state_dict(state))
        self.events, self.age = list(events), age.clone()
        self._compare()

    def teardown(self) -> None:
        """The end of one order of calls: what was restored must have gone on as a replay does."""
        if self.events:  # none if reset raised
            self._compare()

    def _compare(self) -> None:
        """The decision equals that of a fresh environment that repeats the events."""
        where = difference(_repeat(self.subject, self.events), self.decision)
        assert where is None, (
            f"after {_told(self.events)} the decision should be that of a replay from the start; replayed and found, "
            f"{where}. Likely cause: state_dict leaves something out or shares memory with the environment"
        )

    def _went(self, event: Event, decision: Decision) -> None:
        self.events, self.decision = [*self.events, event], copied(decision)


def _repeat(subject: Subject, events: list[Event]) -> Decision:
    env = subject.make_env()
    decisions = [env.reset() if event is None else env.step(event.clone()).decision for event in events]
    return copy.deepcopy(decisions[-1])


def _told(events: list[Event]) -> str:
    return ", ".join("reset" if event is None else "step" for event in events)


def machine_of(subject: Subject) -> type[EnvironmentMachine]:
    """The machine for one subject, for `hypothesis.stateful.run_state_machine_as_test`."""
    return type("EnvironmentMachine", (EnvironmentMachine,), {"subject": subject})
