"""The statements S1 to S4 of docs/theory.md section 4, and its counterexamples, on games that can be enumerated."""

import warnings
from dataclasses import replace

import nashpy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from dgpg.testing import games
from dgpg.testing.games import Array, LinearGame, MarkovTeamGame, Mask, TeamGame

from ..statements import (
    all_games,
    alphas,
    alphas_and_one,
    best,
    guided,
    kept_games,
    many,
    refute,
    right_references,
    robust_games,
    share,
)


def test_refute_fails_where_there_is_nothing_to_find() -> None:
    with pytest.raises(NoSuchExample):
        refute(st.integers(0, 3), lambda k: k >= 0)


# --- the enumeration itself --------------------------------------------------------------------


def test_deviations_by_hand() -> None:
    payoff = np.array([[0.0, 1.0, 5.0], [2.0, 4.0, 3.0]])
    # Each agent's deviations from (0, 0): the first to row 1, the second to columns 1 and 2.
    assert sorted(games.deviations(payoff)[:, 0, 0]) == [1.0, 2.0, 5.0]
    assert games.deviations(payoff).shape == (3, 2, 3)
    assert games.most_raised(payoff)[1, 0] == 2.0 and games.most_lowered(payoff)[1, 0] == 2.0
    assert games.gap(payoff)[0, 2] == 2.0
    assert games.equilibria(payoff) == {(0, 2), (1, 1)}
    assert games.equilibria(payoff, tolerance=2.0) == {(0, 2), (1, 1), (1, 0), (1, 2)}


@many
@given(st.sampled_from([(2, 2), (2, 3), (3, 3), (4, 3), (4, 4)]).flatmap(games.integers))
def test_equilibria_against_the_best_responses_of_nashpy(payoff: Array) -> None:
    """Both directions, degenerate games included."""
    game = nashpy.Game(payoff, payoff)
    rows, columns = np.eye(payoff.shape[0]), np.eye(payoff.shape[1])
    theirs = {k for k in np.ndindex(payoff.shape) if all(game.is_best_response(rows[k[0]], columns[k[1]]))}
    assert games.equilibria(payoff) == theirs


@many
@given(st.sampled_from([(2, 2), (2, 3), (3, 3)]).flatmap(games.integers))
def test_equilibria_against_the_support_enumeration_of_nashpy(payoff: Array) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nashpy warns of degenerate games
        found = list(nashpy.Game(payoff, payoff).support_enumeration())
    pure = [pair for pair in found if all((strategy == 1).any() for strategy in pair)]
    assert games.equilibria(payoff) == {tuple(int(strategy.argmax()) for strategy in pair) for pair in pure}


