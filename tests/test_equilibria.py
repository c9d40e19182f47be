"""The statements S1 to S7 of docs/theory.md section 4, and the bias of each estimator, on games that can be enumerated.

Each statement is a function that says whether it holds of one game. A property asserts it wherever
its condition is met; next to it, mutations drop or change the condition and must be refuted. Games
are exact in float64 (dgpg.testing.games), so S1 to S6 are compared without a tolerance.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import nashpy
import numpy as np
import pytest
import torch
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from torch import Tensor

from dgpg import advantage
from dgpg.actions import categorical
from dgpg.guidance import linear_potential, marginal_potential, unexpected
from dgpg.losses import clipped_all_action, clipped_policy
from dgpg.models import DistanceModel
from dgpg.testing import games
from dgpg.testing.games import Array, LinearGame, MarkovTeamGame, Mask, TeamGame
from dgpg.types import Context, Influence

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


def test_refute_fails_where_there_is_nothing_to_find() -> None:
    with pytest.raises(NoSuchExample):
        refute(st.integers(0, 3), lambda k: k >= 0)


# --- what is drawn -----------------------------------------------------------------------------


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
    loss = categorical.policy_loss(logs, logs_old, actions, of_action, u, alpha, clip=0.2)
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


# --- the real estimators on linear games -------------------------------------------------------


class Distance(DistanceModel):
    """phi of a linear game: each of its d coordinates is a block."""

    def __init__(self, game: LinearGame) -> None:
        super().__init__()
        self.metric = torch.from_numpy(game.metric).unsqueeze(-1)

    def reference(self, context: Context) -> Tensor:
        return context["reference"]

    def weight(self) -> Tensor:
        return self.metric


class Enumerated:
    """A linear game as the framework sees it: one environment for each joint action."""

    def __init__(self, game: LinearGame) -> None:
        shape, d = game.payoff.shape, len(game.base)
        self.model = Distance(game)
        self.mask = torch.arange(max(shape)) < torch.tensor(shape).unsqueeze(-1)
        self.z = torch.zeros(len(shape), max(shape), d, dtype=torch.float64)
        for z, of_agent in zip(self.z, game.influence, strict=True):
            z[: len(of_agent)] = torch.from_numpy(of_agent)
        self.actions = torch.cartesian_prod(*(torch.arange(k) for k in shape)).view(-1, len(shape))
        many = len(self.actions)
        index = torch.arange(d).expand(many, *self.mask.shape, d)
        self.influence = Influence(index, self.z.unsqueeze(-1).expand(many, *self.z.shape, 1))
        self.state = torch.from_numpy(game.states.reshape(many, d, 1))
        self.context = {"reference": torch.from_numpy(game.reference).view(1, d, 1).expand(many, -1, -1)}
        self.active = torch.ones_like(self.actions, dtype=torch.bool)
        self.guidance = torch.from_numpy(game.team.guidance).flatten()
        self.payoff = torch.from_numpy(game.payoff).flatten()
        self.base = torch.from_numpy(game.base).view(1, d, 1).expand(many, -1, -1)

    @property
    def exact(self) -> Tensor:
        """phi_i(k) of every joint action, `[M, N, K]`."""
        return marginal_potential(self.model, self.state, self.context, self.influence, self.actions, self.active)

    @property
    def linear(self) -> Tensor:
        return linear_potential(self.model, self.state, self.context, self.influence)

    def explained(self, probability: Tensor) -> Tensor:
        """What the model explains of -phi(x), agent i's own choice and all, `[M, N, K]`."""
        rest = unexpected(self.model, self.state, self.base, self.context, self.influence, probability)
        return -rest.view(-1, 1, 1).expand_as(probability)

    def baseline(self, probability: Tensor) -> Tensor:
        """b_i(a_-i) of `control_variate`: the same with agent i's own choice left out."""
        own = categorical.log_prob(advantage.centre(self.exact, probability), self.actions)
        return self.explained(probability) - own.unsqueeze(-1)

    def gradients(self, logits: Tensor) -> dict[str, Tensor]:
        """grad G by enumeration, what each estimator expects of it, and what `first_order` counts too much."""
        logits = logits.detach().requires_grad_()
        logs = categorical.parameters(logits, self.mask).expand(len(self.actions), -1, -1)
        probability, old = logs.exp().detach(), logs.detach().flatten(0, 1)
        at = self.actions.flatten()
        joint = categorical.log_prob(logs, self.actions).sum(-1).exp()
        # The losses are linear in the advantage: what each row counts can go there.
        weight = joint.detach()[:, None, None]
        u = (weight * advantage.centre(self.exact, probability)).flatten(0, 1)
        u_linear = (weight * -self.linear).flatten(0, 1)
        rows = logs.flatten(0, 1)

        def sampled(signal: Tensor) -> Tensor:
            taken = (categorical.log_prob(x, at) for x in (rows, old, signal))
            return clipped_policy(*taken, clip=0.2).sum()

        def without(baseline: Tensor) -> Tensor:
            return sampled((weight * (self.payoff[:, None, None] - baseline)).flatten(0, 1))

        size = (self.model.metric.squeeze(-1) * self.z.square()).sum(-1)
        expressions = {
            "true": (joint * self.guidance).sum(),
            "all_action": clipped_all_action(rows, old, u, clip=0.2).sum(),
            "exact": sampled(u),
            "first_order": sampled(u_linear),
            "return": -(joint * self.payoff).sum(),
            "control_variate": without(self.baseline(probability)),
            "own choice in it": without(self.explained(probability)),
            "bias": 0.5 * (logs[0].exp() * size).sum(),  # 1/2 sum_i sum_k pi_i(k) ||z_i(k)||_W^2
        }
        return {
            name: torch.autograd.grad(expression, logits, retain_graph=True)[0]
            for name, expression in expressions.items()
        }


