"""A trained policy as others call it: what it refuses, and what it serves."""

import itertools
from dataclasses import replace
from types import ModuleType

import pytest
import torch

from dgpg.domain import Decision
from dgpg.errors import ConfigError
from dgpg.measuring import NetworkPolicy


@pytest.mark.parametrize("toy_name", ["toy_box", "toy_simplex"])
def test_an_observation_of_other_agents_is_refused_before_noise_broadcasts(
    request: pytest.FixtureRequest, toy_name: str
) -> None:
    """Noise of all agents would stretch the policy of one to theirs."""
    trainer = request.getfixturevalue(toy_name).trainer("dg-pg")
    envs, count = trainer.task.env.num_envs, trainer.task.env.num_agents
    noise = torch.rand(envs, count, *trainer.kind.DRAWS)
    for mode, agents in itertools.product(("stochastic", "greedy"), (1, count - 1, count + 1)):
        policy = NetworkPolicy(trainer.team, mode)
        with pytest.raises(ConfigError, match=f"policy of {count} agents was given an observation of {agents} agent"):
            policy.act(of_agents(trainer.decision, agents), noise)
        assert policy.act(trainer.decision, noise).shape[:2] == (envs, count)


def test_a_shared_network_of_choices_serves_any_number_of_agents_with_noise_for_each(toy: ModuleType) -> None:
    trainer = toy.trainer("mappo")
    policy = NetworkPolicy(trainer.team, "stochastic")
    for agents in (1, 2, 9):
        decision, noise = of_agents(trainer.decision, agents), torch.rand(trainer.task.env.num_envs, agents)
        found = policy.act(decision, noise)
        assert found.shape == noise.shape
        alone = policy.act(of_agents(trainer.decision, 1), noise[:, :1])
        assert torch.equal(found[:, :1], alone)
        with pytest.raises(ConfigError, match=rf"noise of {agents + 1} agents .* observation of {agents};"):
            policy.act(decision, torch.rand(trainer.task.env.num_envs, agents + 1))


def of_agents(decision: Decision, count: int) -> Decision:
    """A moment of as many agents: the first of them, over and over where there are more."""
    seen, rows = decision.observation, torch.arange(count) % decision.observation.mask.shape[1]
    return replace(
        decision, observation=replace(seen, agent=seen.agent[:, rows], choices=seen.choices[:, rows],
                                      mask=seen.mask[:, rows]),
    )  # fmt: skip
