"""Domains as Gymnasium environments, by Gymnasium's own checker and spaces."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from dgpg.bridges import JointEnv, VectorEnv
from dgpg.domain import load_domain


@pytest.fixture
def small():
    domain = load_domain("cloud")
    return domain, domain.Config(num_agents=4, horizon=5)


def test_joint_env_passes_gymnasiums_checker(small):
    check_env(JointEnv(*small), skip_render_check=True)


def test_vector_env_gives_arrays_of_its_spaces_and_the_final_observation(small):
    env = VectorEnv(*small, num_envs=3)
    seen, info = env.reset(seed=7)
    assert env.observation_space.contains(seen) and info == {}
    env.action_space.seed(0)
    for t in range(5):
        seen, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(seen)
        assert reward.shape == (3,) and not terminated.any()
        assert truncated.all() == (t == 4)
    assert info["_final_obs"].all()
    assert all(env.single_observation_space.contains(one) for one in info["final_obs"])


def test_vector_env_equals_single_envs_seeded_one_apart(small):
    batch = VectorEnv(*small, num_envs=3)
    seen, _ = batch.reset(seed=11)
    singles = [JointEnv(*small) for _ in range(3)]
    alone = [env.reset(seed=11 + b)[0] for b, env in enumerate(singles)]
    batch.action_space.seed(1)
    for _ in range(4):
        for b in range(3):
            assert all(np.array_equal(seen[name][b], alone[b][name]) for name in seen)
        action = batch.action_space.sample()
        seen, reward, *_ = batch.step(action)
        for b, env in enumerate(singles):
            alone[b], one, *_ = env.step(action[b])
            assert one == pytest.approx(reward[b])


def test_gymnasiums_vector_wrappers_work(small):
    env = RecordEpisodeStatistics(VectorEnv(*small, num_envs=2))
    env.reset(seed=0)
    for _ in range(5):
        *_, info = env.step(env.action_space.sample())
    assert np.isfinite(info["episode"]["r"]).all() and (info["episode"]["l"] == 5).all()


def test_splits_are_taken_too(toy_simplex):
    check_env(JointEnv(toy_simplex.Domain()), skip_render_check=True)


def test_seeds_as_a_list_are_refused_with_what_to_do(small):
    with pytest.raises(ValueError, match="one number"):
        VectorEnv(*small, num_envs=2).reset(seed=[1, 2])


def test_no_field_is_empty_and_two_unseeded_environments_are_no_twins():
    env, other = (JointEnv("power", {"network": "case9"}) for _ in range(2))
    assert set(env.observation_space.spaces) == {"agent", "mask", "central"}
    assert not np.array_equal(env.reset()[0]["agent"], other.reset()[0]["agent"])
