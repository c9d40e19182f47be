"""Small team games that can be enumerated, and hypothesis strategies that draw them.

They make the statements S1 to S7 of docs/theory.md section 4 checkable. All drawn numbers are small
integers or dyadic fractions, so sums, products and comparisons are exact in float64: a tie is a
tie, no tolerance decides what an equilibrium is, and a failing example shrinks to a readable one.

Axis i of an array over joint actions is agent i, or agent i's whole policy in a Markov game.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Labels = NDArray[np.int64]
Profile = tuple[int, ...]
"""One choice of each agent."""


# --- unilateral deviations ---------------------------------------------------------------------


def deviations(values: Array) -> Array:
    """Delta_i of every unilateral deviation from every profile, `[D, *values.shape]`.

    D = sum_i (K_i - 1). Rows of two arrays of one shape are the same deviations in the same order.
    """
    shifts = [(agent, shift) for agent, choices in enumerate(values.shape) for shift in range(1, choices)]
    return np.stack([np.roll(values, -shift, axis=agent) - values for agent, shift in shifts])


def most_raised(values: Array) -> Array:
    """The most that one agent alone can raise `values`, for each profile; negative if each move lowers them."""
    most: Array = deviations(values).max(0)
    return most


def most_lowered(values: Array) -> Array:
    """The most that one agent alone can lower `values`, for each profile; negative if each move raises them."""
    return most_raised(-values)


def gap(payoff: Array) -> Array:
    """What the best deviation loses, for each profile: positive at a strict Nash equilibrium."""
    return -most_raised(payoff)


def is_equilibrium(payoff: Array, tolerance: float = 0.0) -> Mask:
    """True at each pure profile from which no agent alone gains more than `tolerance`."""
    return most_raised(payoff) <= tolerance


def equilibria(payoff: Array, tolerance: float = 0.0) -> frozenset[Profile]:
    """The pure epsilon-Nash equilibria of the team game in which all are paid `payoff`."""
    return frozenset(tuple(int(k) for k in row) for row in np.argwhere(is_equilibrium(payoff, tolerance)))


# --- games -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TeamGame:
    """Agents that are all paid J, and a guidance functional G that they are to lower."""

    payoff: Array
    """J(a), one axis an agent."""
    guidance: Array
    """G(a), of the same shape."""

    def augmented(self, alpha: float) -> Array:
        """J_alpha = (1 - alpha) J - alpha G."""
        return (1 - alpha) * self.payoff - alpha * self.guidance

    @property
    def aligned(self) -> bool:
        """Whether sign(Delta_i J) = -sign(Delta_i G) for every unilateral deviation (S3)."""
        return bool((np.sign(deviations(self.payoff)) == -np.sign(deviations(self.guidance))).all())


def distance(state: Array, reference: Array, metric: Array) -> Array:
    """phi = 1/2 (x - x~)^T W (x - x~) of states `[..., d]`, W = diag(`metric`)."""
    phi: Array = 0.5 * (metric * (state - reference) ** 2).sum(-1)
    return phi


@dataclass(frozen=True, eq=False)
class LinearGame:
    """A one-step game whose guidance is the distance of x = x_0 + sum_i z_i(a_i) to x~."""

    payoff: Array
    """J(a), one axis an agent."""
    base: Array
    """x_0, `[d]`."""
    influence: tuple[Array, ...]
    """z_i, `[K_i, d]` for each agent."""
    reference: Array
    """x~, `[d]`."""
    metric: Array
    """Diagonal of W, positive, `[d]`."""

    @property
    def states(self) -> Array:
        """x(a), `[*K, d]`."""
        return linear_states(self.base, self.influence)

    @property
    def team(self) -> TeamGame:
        """The game with G(a) = phi(x(a))."""
        return TeamGame(self.payoff, distance(self.states, self.reference, self.metric))

    def towards(self, profile: Profile) -> LinearGame:
        """The same game with a reference that describes `profile`: x~ = x(a)."""
        return replace(self, reference=self.states[profile])


def linear_states(base: Array, influence: Sequence[Array]) -> Array:
    """x(a) = x_0 + sum_i z_i(a_i), `[*K, d]`."""
    state = base
    for agent, z in enumerate(influence):
        axes = [1] * len(influence)
        axes[agent] = len(z)
        state = state + z.reshape(*axes, -1)
    return state


@dataclass(frozen=True, eq=False)
class MarkovTeamGame:
    """A team game of T steps with S states; an agent's pure strategy is a whole deterministic policy.

    A policy maps what the agent sees at (t, s) to an action: `STATIONARY` agents see the state,
    `TIMED` ones the state and the step, `CLOCK` ones the step alone, `BLIND` ones nothing.
    """

    reward: Array
    """r_t(s, a, s'), `[T, S, *K, S]`."""
    transition: Array
    """P_t(s' | s, a), `[T, S, *K, S]`."""
    discount: float
    """gamma."""
    sees: tuple[Labels, ...]
    """What each agent tells apart: labels 0, 1, ... of (t, s), `[T, S]`."""

    def policies(self, agent: int) -> Labels:
        """Every deterministic policy of an agent, as the action at (t, s), `[P, T, S]`."""
        choices, labels = self.reward.shape[2 + agent], int(self.sees[agent].max()) + 1
        table = np.array(list(product(range(choices), repeat=labels)), dtype=np.int64)
        return table[:, self.sees[agent]]

    def values(self) -> Array:
        """J of every joint policy from every start, by exact recursion, `[S, P_1, ..., P_N]`."""
        steps, states = self.reward.shape[:2]
        policies = [self.policies(agent) for agent in range(len(self.sees))]
        value = np.zeros([len(policy) for policy in policies] + [states])
        for t in reversed(range(steps)):
            taken = [np.ix_(*(policy[:, t, s] for policy in policies)) for s in range(states)]
            step = [self.reward[t, s][taken[s]] + self.discount * value for s in range(states)]
            value = np.stack([(self.transition[t, s][taken[s]] * step[s]).sum(-1) for s in range(states)], -1)
        return np.moveaxis(value, -1, 0)

    def shaped(self, potential: Array) -> MarkovTeamGame:
        """With F_t = gamma Phi_{t+1}(s') - Phi_t(s) added to the reward (S5).

        Args:
            potential: Phi_t(s) of the state *before* a_t is drawn, `[T + 1, S]`. The last row is that
                of the terminal state; S5 needs it to be zero.
        """
        between = (1,) * len(self.sees)
        before = potential[:-1].reshape(*potential[:-1].shape, *between, 1)
        after = potential[1:].reshape(len(potential) - 1, 1, *between, -1)
        return replace(self, reward=self.reward + self.discount * after - before)

    def penalised(self, penalty: Array) -> MarkovTeamGame:
        """With a dense penalty phi_t(s, a, s'), `[T, S, *K, S]` or broadcast to it, taken off the reward."""
        return replace(self, reward=self.reward - penalty)

    def team(self, penalty: Array, start: int) -> TeamGame:
        """The game over whole policies from one start, G = expected discounted sum of `penalty`."""
        unpaid = replace(self, reward=np.zeros_like(self.reward))
        return TeamGame(self.values()[start], -unpaid.penalised(penalty).values()[start])


STATIONARY = np.array([[0, 1], [0, 1]])
TIMED = np.array([[0, 1], [2, 3]])
CLOCK = np.array([[0, 0], [1, 1]])
BLIND = np.array([[0, 0], [0, 0]])


# --- strategies --------------------------------------------------------------------------------

MOST_JOINT_ACTIONS = 36
SHAPES = sorted(
    (shape for agents in (2, 3, 4) for shape in product((2, 3, 4), repeat=agents) if prod(shape) <= MOST_JOINT_ACTIONS),
    key=prod,
)
"""Two to four agents of two to four choices each, as far as enumeration stays cheap; small ones first."""


def integers(shape: Sequence[int], limit: int = 8) -> st.SearchStrategy[Array]:
    """Arrays of at most 128 integers in [-limit, limit] as float64, from one draw of bytes: they shrink to zeros."""
    size = prod(shape)

    def decode(data: bytes) -> Array:
        code = np.frombuffer(data, np.uint8)[:size].astype(np.int64) % (2 * limit + 1)  # 0, 1, -1, 2, -2, ...
        return np.where(code % 2 == 1, (code + 1) // 2, -(code // 2)).astype(np.float64).reshape(shape)

    # Always as many bytes: a draw that does not fit an example which hypothesis mutates becomes all zeros.
    return st.binary(min_size=128, max_size=128).map(decode)


def naturals(shape: Sequence[int], limit: int) -> st.SearchStrategy[Array]:
    """Arrays of integers in [1, limit] as float64."""
    return integers(shape, limit - 1).map(lambda x: np.abs(x) + 1)


def shapes() -> st.SearchStrategy[tuple[int, ...]]:
    """Numbers of choices, one an agent."""
    return st.sampled_from(SHAPES)


def alphas() -> st.SearchStrategy[float]:
    """Weights of guidance on a grid of sixteenths, 0 included and 1 not."""
    return st.integers(0, 15).map(lambda k: k / 16)


def team_games() -> st.SearchStrategy[TeamGame]:
    """J and G drawn apart from each other."""
    return shapes().flatmap(lambda shape: integers([2, *shape])).map(lambda both: TeamGame(both[0], both[1]))


@st.composite
def aligned_games(draw: st.DrawFn) -> TeamGame:
    """Games that meet S3's condition: G falls where J rises, deviation by deviation.

    G starts as a random decreasing function of J. Single profiles are then moved where that keeps
    the game aligned, so in general G is no function of J.
    """
    payoff = draw(shapes().flatmap(integers))
    levels, rank = np.unique(payoff, return_inverse=True)
    game = TeamGame(payoff, -np.cumsum(draw(naturals([len(levels)], 6)))[rank].reshape(payoff.shape))
    moves = st.tuples(st.integers(0, payoff.size - 1), st.integers(-12, 12))
    for at, shift in draw(st.lists(moves, max_size=12)):
        guidance = game.guidance.copy()
        guidance.flat[at] += shift
        moved = TeamGame(payoff, guidance)
        game = moved if moved.aligned else game
    return game


@st.composite
def strict_games(draw: st.DrawFn, drawn: st.SearchStrategy[TeamGame]) -> TeamGame:
    """The games `drawn` with J raised at one profile: a strict equilibrium, its gap between 1 and 24 (S4)."""
    game = draw(drawn)
    payoff = game.payoff.copy()
    at = draw(st.integers(0, payoff.size - 1))
    payoff.flat[at] += most_raised(payoff).flat[at] + draw(st.integers(1, 24))
    return TeamGame(payoff, game.guidance)


@st.composite
def linear_games(draw: st.DrawFn) -> LinearGame:
    """Random mappings, references and metrics; J is arbitrary or minus a distance of its own."""
    shape, d = draw(shapes()), draw(st.integers(1, 3))
    base, *z = draw(integers([1 + sum(shape), d], 2))
    influence = tuple(np.split(np.array(z), np.cumsum(shape)[:-1]))
    (reference, other), (metric, price) = draw(integers([2, d], 4)), draw(naturals([2, d], 4))
    cost = distance(linear_states(base, influence), other, price)
    return LinearGame(draw(st.one_of(st.just(-cost), integers(shape))), base, influence, reference, metric)


@st.composite
def markov_games(draw: st.DrawFn) -> MarkovTeamGame:
    """Two agents, two actions, two states, two steps; probabilities are quarters."""
    seen = st.sampled_from([STATIONARY, TIMED, CLOCK, BLIND])
    numbers = draw(integers([2, 2, 2, 2, 3], 4))
    stay = np.abs(numbers[..., 2]) / 4
    return MarkovTeamGame(
        reward=numbers[..., :2],
        transition=np.stack([stay, 1 - stay], -1),
        discount=draw(st.sampled_from([1.0, 0.5, 0.75])),
        sees=(draw(seen), draw(seen)),
    )


def policy_games() -> st.SearchStrategy[TeamGame]:
    """Team games over the policies of a Markov game, G the discounted sum of phi(s, a, s') >= 0."""
    penalty = integers([2, 2, 2, 2, 2], 4).map(np.abs)
    return st.builds(MarkovTeamGame.team, markov_games(), penalty, st.integers(0, 1))