@given(games.markov_games())
def test_values_of_a_markov_game_against_every_trajectory(game: MarkovTeamGame) -> None:
    policies = [game.policies(agent) for agent in range(2)]
    values = game.values()
    for i, j in {(0, 0), (len(policies[0]) - 1, 0), (len(policies[0]) // 2, len(policies[1]) - 1)}:
        for start, middle, end in np.ndindex(2, 2, 2):
            values[start, i, j] -= along(game, policies[0][i], policies[1][j], (start, middle, end))
        assert (values[:, i, j] == 0).all()


def along(game: MarkovTeamGame, first: Array, second: Array, states: tuple[int, int, int]) -> float:
    """Probability of a trajectory times its discounted return."""
    steps = [(t, states[t], first[t, states[t]], second[t, states[t]], states[t + 1]) for t in range(2)]
    probability = game.transition[steps[0]] * game.transition[steps[1]]
    return probability * (game.reward[steps[0]] + game.discount * game.reward[steps[1]])


# --- S1: equilibria of J_alpha are nearly equilibria of J ---------------------------------------


GameAt = tuple[TeamGame, float]


def holds_back(game: TeamGame, alpha: float, most_added: Array) -> bool:
    """Each NE of J_alpha is an epsilon-NE of J with (1 - alpha) epsilon = alpha max(`most_added`, 0)."""
    gain = (1 - alpha) * games.most_raised(game.payoff)
    epsilon = alpha * np.maximum(most_added, 0)
    return bool((gain <= epsilon)[games.is_equilibrium(game.augmented(alpha))].all())


@many
@given(all_games, alphas)
def test_s1_equilibria_of_the_augmented_game_are_nearly_equilibria(game: TeamGame, alpha: float) -> None:
    assert holds_back(game, alpha, games.most_raised(game.guidance))


S1_MUTATIONS = {
    "half of epsilon": lambda game: games.most_raised(game.guidance) / 2,
    "the most that G is lowered": lambda game: games.most_lowered(game.guidance),
    "no epsilon": lambda game: np.zeros_like(game.guidance),
}


@pytest.mark.parametrize("mutation", S1_MUTATIONS)
def test_s1_mutations_are_refuted(mutation: str) -> None:
    most_added = S1_MUTATIONS[mutation]
    refute(st.tuples(all_games, alphas), lambda example: holds_back(*example, most_added(example[0])))


# --- S2 and S4: which equilibria of J stay -----------------------------------------------------


def kept(game: TeamGame, alpha: float, condition: Mask) -> bool:
    """Each profile that meets `condition` is an NE of J_alpha."""
    return bool(games.is_equilibrium(game.augmented(alpha))[condition].all())


def cannot_lower(game: TeamGame) -> Mask:
    """S2: NE of J at which no agent alone can lower G."""
    return games.is_equilibrium(game.payoff) & (games.most_lowered(game.guidance) <= 0)


@many
@given(kept_games, alphas_and_one)
def test_s2_equilibria_at_which_no_agent_can_lower_guidance_are_kept(game: TeamGame, alpha: float) -> None:
    assert kept(game, alpha, cannot_lower(game))


@many
@given(games.linear_games(), alphas_and_one)
def test_s2_a_reference_that_describes_the_optimum_keeps_it(game: LinearGame, alpha: float) -> None:
    right = game.towards(best(game)).team
    assert cannot_lower(right)[best(game)]
    assert best(game) in games.equilibria(right.augmented(alpha))


def test_s2_condition_is_met_often() -> None:
    assert share(kept_games, lambda game: bool(cannot_lower(game).any())) > 0.5
    # And not only where guidance has nothing to say, or where every profile is an equilibrium.
    assert share(kept_games, lambda game: bool(cannot_lower(game).any() and not cannot_lower(game).all())) > 0.4


S2_MUTATIONS = {
    "an agent can lower G": lambda game: games.is_equilibrium(game.payoff),
    "no agent can raise G": lambda game: games.is_equilibrium(game.payoff) & (games.most_raised(game.guidance) <= 0),
    "no equilibrium of J": lambda game: games.most_lowered(game.guidance) <= 0,
}


@pytest.mark.parametrize("mutation", S2_MUTATIONS)
def test_s2_mutations_are_refuted(mutation: str) -> None:
    refute(st.tuples(kept_games, guided), lambda example: kept(*example, S2_MUTATIONS[mutation](example[0])))


def test_s2_other_equilibria_may_vanish_or_appear_though_the_optimum_is_described() -> None:
    example = st.tuples(right_references, guided)
    refute(example, lambda e: games.equilibria(e[0].payoff) <= games.equilibria(e[0].augmented(e[1])))
    refute(example, lambda e: games.equilibria(e[0].payoff) >= games.equilibria(e[0].augmented(e[1])))


def robust(game: TeamGame, alpha: float, most_lost: Array) -> Mask:
    """S4: strict NE of J whose gap, times (1 - alpha), exceeds alpha times `most_lost`."""
    gap = games.gap(game.payoff)
    return (gap > 0) & ((1 - alpha) * gap > alpha * most_lost)


@many
@given(robust_games, alphas_and_one)
def test_s4_strict_equilibria_with_a_large_gap_are_kept(game: TeamGame, alpha: float) -> None:
    assert kept(game, alpha, robust(game, alpha, games.most_lowered(game.guidance)))


def test_s4_condition_is_met_often() -> None:
    def met(example: GameAt) -> bool:
        """Where an agent can lower G, so that the gap has something to withstand (and S2 is silent)."""
        game, alpha = example
        lowered = games.most_lowered(game.guidance)
        return bool((robust(game, alpha, lowered) & (lowered > 0)).any())

    assert share(st.tuples(robust_games, guided), met) > 0.3


S4_MUTATIONS = {
    "a gap above 0": lambda game: np.zeros_like(game.guidance),
    "a gap above half of it": lambda game: games.most_lowered(game.guidance) / 2,
    "a gap above the most that G is raised": lambda game: games.most_raised(game.guidance),
}


@pytest.mark.parametrize("mutation", S4_MUTATIONS)
def test_s4_mutations_are_refuted(mutation: str) -> None:
    most_lost = S4_MUTATIONS[mutation]
    refute(st.tuples(robust_games, guided), lambda e: kept(*e, robust(*e, most_lost(e[0]))))


# --- S3: aligned guidance moves nothing --------------------------------------------------------


def moves_nothing(game: TeamGame, alpha: float) -> bool:
    """J and J_alpha have the same NE."""
    return games.equilibria(game.payoff) == games.equilibria(game.augmented(alpha))


def weakly_aligned(game: TeamGame) -> bool:
    """No deviation raises both J and G or lowers both, but one may leave J as it is and move G."""
    return bool((games.deviations(game.payoff) * games.deviations(game.guidance) <= 0).all())


@many
@given(games.aligned_games(), alphas_and_one)
def test_s3_aligned_guidance_moves_no_equilibrium(game: TeamGame, alpha: float) -> None:
    """theory.md says alpha < 1; the proof and this test cover alpha = 1 too."""
    assert game.aligned
    assert moves_nothing(game, alpha)


def test_s3_games_are_varied() -> None:
    """Alignment is wider than G = -f(J): profiles that no single deviation joins may be ordered otherwise."""

    def decreasing(game: TeamGame) -> bool:
        payoff, guidance = game.payoff.ravel(), game.guidance.ravel()
        pairs = np.sign(payoff[:, None] - payoff) == -np.sign(guidance[:, None] - guidance)
        return bool(pairs.all())

    assert share(games.aligned_games(), lambda game: not decreasing(game)) > 0.2
    assert share(games.aligned_games(), lambda game: not games.is_equilibrium(game.payoff).all()) > 0.8


def test_s3_without_alignment_is_refuted() -> None:
    refute(st.tuples(all_games, guided), lambda example: moves_nothing(*example))


def test_s3_with_weak_alignment_is_refuted() -> None:
    """Where J is tied, G decides: the sign condition must hold with equality too."""
    refute(st.tuples(all_games, guided), lambda example: not weakly_aligned(example[0]) or moves_nothing(*example))


def test_s3_with_alignment_at_the_equilibria_alone_is_refuted() -> None:
    def aligned_there(game: TeamGame) -> bool:
        there = games.is_equilibrium(game.payoff)
        return np.array_equal(
            np.sign(games.deviations(game.payoff))[:, there], -np.sign(games.deviations(game.guidance))[:, there]
        )

    two_by_two = games.integers([2, 2, 2], 2).map(lambda both: TeamGame(*both))
    refute(st.tuples(two_by_two, guided), lambda example: not aligned_there(example[0]) or moves_nothing(*example))


# --- the counterexamples of theory.md section 4 ------------------------------------------------


def test_a_wrong_reference_moves_the_equilibrium_at_fixed_alpha() -> None:
    """Two agents, two actions, J best at (1, 1), x~ describing (0, 0): all is lost above alpha = 2/3."""
    payoff = np.array([[0.0, 1.0], [1.0, 2.0]])
    z = np.array([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])
    wrong = LinearGame(payoff, np.zeros(2), tuple(z), reference=np.zeros(2), metric=np.ones(2))
    assert games.equilibria(wrong.team.payoff) == {(1, 1)}
    assert games.equilibria(wrong.team.augmented(10 / 16)) == {(1, 1)}
    assert games.equilibria(wrong.team.augmented(11 / 16)) == {(0, 0)}
    right = wrong.towards((1, 1)).team
    for alpha in np.linspace(0, 1, 17):
        assert games.equilibria(right.augmented(alpha)) == {(1, 1)}


def test_descent_alignment_is_not_enough_with_discrete_actions() -> None:
    """One agent, C = 1/2 (10 x1^2 + x2^2), x~ = 0, x(a1) = (1, 0), x(a2) = (0, 2)."""
    z, origin, price = np.array([[1.0, 0.0], [0.0, 2.0]]), np.zeros(2), np.array([10.0, 1.0])
    cost = games.distance(z, origin, price)
    unweighted = LinearGame(-cost, origin, (z,), reference=origin, metric=np.ones(2))
    assert unweighted.team.payoff.tolist() == [-5.0, -2.0] and unweighted.team.guidance.tolist() == [0.5, 2.0]
    # Descent on G descends on C, at both states (and at any other): the gradients form an acute angle.
    assert ((price * z) * z).sum(-1).tolist() == [10.0, 4.0]
    assert games.equilibria(unweighted.team.augmented(10 / 16)) == {(1,)}
    assert games.equilibria(unweighted.team.augmented(11 / 16)) == {(0,)}  # flips at 2/3
    np.testing.assert_allclose(*unweighted.team.augmented(2 / 3))
    right = replace(unweighted, metric=price).team
    assert right.aligned
    for alpha in np.linspace(0, 1, 17):
        assert games.equilibria(right.augmented(alpha)) == {(1,)}
