"""Step 1: the policy in the environments."""

from types import ModuleType

import pytest
import torch

from dgpg.domain import Decision, Step, Streams
from dgpg.domain.random import generator
from dgpg.learning import Trajectory
from dgpg.learning.actions import CATEGORICAL as categorical
from dgpg.learning.networks import ScoringActor, Shared
from dgpg.learning.rollout import collect
from dgpg.learning.rounds import Team

STEPS = 7


@pytest.fixture(scope="module")
def actor(toy: ModuleType) -> ScoringActor:
    shapes = [toy.Env().observation_space[name].shape[-1] for name in ("agent", "choices")]
    actor = ScoringActor(*shapes, 8, Shared(), generator(0))
    actor.score.weight.data *= 100  # a policy far from uniform
    return actor


def run(toy: ModuleType, actor: ScoringActor, num_envs: int, seed: int) -> tuple[Trajectory, Decision, list[Step]]:
    env, steps = toy.Env(num_envs, seed), []
    step = env.step
    env.step = lambda actions: steps.append(step(actions)) or steps[-1]
    noise = Streams(seed, num_envs).uniform(STEPS, 4)
    return *collect(env, Team(categorical, actor), env.reset(), noise), steps


def test_what_is_recorded_is_what_happened(toy: ModuleType, actor: ScoringActor) -> None:
    trajectory, decision, steps = run(toy, actor, 5, 1)
    observation = trajectory.decision.observation
    for t, step in enumerate(steps):
        assert torch.equal(trajectory.reward[t], step.reward)
        assert torch.equal(trajectory.state[t], step.state)
        assert torch.equal(trajectory.terminated[t], step.terminated)
        assert torch.equal(trajectory.done[t], step.terminated | step.truncated)
        assert torch.equal(trajectory.local_reward[t], step.local_reward)
        assert (t in trajectory.finals) == bool(trajectory.done[t].any())
        if t in trajectory.finals:
            assert trajectory.finals[t] is step.final
        if t + 1 < STEPS:
            assert torch.equal(observation.mask[t + 1], step.decision.observation.mask)
            assert torch.equal(trajectory.decision.context["prior"][t + 1], step.decision.context["prior"])
    assert decision is steps[-1].decision and trajectory.last is decision
    # The toy was seen in every situation: true ends, cuts, agents without a choice.
    done = trajectory.done
    assert trajectory.terminated.any() and (done & ~trajectory.terminated).any() and not observation.active.all()


def test_actions_are_drawn_from_the_recorded_policy(toy: ModuleType, actor: ScoringActor) -> None:
    trajectory, _, _ = run(toy, actor, 5, 1)
    observation, noise = trajectory.decision.observation, Streams(1, 5).uniform(STEPS, 4)
    for t in range(STEPS):
        logits = actor(*actor.features(observation.agent[t], observation.choices[t]))
        active = observation.active[t].unsqueeze(-1)
        logs = categorical.parameters(logits * active, observation.mask[t])
        torch.testing.assert_close(trajectory.policy[t], logs)
        assert torch.equal(trajectory.actions[t], categorical.sample(trajectory.policy[t], noise[:, t]))
    taken = observation.mask.gather(-1, trajectory.actions.unsqueeze(-1)).squeeze(-1)
    assert torch.equal(taken, observation.active)
    assert not trajectory.policy.requires_grad


def test_an_environment_fares_the_same_alone(toy: ModuleType, actor: ScoringActor) -> None:
    together, _, _ = run(toy, actor, 3, 10)
    for b in range(3):
        alone, _, _ = run(toy, actor, 1, 10 + b)
        assert torch.equal(alone.actions[:, 0], together.actions[:, b])
        assert torch.equal(alone.done[:, 0], together.done[:, b])
        torch.testing.assert_close(alone.reward[:, 0], together.reward[:, b])
