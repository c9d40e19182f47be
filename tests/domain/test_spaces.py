"""The space of splits."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.vector.utils import batch_space
from hypothesis import given
from hypothesis import strategies as st

from dgpg.bridges import gym
from dgpg.domain import Simplex
from dgpg.errors import PluginError


@given(agents=st.integers(1, 6), choices=st.integers(1, 6), seed=st.integers(0, 1000))
def test_samples_are_splits(agents: int, choices: int, seed: int) -> None:
    space = Simplex(agents, choices, seed=seed)
    drawn = space.sample()
    assert drawn.shape == (agents, choices) and drawn.dtype == np.float32 and space.contains(drawn)


def test_samples_are_uniform_over_the_simplex() -> None:
    """A share of a uniform split of three is Beta(1, 2): mean 1/3, variance 1/18."""
    drawn = Simplex(20000, 3, seed=1).sample()
    np.testing.assert_allclose(drawn.mean(0), 1 / 3, atol=0.01)
    np.testing.assert_allclose(drawn.var(0), 1 / 18, atol=0.002)


def test_samples_keep_to_a_mask() -> None:
    mask = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], np.int8)
    drawn = Simplex(3, 3, seed=0).sample(mask)
    assert drawn[0, 1] == 0 and (drawn[0, [0, 2]] > 0).all()
    assert drawn[1].tolist() == [0, 1, 0]
    assert drawn[2].sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("split", "inside"),
    [
        ([[0.25, 0.75], [1.0, 0.0]], True),
        ([[0.25, 0.7], [1.0, 0.0]], False),
        ([[1.25, -0.25], [1.0, 0.0]], False),
        ([[np.nan, 1.0], [1.0, 0.0]], False),
        ([[1.0], [1.0]], False),
        ([[1, 0], [0, 1]], False),
    ],
    ids=["split", "too little", "negative", "nan", "shape", "whole numbers"],
)
def test_what_is_inside(split: list[list[float]], inside: bool) -> None:
    assert Simplex(2, 2).contains(np.array(split)) is inside
    assert not Simplex(2, 2).contains(split)


def test_samples_survive_json() -> None:
    space = Simplex(2, 3, seed=0)
    drawn = [space.sample(), space.sample()]
    again = space.from_jsonable(space.to_jsonable(drawn))
    assert all(np.array_equal(one, other) for one, other in zip(drawn, again, strict=True))


def test_equality_is_of_sizes_and_start() -> None:
    start = [[0.0, -1.0]]
    assert Simplex(1, 2) == Simplex(1, 2, [[0.0, 0.0]]) and Simplex(1, 2, start) == Simplex(1, 2, start)
    assert Simplex(1, 2) != Simplex(1, 2, start) and Simplex(1, 2) != Simplex(2, 2)
    assert repr(Simplex(1, 2)) == "Simplex(1, 2)"


def test_many_environments_have_a_space_of_their_own() -> None:
    space = batch_space(Simplex(2, 3, [[0.0, 1.0, 2.0]] * 2), 4)
    assert isinstance(space, Simplex) and space.shape == (4, 2, 3)
    assert space.contains(space.sample()) and space.start.shape == (2, 3)
    assert gym.batch_space is batch_space


@pytest.mark.parametrize(
    ("sizes", "start", "said"),
    [
        ((2, 3), [0.0, 0.0, 0.0], r"start has shape \[3\]; expected finite logits \[2, 3\]"),
        ((1, 2), [[0.0, -np.inf]], "nan or infinity; .* replaced by a small share"),
        ((0, 2), None, "at least one agent"),
        ((2, 0), None, "at least one agent and one choice"),
    ],
)
def test_a_wrong_start_or_size_is_refused(sizes: tuple[int, int], start: object, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        Simplex(*sizes, start)  # type: ignore[arg-type]


def test_the_start_is_a_copy() -> None:
    start = np.zeros((1, 2), np.float32)
    space = Simplex(1, 2, start)
    start[0, 0] = 5.0
    assert space.start.tolist() == [[0.0, 0.0]]
