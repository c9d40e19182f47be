"""Rules that follow the model without learning."""

from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg.domain import Influence
from dgpg.errors import PluginError
from dgpg.learning.actions import Box, Simplex, kind_of
from dgpg.learning.rounds import MirrorDescent
from dgpg.measuring import BiggestFirst, DescendPotential, GreedyPotential
from dgpg.measuring.rules import announced_before, following

from ..learning.test_intents import BLOCKS, Delay, drawn


@given(st.integers(0, 2**32), st.integers(1, 2), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3))
def test_what_was_announced_before_by_hand(seed: int, envs: int, agents: int, choices: int, places: int) -> None:
    mapping, decision, _ = drawn(seed, envs, agents, choices, places)
    influence, active = mapping.known, decision.observation.active
    g = torch.Generator().manual_seed(seed)
    taken = torch.randint(choices, (envs, agents), generator=g)
    rank = torch.rand(envs, agents, generator=g).argsort(-1)
    found = announced_before(influence, taken, active, rank)
    expected = torch.zeros_like(found)
    for b in range(envs):
        for i in range(agents):
            state = torch.zeros(BLOCKS, 2, dtype=torch.float64)
            for j in range(agents):
                if rank[b, j] < rank[b, i] and active[b, j]:
                    k = int(taken[b, j])
                    state[influence.index[b, j, k]] += influence.value[b, j, k]
            expected[b, i] = state[influence.index[b, i]]
    torch.testing.assert_close(found, expected)


def in_turn(mapping: object, decision: object, agents: int) -> torch.Tensor:
    """Biggest first, one after the other, each seeing what those before it took."""
    influence: Influence = mapping.known  # type: ignore[attr-defined]
    seen, context = decision.observation, decision.context  # type: ignore[attr-defined]
    size = (influence.value.square().sum((-1, -2)).sqrt() * seen.mask).sum(-1) / seen.mask.sum(-1).clamp(min=1)
    actions = torch.zeros(len(size), agents, dtype=torch.int64)
    for b in range(len(size)):
        here = {name: value[b : b + 1] for name, value in context.items()}
        x = context["base"][b].clone()
        for i in sorted((i for i in range(agents) if seen.active[b, i]), key=lambda i: -float(size[b, i])):
            costs = []
            for k in range(seen.mask.shape[-1]):
                moved = x.clone()
                moved[influence.index[b, i, k]] += influence.value[b, i, k]
                costs.append(float(Delay().potential(moved[None], here)) if seen.mask[b, i, k] else float("inf"))
            actions[b, i] = k = int(torch.tensor(costs).argmin())
            x[influence.index[b, i, k]] += influence.value[b, i, k]
    return actions


@given(st.integers(0, 2**32), st.integers(1, 2), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3))
def test_after_as_many_rounds_as_agents_all_have_taken_turns(
    seed: int, envs: int, agents: int, choices: int, places: int
) -> None:
    mapping, decision, _ = drawn(seed, envs, agents, choices, places)
    found = BiggestFirst(Delay(), mapping, agents).act(decision, torch.zeros(envs, agents))
    active = decision.observation.active
    assert torch.equal(found[active], in_turn(mapping, decision, agents)[active])


def test_without_rounds_it_is_greedy(toy: ModuleType) -> None:
    decision = toy.Env(16, 3).reset()
    noise = torch.zeros(decision.observation.active.shape)
    greedy = GreedyPotential(toy.RouteCost(), toy.Routes())
    assert torch.equal(BiggestFirst(toy.RouteCost(), toy.Routes(), 0).act(decision, noise), greedy.act(decision, noise))
    assert greedy.information == "same" and BiggestFirst(toy.RouteCost(), toy.Routes(), 3).information == "sums"


@pytest.mark.parametrize("numbers", [None, 2])
def test_mirror_descent_by_hand(numbers: int | None) -> None:
    actor = MirrorDescent(4, 1, numbers)
    actor.keep.data.copy_(torch.tensor([1.0, 0.5]))
    actor.step.data.copy_(torch.tensor([2.0, 3.0]))
    actor.hearing.scale.copy_(torch.tensor([1.0, 1.0, 10.0, 1.0]))
    message = torch.tensor([[[[0.0, 0.0, 20.0, 4.0], [0.0, 0.0, -5.0, 0.0]]]])
    nothing, active = torch.zeros(0), torch.ones(1, 1, dtype=torch.bool)
    first, later = (actor.decode(nothing, message, active, turn).flatten().tolist() for turn in (0, 1))
    assert first == [4 + 2 * 2, 2 * -0.5] and later == [0.5 * 4 + 3 * 2, 3 * -0.5]
    assert actor.decode(nothing, message, active, 9).flatten().tolist() == later  # the last numbers go on


def test_descent_finds_the_best_joint_action_of_numbers(toy_box: ModuleType) -> None:
    """Against a grid of all joint actions of two agents that load one resource."""
    env = toy_box.Env(8, 3)
    decision = env.reset()
    kind = kind_of(env.action_space)
    assert isinstance(kind, Box)
    rule = DescendPotential(toy_box.Cost(), toy_box.Loads(), kind)
    actions = rule.act(decision, torch.full((8, 3, 2), 0.5))
    low, high = torch.tensor(toy_box.LOW), torch.tensor(toy_box.HIGH)
    assert ((actions >= low) & (actions <= high)).all() and rule.information == "more"
    found = toy_box.Cost().potential(toy_box.delivered(actions, decision.context), decision.context)
    drawn = low + (high - low) * torch.rand(20_000, 3, 2, generator=torch.Generator().manual_seed(0))
    for b in range(8):
        context = {name: x[b : b + 1].expand(len(drawn), *x.shape[1:]) for name, x in decision.context.items()}
        best = toy_box.Cost().potential(toy_box.delivered(drawn, context), context).min()
        assert float(found[b]) <= 1.005 * float(best)


def test_descent_finds_the_best_splits_of_what_is_allowed(toy_simplex: ModuleType) -> None:
    env = toy_simplex.Env(16, 3)
    decision = env.reset()
    kind, seen = kind_of(env.action_space), decision.observation
    assert isinstance(kind, Simplex)
    rule = following(toy_simplex.Cost(), toy_simplex.Loads(), kind)
    actions = rule.act(decision, torch.full(seen.mask.shape, 0.5))
    torch.testing.assert_close(actions.sum(-1), torch.ones(actions.shape[:2]))
    assert (actions[seen.active] * ~seen.mask[seen.active] == 0).all()

    def phi(splits: Tensor) -> Tensor:
        return toy_simplex.Cost().potential(  # type: ignore[no-any-return]
            toy_simplex.Loads().state(splits, decision.context), decision.context
        )

    chance = torch.Generator().manual_seed(0)
    drawn = torch.stack([phi(kind.anything(seen, chance)) for _ in range(3000)])
    assert (phi(actions) <= drawn.min(0).values + 1e-3).all()


def test_a_mapping_for_the_other_kind_of_action_is_told(toy: ModuleType, toy_box: ModuleType) -> None:
    box = kind_of(toy_box.Env(2).action_space)
    with pytest.raises(PluginError, match=r"state\(actions, context\)"):
        following(toy_box.Cost(), toy.Routes(), box)
    with pytest.raises(PluginError, match="base_state and influence"):
        following(toy.RouteCost(), toy_box.Loads(), kind_of(toy.Env(2).action_space))
