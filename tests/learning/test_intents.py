"""What agents hear of each other, against sums over agents one by one."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg.domain import Context, CostModel, Decision, Influence, Observation
from dgpg.domain.random import generator
from dgpg.learning import actions
from dgpg.learning.actions import CATEGORICAL as categorical
from dgpg.learning.rounds.intents import FLOOR, ChoiceIntents, intents_of, overlap

BLOCKS, WIDTH = 4, 2


class Delay(CostModel):
    """Neither quadratic nor a sum over the coordinates of a block."""

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return context["price"].gather(-1, index) * (0.3 * block.sum(-1)).exp() + block[..., 0] ** 4


class Whole:
    """The same potential, which does not say that it is a sum over blocks."""

    def potential(self, state: Tensor, context: Context) -> Tensor:
        return Delay().potential(state, context)


class Given:
    """A mapping whose influence is drawn."""

    def __init__(self, influence: Influence) -> None:
        self.known = influence

    def base_state(self, context: Context) -> Tensor:
        return context["base"]

    def influence(self, observation: Observation, context: Context) -> Influence:
        return self.known


def drawn(seed: int, envs: int, agents: int, choices: int, places: int) -> tuple[Given, Decision, Tensor]:
    """Choices may share blocks; the places of one choice are distinct, as an influence must have them."""
    g = generator(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g, dtype=torch.float64)

    order = torch.rand(envs, agents, choices, BLOCKS, generator=g).argsort(-1)
    influence = Influence(order[..., :places], normal(envs, agents, choices, places, WIDTH).abs())
    mask = torch.rand(envs, agents, choices, generator=g) < 0.7
    empty = torch.zeros(envs, agents, 0, dtype=torch.float64)
    observation = Observation(empty, empty.unsqueeze(2).expand(-1, -1, choices, -1), mask, empty[:, 0])
    context = {"base": normal(envs, BLOCKS, WIDTH).abs(), "price": normal(envs, BLOCKS).abs()}
    logs = categorical.parameters(normal(envs, agents, choices), mask)
    return Given(influence), Decision(observation, context), logs


def added(influence: Influence, weight: Tensor, b: int, agents: list[int]) -> tuple[Tensor, Tensor]:
    """What some agents add on average to each block, and how many they are, place by place."""
    state, count = torch.zeros(BLOCKS, WIDTH, dtype=torch.float64), torch.zeros(BLOCKS, dtype=torch.float64)
    for i in agents:
        for k in range(weight.shape[2]):
            for p in range(influence.index.shape[-1]):
                g = int(influence.index[b, i, k, p])
                state[g] += weight[b, i, k] * influence.value[b, i, k, p]
                count[g] += weight[b, i, k]
    return state, count


sizes = (st.integers(0, 2**32), st.integers(1, 2), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3))


@given(*sizes)
def test_messages_are_sums_without_the_own_part(seed: int, envs: int, agents: int, choices: int, places: int) -> None:
    mapping, decision, logs = drawn(seed, envs, agents, choices, places)
    seen, influence = decision.observation, mapping.known
    intents = ChoiceIntents.of(Delay(), mapping, decision)
    totals = intents.totals(logs)
    message = intents.message(totals, logs)
    assert message.shape == (envs, agents, choices, intents.size) and intents.said == choices * places * (WIDTH + 1)
    weight = logs.exp() * seen.active.unsqueeze(-1)
    for b in range(envs):
        state, count = added(influence, weight, b, list(range(agents)))
        torch.testing.assert_close(totals[b], torch.cat([state, count.unsqueeze(-1)], -1))
        for i in range(agents):
            others, number = added(influence, weight, b, [j for j in range(agents) if j != i])
            cost = torch.zeros(choices, dtype=torch.float64)
            for k in range(choices):
                at = influence.index[b, i, k]
                heard = torch.cat([others[at], number[at].unsqueeze(-1)], -1)
                if seen.mask[b, i, k]:
                    torch.testing.assert_close(message[b, i, k, :-3], heard.flatten())
                x = decision.context["base"][b] + others
                moved = x.clone()
                moved[at] += influence.value[b, i, k]
                here = {name: value[b : b + 1] for name, value in decision.context.items()}
                cost[k] = Delay().potential(moved[None], here) - Delay().potential(x[None], here)
            allowed = seen.mask[b, i]
            if allowed.any():
                torch.testing.assert_close(message[b, i, allowed, -2], cost[allowed].mean() - cost[allowed])
                torch.testing.assert_close(message[b, i, allowed, -3], logs[b, i, allowed].exp())
                torch.testing.assert_close(message[b, i, allowed, -1], logs[b, i, allowed].clamp(min=FLOOR))
            assert (message[b, i, ~allowed] == 0).all()


def test_before_anyone_speaks_the_model_is_asked_about_the_state_found() -> None:
    mapping, decision, logs = drawn(3, 2, 3, 4, 2)
    intents = ChoiceIntents.of(Delay(), mapping, decision)
    silence = intents.silence()
    assert (silence[..., :-2] == 0).all() and (silence[..., -1] == 0).all() and silence[..., -2].any()
    nobody = replace(decision.observation, mask=torch.zeros_like(decision.observation.mask))
    idle = ChoiceIntents.of(Delay(), mapping, Decision(nobody, decision.context))
    assert (idle.totals(logs) == 0).all() and (idle.message(idle.totals(logs), logs) == 0).all()


def test_a_potential_that_is_no_sum_is_asked_for_its_gradient() -> None:
    mapping, decision, logs = drawn(4, 1, 3, 3, 1)
    intents = ChoiceIntents.of(Whole(), mapping, decision)
    totals = intents.totals(logs)
    x = (decision.context["base"] + totals[..., :-1]).requires_grad_()
    (gradient,) = torch.autograd.grad(Delay().potential(x, decision.context).sum(), x)
    cost = (gradient[0, mapping.known.index[0]] * mapping.known.value[0]).sum((-1, -2))
    mask = decision.observation.mask[0]
    mean = (cost * mask).sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)
    torch.testing.assert_close(intents.message(totals, logs)[0, ..., -2], (mean - cost) * mask)


@pytest.mark.parametrize("model", [Delay(), Whole()], ids=["sum", "whole"])
def test_the_gradient_flows_through_messages_of_choices(model: Any) -> None:
    mapping, decision, _ = drawn(5, 1, 3, 3, 2)
    intents = ChoiceIntents.of(model, mapping, decision)

    def heard(logits: Tensor) -> Tensor:
        logs = categorical.parameters(logits, decision.observation.mask)
        return intents.message(intents.totals(logs), logs)

    logits = torch.randn(1, 3, 3, generator=generator(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(heard, logits)


@pytest.mark.parametrize("name", ["toy_box", "toy_simplex"])
def test_continuous_agents_hear_the_slope_at_the_state_announced(name: str, request: pytest.FixtureRequest) -> None:
    toy: ModuleType = request.getfixturevalue(name)
    env = toy.Env(3, seed=2)
    kind, decision, mapping = actions.kind_of(env.action_space, "mean"), env.reset(), toy.Loads()
    actor = actions.make_actor(env, kind, "shared", 8, 0)
    actor.last.weight.data *= 100  # announcements far from the start
    seen = decision.observation
    policy = kind.parameters(actor.outputs(seen), seen.mask)
    intents = intents_of(kind, toy.Cost(), mapping, decision)
    message = intents.message(intents.totals(policy), policy)
    taken = kind.to_env(kind.greedy(policy)).detach().requires_grad_()
    cost = toy.Cost().potential(mapping.state(taken, decision.context), decision.context).sum()
    (slope,) = torch.autograd.grad(cost, taken)
    share, u, _ = kind.heard(kind.greedy(policy), taken, slope)
    torch.testing.assert_close(message[..., 0], share * seen.active.unsqueeze(-1))
    torch.testing.assert_close(message[..., 1], u * seen.active.unsqueeze(-1))
    assert message[..., 1].any() and (message[~seen.active] == 0).all() and message.shape[-1] == intents.size
    assert (intents.silence() == 0).all() and intents.silence().shape == message.shape
    assert intents.said == taken.shape[-1]
    again = (kind.greedy(policy), kind.to_env(kind.greedy(policy)))
    assert message.requires_grad and all(x.requires_grad for x in again)
    with torch.no_grad():
        assert not intents.message(intents.totals(policy), policy).requires_grad


def test_descent_of_numbers_is_in_shares_of_their_range(toy_box: ModuleType) -> None:
    kind = actions.kind_of(toy_box.Env(1).action_space, "mean")
    slope, share = torch.ones(1, 3, 2), torch.full((1, 3, 2), 0.25)
    told, u, stand = kind.heard(share, kind.to_env(share), slope)
    span = torch.tensor(toy_box.HIGH) - torch.tensor(toy_box.LOW)
    torch.testing.assert_close(u[0], -span)
    assert torch.equal(told, share)
    torch.testing.assert_close(stand, torch.full((1, 3, 2), 0.25).logit())


def test_descent_of_splits_is_the_natural_gradient(toy_simplex: ModuleType) -> None:
    kind = actions.kind_of(toy_simplex.Env(1).action_space, "mean")
    logits = torch.tensor([[0.5, -torch.inf, 0.1]])
    split = torch.tensor([[0.6, 0.0, 0.4]])
    told, u, stand = kind.heard(logits, split, torch.tensor([[1.0, 9.0, 3.0]]))
    torch.testing.assert_close(u, torch.tensor([[0.8, 0.0, -1.2]]))  # the mean slope is 1.8
    torch.testing.assert_close(stand, torch.tensor([[0.5, 0.0, 0.1]]))
    assert torch.equal(told, split)


def test_blocks_that_choices_share_are_found() -> None:
    apart, shared = torch.tensor([[[[0], [1]]]]), torch.tensor([[[[0], [0]]]])
    assert overlap(apart) is None and overlap(apart.expand(5, -1, -1, -1)) is None
    assert overlap(shared).tolist() == [[[[True, True], [True, True]]]]  # type: ignore[union-attr]
    assert overlap(shared.expand(3, -1, -1, -1)).shape == (3, 1, 2, 2)  # type: ignore[union-attr]
