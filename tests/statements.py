"""How statements about games are tried: games drawn, conditions met, mutations refuted.

Each statement is a function that says whether it holds of one game. A property asserts it wherever
its condition is met; next to it, mutations drop or change the condition and must be refuted. Games
are exact in float64 (dgpg.testing.games), so S1 to S6 are compared without a tolerance.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from dgpg.testing import games
from dgpg.testing.games import LinearGame

Example = TypeVar("Example")

many = settings(max_examples=10 * settings().max_examples)
"""500 examples by default, 20,000 in the nightly profile."""


def refute(strategy: st.SearchStrategy[Example], holds: Callable[[Example], bool]) -> Example:
    """The first example of which `holds` is false; NoSuchExample, so a failed test, when none is found."""
    fixed = settings(max_examples=5000, phases=[Phase.generate], derandomize=True, database=None)
    return find(strategy, lambda example: not holds(example), settings=fixed)


def share(strategy: st.SearchStrategy[Example], met: Callable[[Example], bool]) -> float:
    """The share of 300 examples that meet a condition: a property that is never tried proves nothing."""
    seen = []

    @settings(max_examples=300, phases=[Phase.generate], derandomize=True, database=None)
    @given(strategy)
    def draw(example: Example) -> None:
        seen.append(met(example))

    draw()
    return float(np.mean(seen))


def best(game: LinearGame) -> tuple[int, ...]:
    """The first joint action that maximises J."""
    return tuple(int(k) for k in np.unravel_index(game.payoff.argmax(), game.payoff.shape))


alphas = games.alphas()
alphas_and_one = st.one_of(alphas, st.just(1.0))
guided = st.integers(1, 15).map(lambda k: k / 16)
"""Weights at which both J and G count."""
right_references = games.linear_games().map(lambda game: game.towards(best(game)).team)
"""x~ = x(a*): J is largest and G smallest at a*."""
all_games = st.one_of(games.team_games(), games.linear_games().map(lambda game: game.team), games.policy_games())
kept_games = st.one_of(all_games, right_references)
robust_games = games.strict_games(all_games)
