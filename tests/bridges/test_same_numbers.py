"""What crosses a bridge is what the domain's own batched environment says, bit for bit, over the ends of episodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from dgpg.bridges.actions import any_where_idle
from dgpg.bridges.gym import JointEnv, Logits, VectorEnv
from dgpg.bridges.pettingzoo import ParallelEnv
from dgpg.bridges.sb3 import AgentsVecEnv, JointVecEnv
from dgpg.domain import Simplex

from .. import toy, toy_box, toy_simplex
from . import same

STEPS = 9
EVERY = pytest.mark.parametrize("case", ["cloud", "power", "traffic", *same.TOYS])
few = settings(max_examples=3)
seeds = given(seed=st.integers(0, 2**40))
sizes = given(seed=st.integers(0, 2**40), num_envs=st.integers(1, 3))


def of(case: str) -> tuple[Any, Any]:
    return same.domain_of(case, {"toy": toy, "toy_box": toy_box, "toy_simplex": toy_simplex})


@EVERY
@few
@sizes
def test_vector_env(case: str, seed: int, num_envs: int) -> None:
    domain, config = of(case)
    env = VectorEnv(domain, config, num_envs)
    found, _ = env.reset(seed=seed)
    for moment in same.play(domain, config, num_envs, seed, STEPS):
        assert same.same(found, moment.before) and env.observation_space.contains(found)
        found, reward, terminated, truncated, info = env.step(moment.own)
        assert reward.dtype == np.float64 and np.array_equal(reward, moment.step.reward.numpy())
        assert np.array_equal(terminated, moment.step.terminated) and np.array_equal(truncated, moment.step.truncated)
        assert not info["not_allowed"].any()
        assert all(np.array_equal(info["measures"][name], x.numpy()) for name, x in moment.step.measures.items())
        for b in np.flatnonzero(terminated | truncated):
            assert same.same(info["final_obs"][b], moment.step.final.observation, int(b))


@EVERY
@few
@seeds
def test_joint_env_goes_from_episode_to_episode(case: str, seed: int) -> None:
    domain, config = of(case)
    env = JointEnv(domain, config, seed)
    found, _ = env.reset()
    for moment in same.play(domain, config, 1, seed, STEPS):
        assert same.same(found, moment.before, 0)
        found, reward, terminated, truncated, _ = env.step(moment.own[0])
        assert reward == float(moment.step.reward)
        assert (terminated, truncated) == (bool(moment.step.terminated), bool(moment.step.truncated))
        if terminated or truncated:
            assert same.same(found, moment.step.final.observation, 0)
            found, _ = env.reset()


@EVERY
@few
@sizes
def test_joint_vec_env(case: str, seed: int, num_envs: int) -> None:
    domain, config = of(case)
    env = JointVecEnv(domain, config, num_envs)
    env.seed(seed)
    found = env.reset()
    for moment in same.play(domain, config, num_envs, seed, STEPS):
        assert same.same(found, moment.before)
        found, reward, done, infos = env.step(moment.given)
        assert reward.dtype == np.float32 and np.array_equal(reward, moment.step.reward.numpy())
        assert np.array_equal(done, (moment.step.terminated | moment.step.truncated).numpy())
        for b in np.flatnonzero(done):
            assert infos[b]["TimeLimit.truncated"] == bool(moment.step.truncated[b])
            assert same.same(infos[b]["terminal_observation"], moment.step.final.observation, int(b))


@EVERY
@few
@sizes
def test_agents_vec_env(case: str, seed: int, num_envs: int) -> None:
    domain, config = of(case)
    env = AgentsVecEnv(domain, config, num_envs, seed)
    found, agents = env.reset(), env.num_envs // num_envs
    for moment in same.play(domain, config, num_envs, seed, STEPS):
        wanted = _vectors(moment.before)
        assert np.array_equal(found, wanted.reshape(env.num_envs, -1))
        assert all(env.observation_space.contains(row) for row in found)
        found, reward, done, infos = env.step(moment.given.reshape(env.num_envs, *env.action_space.shape))
        assert np.array_equal(reward, moment.step.reward.numpy().repeat(agents))
        assert np.array_equal(done, (moment.step.terminated | moment.step.truncated).numpy().repeat(agents))
        for row in np.flatnonzero(done):
            b, i = divmod(int(row), agents)
            assert np.array_equal(infos[row]["terminal_observation"], _vectors(moment.step.final.observation)[b, i])


@EVERY
@few
@seeds
def test_parallel_env(case: str, seed: int) -> None:
    domain, config = of(case)
    env = ParallelEnv(domain, config)
    splits = isinstance(domain.make_env(config, 1, env._batch.device, 0).action_space, Simplex)
    found, infos = env.reset(seed=seed)
    for moment in same.play(domain, config, 1, seed, STEPS):
        _agents_see(env, found, infos, moment.before)
        given = moment.given if splits else moment.own
        found, reward, terminated, truncated, infos = env.step(dict(zip(env.agents, given[0], strict=True)))
        assert set(reward.values()) == {float(moment.step.reward)}
        assert set(terminated.values()) == {bool(moment.step.terminated)}
        assert set(truncated.values()) == {bool(moment.step.truncated)}
        if moment.step.local_reward is not None:
            told = [infos[agent]["local_reward"] for agent in env.possible_agents]
            assert told == moment.step.local_reward[0].tolist()
        if not env.agents:
            _agents_see(env, found, infos, moment.step.final.observation)
            found, infos = env.reset()


def _agents_see(env: ParallelEnv, found: dict[str, Any], infos: dict[str, Any], wanted: Any) -> None:
    assert np.array_equal(env.state(), wanted.central[0].numpy()) and env.state_space.contains(env.state())
    masks = any_where_idle(wanted.mask)[0].numpy()
    for i, agent in enumerate(env.possible_agents):
        mine, space = found[agent], env.observation_space(agent)
        assert space.contains(mine)
        if isinstance(space, spaces.Dict):
            assert mine["action_mask"].dtype == np.int8 and np.array_equal(mine["action_mask"], masks[i])
            mine = mine["observation"]
        assert np.array_equal(mine, _vectors(wanted)[0, i])
        assert np.array_equal(infos[agent]["allowed"], wanted.mask[0, i].numpy())
        assert infos[agent]["active"] == bool(wanted.mask[0, i].any())


def _vectors(observation: Any) -> np.ndarray:
    """[B, N, F + K C], in numpy."""
    agent, choices = observation.agent.numpy(), observation.choices.numpy()
    return np.concatenate([agent, choices.reshape(*agent.shape[:2], -1)], -1)


@few
@seeds
def test_logits(seed: int) -> None:
    domain, config = of("grid")
    env = Logits(JointEnv(domain, config, seed))
    env.reset()
    for moment in same.play(domain, config, 1, seed, 2):
        assert env.step(moment.given[0])[1] == pytest.approx(float(moment.step.reward), rel=1e-6)
