"""Shared and independent parameters: N stacked networks against N networks one by one."""

from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg.domain import Decision, Observation
from dgpg.domain.random import generator
from dgpg.domain.types import map_tensors
from dgpg.learning import TrainConfig
from dgpg.learning.actions import CATEGORICAL as categorical
from dgpg.learning.networks import Independent, LocalCritic, ScoringActor, Shared, values
from dgpg.learning.networks.sharing import StackedLinear, orthogonal
from dgpg.learning.rounds import Team
from dgpg.learning.update import PolicyBatch, Rows, ValueBatch, minibatches, update_policy, update_value

from ..guided import estimator

AGENTS, MOMENTS = 3, 10
CONFIG = TrainConfig(epochs=2, minibatches=3, entropy=0.01)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=generator(seed))


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32))
def test_orthogonal_matrices(count: int, rows: int, columns: int, seed: int) -> None:
    matrix = orthogonal(count, rows, columns, generator(seed))
    assert matrix.shape == (count, rows, columns)
    product = matrix.mT @ matrix if rows >= columns else matrix @ matrix.mT
    torch.testing.assert_close(product, torch.eye(min(rows, columns)).expand_as(product), atol=1e-5, rtol=0)


def test_a_stacked_layer_is_its_layers_one_by_one() -> None:
    layer = StackedLinear(AGENTS, 4, 5, 1.0, generator(0))
    layer.bias.data.normal_(generator=generator(1))
    x = normal(2, AGENTS, 7, 6, 4)
    for i in range(AGENTS):
        torch.testing.assert_close(layer(x)[i], x[i] @ layer.weight[i] + layer.bias[i, 0])


@given(st.integers(0, 2**32), st.sampled_from([Shared(), Independent(AGENTS)]))
def test_rows_come_back_where_they_were(seed: int, sharing: Shared | Independent) -> None:
    x, active = normal(seed, 2, 4, AGENTS, 5), torch.rand(2, 4, AGENTS, generator=generator(seed)) < 0.5
    rows = sharing.rows(x, active)
    assert torch.equal(sharing.spread(rows, active)[active], x[active])
    assert int(sharing.rows(active, active).sum()) == int(active.sum())


def copy_of(i: int, stacked: torch.nn.Module, alone: torch.nn.Module) -> None:
    """Give a network of its own the weights of agent i."""
    for name, parameter in stacked.named_parameters():
        own = parameter.detach()[i]
        alone.get_parameter(name).data.copy_(own.T if name.endswith("weight") else own.squeeze(0))


def same(i: int, stacked: torch.nn.Module, alone: torch.nn.Module) -> None:
    for name, parameter in stacked.named_parameters():
        own = parameter.detach()[i]
        own = own.T if name.endswith("weight") else own.squeeze(0)
        torch.testing.assert_close(alone.get_parameter(name).detach(), own, rtol=1e-4, atol=1e-5)


def test_logits_of_independent_agents_one_by_one() -> None:
    actor = ScoringActor(4, 5, 8, Independent(AGENTS), generator(0))
    mask = torch.rand(2, AGENTS, 6, generator=generator(3)) < 0.7
    seen = Observation(normal(1, 2, AGENTS, 4), normal(2, 2, AGENTS, 6, 5), mask, normal(3, 2, 7))
    for i in range(AGENTS):
        alone = ScoringActor(4, 5, 8, Shared(), generator(9))
        copy_of(i, actor, alone)
        expected = alone(*alone.features(seen.agent[:, i], seen.choices[:, i]))
        torch.testing.assert_close(actor.outputs(seen)[:, i], expected, rtol=1e-4, atol=1e-5)