def logits_of(game: LinearGame) -> st.SearchStrategy[Tensor]:
    shape = game.payoff.shape
    return games.integers([len(shape), max(shape)]).map(lambda x: torch.from_numpy(x) / 4)


def with_logits(drawn: st.SearchStrategy[LinearGame]) -> st.SearchStrategy[tuple[LinearGame, Tensor]]:
    return drawn.flatmap(lambda game: st.tuples(st.just(game), logits_of(game)))


def of_one_size(game: LinearGame) -> LinearGame:
    """The same game, but all choices of agent i have ||z_i(k)||_W = i + 1: plus and minus along each axis."""
    axes = np.concatenate([np.eye(len(game.base)), -np.eye(len(game.base))]) / np.sqrt(game.metric)
    influence = tuple((i + 1) * np.resize(axes, (len(z), len(game.base))) for i, z in enumerate(game.influence))
    return replace(game, influence=influence)


linear = with_logits(games.linear_games())
one_size = with_logits(games.linear_games().map(of_one_size))


def close(got: Tensor, expected: Tensor) -> bool:
    return torch.allclose(got, expected, rtol=1e-9, atol=1e-9)


@many
@given(linear)
def test_exact_and_all_action_are_unbiased_and_first_order_is_as_biased_as_stated(
    example: tuple[LinearGame, Tensor],
) -> None:
    """first_order counts an agent's own effect as ||z||_W^2 where half of it is true."""
    game, logits = example
    gradient = Enumerated(game).gradients(logits)
    assert close(gradient["all_action"], gradient["true"])
    assert close(gradient["exact"], gradient["true"])
    assert close(gradient["first_order"], gradient["true"] + gradient["bias"])


@many
@given(linear)
def test_s6_holds_of_the_control_variate_of_the_framework(example: tuple[LinearGame, Tensor]) -> None:
    game, logits = example
    gradient = Enumerated(game).gradients(logits)
    assert close(gradient["control_variate"], gradient["return"])


def test_s6_with_the_agents_own_choice_in_the_control_variate_is_refuted() -> None:
    def unbiased(game: LinearGame, logits: Tensor) -> bool:
        gradient = Enumerated(game).gradients(logits)
        return close(gradient["own choice in it"], gradient["return"])

    refute(linear, lambda example: unbiased(*example))


def first_order_is_unbiased(game: LinearGame, logits: Tensor) -> bool:
    gradient = Enumerated(game).gradients(logits)
    return close(gradient["first_order"], gradient["true"])


@many
@given(one_size)
def test_first_order_is_unbiased_where_the_choices_of_an_agent_have_one_size(
    example: tuple[LinearGame, Tensor],
) -> None:
    assert first_order_is_unbiased(*example)


def test_first_order_with_choices_of_several_sizes_is_refuted() -> None:
    refute(linear, lambda example: first_order_is_unbiased(*example))


def test_gradients_have_something_to_show() -> None:
    def moves(example: tuple[LinearGame, Tensor]) -> bool:
        game, logits = example
        gradient = Enumerated(game).gradients(logits)
        return all(bool((gradient[name].abs() > 0.01).any()) for name in ("true", "bias"))

    assert share(linear, moves) > 0.8
    assert share(one_size, lambda example: bool(np.ptp(example[0].team.guidance) > 0)) > 0.8


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


def test_first_order_flips_a_ranking() -> None:
    """A job of size 1, x~ = 0, servers of (rate 1, backlog 0) and (rate 2, backlog 0.8); x is work / rate."""
    z, base, rate = np.array([[1.0, 0.0], [0.0, 0.5]]), np.array([0.0, 0.4]), np.array([1.0, 2.0])
    game = LinearGame(np.zeros(2), base, (z,), reference=np.zeros(2), metric=rate)
    seen = Enumerated(game)
    exact = seen.exact[:, 0]  # the same whichever server the job is on
    torch.testing.assert_close(exact, torch.tensor([[0.50, 0.65]] * 2, dtype=torch.float64))
    first_order = seen.linear[:, 0].diagonal()  # only the choice that was taken is ever scored
    torch.testing.assert_close(first_order, torch.tensor([1.0, 0.9], dtype=torch.float64))
    assert games.equilibria(-exact[0].numpy()) == games.equilibria(-game.team.guidance) == {(0,)}
    assert games.equilibria(-first_order.numpy()) == {(1,)}
