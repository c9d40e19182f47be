"""The bias of each estimator, on linear games that can be enumerated."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg.domain import Context, DistanceModel, Influence
from dgpg.learning import advantage
from dgpg.learning.actions import CATEGORICAL as categorical
from dgpg.learning.guidance import linear_potential, marginal_potential, unexpected
from dgpg.learning.losses import clipped_all_action, clipped_policy
from dgpg.testing import games
from dgpg.testing.games import LinearGame

from ..statements import many, refute, share


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