def test_each_agent_learns_as_if_it_were_alone() -> None:
    """The whole update, clipping and minibatches included, against N updates of N networks."""
    stacked, draw = ScoringActor(3, 5, 8, Independent(AGENTS), generator(0)), generator(1)
    mask = torch.rand(AGENTS, MOMENTS, 4, generator=draw) < 0.6
    mask[:, ::4] = False
    logs = categorical.parameters(torch.randn(AGENTS, MOMENTS, 4, generator=draw), mask)
    size = torch.tensor([1e-3, 1.0, 1e3]).view(-1, 1)  # some agents' gradients are clipped, others' not
    batch = PolicyBatch(
        agent=torch.randn(AGENTS, MOMENTS, 3, generator=draw),
        choices=torch.randn(AGENTS, MOMENTS, 4, 5, generator=draw),
        mask=mask,
        rows=Rows(
            actions=categorical.sample(logs, torch.rand(AGENTS, MOMENTS, generator=draw)),
            policy=logs,
            advantage=size * torch.randn(AGENTS, MOMENTS, generator=draw),
            u=torch.randn(AGENTS, MOMENTS, 4, generator=draw),
            active=mask.any(-1),
        ),
    )
    # Not Adam: where no row of an agent falls into a minibatch it would go on by its momentum.
    others = []
    for i in range(AGENTS):
        alone = ScoringActor(3, 5, 8, Shared(), generator(9))
        copy_of(i, stacked, alone)
        others.append(alone)
    update_policy(
        Team(categorical, stacked),
        torch.optim.SGD(stacked.parameters(), 0.1),
        batch,
        estimator(categorical),
        0.3,
        CONFIG,
        generator(2),
    )
    for i, alone in enumerate(others):
        sgd = torch.optim.SGD(alone.parameters(), 0.1)
        for moments in minibatches(MOMENTS, CONFIG, generator(2)):
            kept = moments[batch.rows.active[i, moments]]
            part = map_tensors(lambda x: x[i, kept], batch)  # noqa: B023 (called at once)
            once = CONFIG.model_copy(update={"epochs": 1, "minibatches": 1})
            update_policy(Team(categorical, alone), sgd, part, estimator(categorical), 0.3, once, generator(0))
        same(i, stacked, alone)


def test_each_agent_s_critic_learns_as_if_it_were_alone() -> None:
    stacked, draw = LocalCritic(3, 4, 8, Independent(AGENTS), generator(0)), generator(1)
    shapes = ((AGENTS, MOMENTS, 7), (AGENTS, MOMENTS), (AGENTS, MOMENTS))
    batch = ValueBatch(*(torch.randn(*shape, generator=draw) for shape in shapes))
    others = []
    for i in range(AGENTS):
        alone = LocalCritic(3, 4, 8, Shared(), generator(9))
        copy_of(i, stacked, alone)
        others.append(alone)
    update_value(stacked, torch.optim.Adam(stacked.parameters(), 0.01), batch, CONFIG, generator(2))
    for i, alone in enumerate(others):
        part = ValueBatch(batch.features[i], batch.value[i], batch.target[i])
        update_value(alone, torch.optim.Adam(alone.parameters(), 0.01), part, CONFIG, generator(2))
        same(i, stacked, alone)


def test_values_have_the_shape_of_what_is_valued() -> None:
    seen = Observation(
        normal(1, 4, 2, AGENTS, 3), normal(2, 4, 2, AGENTS, 6, 4), torch.ones(4, 2, AGENTS, 6) > 0, normal(3, 4, 2, 7)
    )
    critic = LocalCritic(3, 4, 8, Independent(AGENTS), generator(0))
    got = values(critic, Decision(seen, {}))
    assert got.shape == (4, 2, AGENTS)
    features = critic.features(Decision(seen, {}))
    for i in range(AGENTS):
        alone = LocalCritic(3, 4, 8, Shared(), generator(9))
        copy_of(i, critic, alone)
        torch.testing.assert_close(got[..., i], alone(features[..., i, :]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["dg-pg", "mappo", "ippo", "ippo-local"])
def test_every_algorithm_runs_with_independent_parameters(toy: ModuleType, name: str) -> None:
    trainer = toy.trainer(name, parameters="independent")
    before = trainer.actor.score.weight.detach().clone()
    trainer.iterate()
    moved = (trainer.actor.score.weight.detach() - before).flatten(1).abs().amax(1)
    assert (moved > 0).all() and len(moved) == 4
