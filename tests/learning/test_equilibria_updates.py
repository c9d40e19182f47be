"""The statements S5 to S7 of docs/theory.md section 4: guidance that leaves equilibria or the update alone."""

from collections.abc import Sequence

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg.learning import advantage
from dgpg.learning.actions import CATEGORICAL as categorical
from dgpg.testing import games
from dgpg.testing.games import Array, MarkovTeamGame, TeamGame

from ..guided import policy_loss
from ..statements import all_games, guided, many, refute, share

# --- S5: potential-based shaping of Markov team games ------------------------------------------

potentials = games.integers([3, 2])
"""Phi_t(s), t = 0, 1 and the end."""
zero_at_the_end = potentials.map(lambda phi: np.concatenate([phi[:-1], np.zeros([1, 2])]))


def same_policies(game: MarkovTeamGame, other: MarkovTeamGame) -> bool:
    """The two games have the same NE, as whole policies, from every start."""
    pairs = zip(game.values(), other.values(), strict=True)
    return all(games.equilibria(mine) == games.equilibria(theirs) for mine, theirs in pairs)


def shaping_keeps(game: MarkovTeamGame, potential: Array) -> bool:
    return same_policies(game, game.shaped(potential))


@many
@given(games.markov_games(), zero_at_the_end)
def test_s5_shaping_keeps_every_equilibrium_of_the_markov_game(game: MarkovTeamGame, potential: Array) -> None:
    assert shaping_keeps(game, potential)
    # More: every joint policy is worth what it was, less a number that the start alone decides.
    assert np.array_equal(game.shaped(potential).values(), game.values() - potential[0].reshape(2, 1, 1))


def test_s5_games_have_something_to_lose() -> None:
    def decided(example: tuple[MarkovTeamGame, Array]) -> bool:
        """Not every joint policy is an equilibrium, and the potential varies."""
        game, potential = example
        return not games.is_equilibrium(game.values()[0]).all() and bool(np.ptp(potential) > 0)

    assert share(st.tuples(games.markov_games(), zero_at_the_end), decided) > 0.3


def test_s5_with_a_potential_at_the_end_is_refuted() -> None:
    refute(st.tuples(games.markov_games(), potentials), lambda example: shaping_keeps(*example))


def test_s5_with_a_dense_penalty_is_refuted() -> None:
    """The same potential taken off the reward, -phi(s'), instead of its discounted difference."""

    def penalty_keeps(game: MarkovTeamGame, potential: Array) -> bool:
        return same_policies(game, game.penalised(np.abs(potential[1:]).reshape(2, 1, 1, 1, 2)))

    refute(st.tuples(games.markov_games(), potentials), lambda example: penalty_keeps(*example))


def test_s5_with_the_state_that_the_action_produced_is_refuted() -> None:
    """Phi_t = -phi(x_t) with x_t the state *after* a_t: the sum telescopes to -Phi_0, which a_0 decides."""

    def keeps(game: MarkovTeamGame, potential: Array) -> bool:
        # sum_t gamma^t (gamma Phi(x_{t+1}) - Phi(x_t)) = -Phi(x_0), Phi zero at the end.
        sum_of_differences = np.stack([potential, np.zeros_like(potential)])[..., None]
        return same_policies(game, game.penalised(sum_of_differences))

    refute(st.tuples(games.markov_games(), games.integers([2, 2, 2])), lambda example: keeps(*example))


# --- S6: control variates ----------------------------------------------------------------------


Policy = list[Array]
"""pi_i(k), one array an agent."""


def policies(shape: Sequence[int]) -> st.SearchStrategy[Policy]:
    """Probabilities in eighths, so that expectations are exact too; some choices may be impossible."""

    def of_cuts(cuts: list[int]) -> Array:
        return np.diff([0, *sorted(cuts), 8]) / 8

    return st.tuples(*(st.lists(st.integers(0, 8), min_size=k - 1, max_size=k - 1).map(of_cuts) for k in shape)).map(
        list
    )


def expected_gradient(policy: Policy, agent: int, weight: Array) -> Array:
    """E[grad log pi_i(a_i) weight(a)] with respect to agent i's logits, over all joint actions."""
    joint = np.ones([len(p) for p in policy])
    for i, p in enumerate(policy):
        joint = joint * p.reshape([-1 if i == axis else 1 for axis in range(len(policy))])
    taken = np.moveaxis(joint * weight, agent, 0).reshape(len(policy[agent]), -1).sum(1)
    return taken - policy[agent] * taken.sum()  # grad log pi(a) = 1[a = k] - pi(k)


