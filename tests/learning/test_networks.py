"""Actor and critics."""

import math
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg.domain import Decision, Observation
from dgpg.domain.random import generator
from dgpg.learning.networks import (
    ByParts,
    CentralCritic,
    LocalCritic,
    MlpActor,
    ScoringActor,
    Shared,
    make_block_critic,
    mlp,
)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=generator(seed))


def standardised(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 7), (7, 3), (5, 5)])
def test_linear_is_orthogonal_with_zero_bias(inputs: int, outputs: int) -> None:
    layer = Shared().layer(inputs, outputs, 1.5, generator(0))
    weight = layer.weight.detach()
    product = weight @ weight.T if outputs <= inputs else weight.T @ weight
    torch.testing.assert_close(product, 1.5**2 * torch.eye(min(inputs, outputs)), atol=1e-5, rtol=0)
    assert (layer.bias == 0).all()


def test_mlp_against_matrices() -> None:
    net, x = mlp([4, 6, 5, 1], 1.0, Shared(), generator(0)), normal(1, 3, 4)
    one, two, three = (module for module in net if isinstance(module, torch.nn.Linear))
    hidden = standardised(x)
    for layer in (one, two):
        hidden = (hidden @ layer.weight.T + layer.bias).clamp(min=0)
    torch.testing.assert_close(net(x), hidden @ three.weight.T + three.bias)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, again, other = (ScoringActor(3, 4, 8, Shared(), generator(seed)) for seed in (1, 1, 2))
    for one, two in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(first.middle.weight, other.middle.weight)


def test_building_a_network_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    ScoringActor(3, 4, 8, Shared(), generator(1))
    CentralCritic(5, 8, generator(1))
    LocalCritic(3, 4, 8, Shared(), generator(1))
    assert torch.equal(before, torch.random.get_rng_state())


def test_actor_is_an_mlp_of_agent_and_choice_features_together() -> None:
    actor, seen = ScoringActor(4, 5, 8, Shared(), generator(0)), observation()
    logits = actor.outputs(seen)
    weight = torch.cat([actor.agent_in.weight, actor.choice_in.weight], 1)
    bias = actor.agent_in.bias + actor.choice_in.bias
    for k in range(6):
        features = torch.cat([standardised(seen.agent), standardised(seen.choices[..., k, :])], -1)
        hidden = actor.middle(torch.relu(features @ weight.T + bias)).clamp(min=0)
        torch.testing.assert_close(logits[..., k], actor.score(hidden).squeeze(-1))


def test_an_mlp_actor_takes_all_choices_in_their_order_as_they_are() -> None:
    actor, seen = MlpActor(4 + 6 * 5, 6, 2, 8, Shared(), generator(0)), observation()
    x = torch.cat([seen.agent, *seen.choices.unbind(-2)], -1)
    for layer in (actor.layers[0], actor.layers[2]):
        x = (x @ layer.weight.T + layer.bias).clamp(min=0)
    torch.testing.assert_close(actor.outputs(seen), (x @ actor.last.weight.T).view(*seen.mask.shape, 2))
    swapped = replace(seen, choices=seen.choices.flip(-2))
    assert not torch.allclose(actor.outputs(swapped), actor.outputs(seen).flip(-2), atol=1e-4)


def test_an_agent_with_nothing_to_decide_is_not_scored() -> None:
    actor, seen = ScoringActor(4, 5, 8, Shared(), generator(0)), observation()
    mask = torch.rand(2, 3, 6, generator=generator(4)) < 0.5
    mask[0, 1] = mask[1, 2] = False
    got, every = actor.outputs(replace(seen, mask=mask)), actor.outputs(seen)
    idle = torch.tensor([[False, True, False], [False, False, True]])
    assert (got[idle] == 0).all()
    torch.testing.assert_close(got[~idle], every[~idle])
    assert (actor.outputs(replace(seen, mask=torch.zeros_like(mask))) == 0).all()


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 6))
def test_actor_follows_a_renumbering_of_agents_and_choices(seed: int, agents: int, choices: int) -> None:
    actor, draw = ScoringActor(3, 4, 8, Shared(), generator(0)), generator(seed)
    agent, choice = (
        torch.randn(2, agents, 3, generator=draw),
        torch.randn(2, agents, choices, 4, generator=draw),
    )
    order_i, order_k = torch.randperm(agents, generator=draw), torch.randperm(choices, generator=draw)
    logits = actor(agent[:, order_i], choice[:, order_i][:, :, order_k])
    torch.testing.assert_close(logits, actor(agent, choice)[:, order_i][:, :, order_k])


def test_a_new_policy_is_nearly_uniform() -> None:
    logits = ScoringActor(6, 6, 32, Shared(), generator(0))(normal(1, 50, 6), normal(2, 50, 10, 6))
    probability = logits.softmax(-1)
    assert (probability * 10 - 1).abs().max() < 0.15


def observation(batch: int = 2) -> Observation:
    return Observation(
        agent=normal(1, batch, 3, 4),
        choices=normal(2, batch, 3, 6, 5),
        mask=torch.ones(batch, 3, 6, dtype=torch.bool),
        central=normal(3, batch, 7),
    )


def test_central_critic_gives_one_value_an_environment() -> None:
    critic, moment = CentralCritic(7, 8, generator(0)), Decision(observation(), {})
    assert critic(critic.features(moment)).shape == (2,)
    assert critic.features(moment) is moment.observation.central


def test_local_critic_sees_the_agent_and_the_mean_of_its_choices() -> None:
    critic, seen = LocalCritic(4, 5, 8, Shared(), generator(0)), observation()
    features = critic.features(Decision(seen, {}))
    assert features.shape == (2, 3, 9) and critic(features).shape == (2, 3)
    assert torch.equal(features[..., :4], seen.agent)
    torch.testing.assert_close(features[..., 4:], sum(seen.choices.unbind(2)) / 6)


def test_the_critic_of_blocks_is_a_sum_over_them(toy: ModuleType) -> None:
    """Of the toy's routes by hand: whatever their order, and each heard once."""
    trainer = toy.trainer("mappo-blocks")
    mapping, decision = trainer.task.mapping, trainer.decision
    critic = make_block_critic(mapping, decision, 8, 0)
    features = critic.features(decision)
    prior, slopes = decision.context["prior"], torch.tensor(toy.SLOPES)
    torch.testing.assert_close(features, torch.stack([prior, slopes.expand_as(prior), slopes * prior], -1))
    alone = sum(critic(features[:, g : g + 1]) for g in range(features.shape[1]))
    torch.testing.assert_close(critic(features), alone / features.shape[1] ** 0.5)
    torch.testing.assert_close(critic(features.flip(1)), critic(features))


def test_gain_of_hidden_layers_keeps_the_scale() -> None:
    x = normal(0, 2000, 64)
    hidden = torch.relu(Shared().layer(64, 64, math.sqrt(2), generator(1))(x))
    assert hidden.square().mean().item() == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("inputs", [5, 17, 35])
@pytest.mark.parametrize("outputs", [1, 32])
def test_rows_by_parts_are_those_of_each_part_alone(inputs: int, outputs: int) -> None:
    layer, sizes = torch.nn.Linear(inputs, outputs), [1, 0, 2, 3, 40, 7, 201]
    rows = torch.randn(sum(sizes), 3, inputs, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), ByParts(sizes):
        found = layer(rows)
    with torch.no_grad():
        alone = torch.cat([layer(part.clone()) for part in rows.split(sizes)])
        whole = layer(rows)
    assert torch.equal(found, alone)
    torch.testing.assert_close(found, whole)
