"""Training looks once whether a saved state restores, and a run of environments that cannot be saved is not resumed."""

from types import ModuleType
from typing import Any

import pytest
import torch

from dgpg.runs.restoring import cannot_restore

from ..training import run, same, state


def broken(toy: ModuleType, **members: Any) -> Any:
    def wrap(env: Any) -> Any:
        for name, member in members.items():
            setattr(env, name, member(env))
        return env

    return toy.trainer("dg-pg", wrap=wrap)


def raises(env: Any) -> Any:
    def state_dict() -> Any:
        raise NotImplementedError("a vendor's binary")

    return state_dict


def empty(env: Any) -> Any:
    return lambda: {}


def same_moment(env: Any) -> Any:
    """Loads nothing, and says it did."""
    seen: list[Any] = []
    step = env.step

    def remembered(actions: torch.Tensor) -> Any:
        took = step(actions)
        seen.append(took.decision)
        return took

    env.step = remembered
    return lambda saved: seen[0]


def test_looking_leaves_the_trainer_where_it_was(toy: ModuleType) -> None:
    looked, plain = toy.trainer("dg-pg"), toy.trainer("dg-pg")
    assert cannot_restore(looked) is None
    run(looked, 2), run(plain, 2)
    assert same(state(looked), state(plain))


@pytest.mark.parametrize(
    ("member", "maker", "part"),
    [
        ("state_dict", raises, "NotImplementedError: a vendor's binary"),
        ("state_dict", empty, "cannot be saved and restored (KeyError"),
        ("load_state_dict", same_moment, "another moment of decision"),
    ],
)
def test_what_does_not_restore_is_told_with_its_cure(toy: ModuleType, member: str, maker: Any, part: str) -> None:
    why = cannot_restore(broken(toy, **{member: maker}))
    assert why is not None and part in why and "random streams included" in why


def test_an_outcome_that_differs_is_found(toy: ModuleType) -> None:
    """A generator that the state leaves out: the moment is the saved one, the next step is not."""

    def forgetful(env: Any) -> Any:
        step, chance = env.step, torch.Generator().manual_seed(0)

        def noisy(actions: torch.Tensor) -> Any:
            took = step(actions)
            took.reward.add_(torch.rand(took.reward.shape, generator=chance))
            return took

        return noisy

    why = cannot_restore(broken(toy, step=forgetful))
    assert why is not None and "another outcome" in why