Baselined = tuple[Array, Policy, list[Array]]


def baselined(shape: Sequence[int]) -> st.SearchStrategy[Baselined]:
    """J, a product policy, and for each agent a b_i that may look at all actions."""
    baselines = st.tuples(*(games.integers(shape) for _ in shape)).map(list)
    return st.tuples(games.integers(shape), policies(shape), baselines)


def unbiased(payoff: Array, policy: Policy, baselines: list[Array]) -> bool:
    """Whether taking b_i off the shared return leaves each agent's expected gradient as it was."""
    pairs = (
        (expected_gradient(policy, i, payoff - b), expected_gradient(policy, i, payoff))
        for i, b in enumerate(baselines)
    )
    return all(np.array_equal(with_baseline, without) for with_baseline, without in pairs)


@many
@given(games.shapes().flatmap(baselined))
def test_s6_a_baseline_of_the_others_actions_leaves_the_gradient_unbiased(example: Baselined) -> None:
    payoff, policy, baselines = example
    # b_i at one action of agent i, for all of them: it no longer depends on a_i.
    assert unbiased(payoff, policy, [b.take([0], axis=i) for i, b in enumerate(baselines)])


def test_s6_with_a_baseline_of_the_agents_own_action_is_refuted() -> None:
    refute(games.shapes().flatmap(baselined), lambda example: unbiased(*example))


@given(games.shapes().flatmap(baselined))
def test_the_expected_gradient_is_that_of_autograd(example: Baselined) -> None:
    payoff, policy, _ = example
    softened = [(8 * p + 1) / (8 + len(p)) for p in policy]  # autograd needs the logits of every choice
    logits = [torch.tensor(p).log().requires_grad_() for p in softened]
    value = torch.from_numpy(payoff)
    for of_agent in logits:  # sums out the first axis that is left
        value = torch.tensordot(of_agent.softmax(-1), value, 1)
    for i, gradient in enumerate(torch.autograd.grad(value, logits)):
        np.testing.assert_allclose(gradient, expected_gradient(softened, i, payoff), atol=1e-12)


# --- S7: at alpha = 0 the update is the unguided one --------------------------------------------


ROWS, CHOICES = 4, 3
Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def tensors(*shape: int) -> st.SearchStrategy[Tensor]:
    return games.integers(shape).map(lambda x: torch.from_numpy(x) / 7)  # sevenths: rounded like any number


batches: st.SearchStrategy[Batch] = st.tuples(
    tensors(ROWS, CHOICES),  # logits
    tensors(ROWS, CHOICES),  # logits when the action was drawn
    games.naturals([ROWS], CHOICES).map(lambda x: torch.from_numpy(x).long() - 1),  # actions
    tensors(ROWS),  # advantage
    tensors(ROWS, CHOICES),  # u
)


def loss_and_gradient(batch: Batch, alpha: float, u: Tensor | None) -> tuple[Tensor, Tensor]:
    logits, logits_old, actions, of_action, _ = batch
    logits = logits.clone().requires_grad_()
    logs, logs_old = logits.log_softmax(-1), logits_old.log_softmax(-1)
    loss = policy_loss(categorical, logs, logs_old, actions, of_action, u, alpha, clip=0.2)
    return loss, torch.autograd.grad(loss.sum(), logits)[0]


def same_update(batch: Batch, alpha: float) -> bool:
    """Loss, gradient and mixed advantage at alpha, number for number those without guidance."""
    _, _, actions, of_action, u = batch
    pairs = zip(loss_and_gradient(batch, alpha, u), loss_and_gradient(batch, alpha, None), strict=True)
    mixed = advantage.mix(of_action, categorical.log_prob(u, actions), alpha)
    return all(torch.equal(*pair) for pair in pairs) and torch.equal(mixed, of_action)


@many
@given(batches, all_games)
def test_s7_without_weight_the_update_is_the_unguided_one(batch: Batch, game: TeamGame) -> None:
    assert same_update(batch, 0.0)
    assert np.array_equal(game.augmented(0.0), game.payoff)


def test_s7_with_weight_is_refuted() -> None:
    refute(st.tuples(batches, guided), lambda example: same_update(*example))
    refute(
        st.tuples(all_games, guided),
        lambda example: np.array_equal(example[0].augmented(example[1]), example[0].payoff),
    )
