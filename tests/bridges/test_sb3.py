"""Domains in Stable-Baselines3: every domain trains, masks are followed, and what a batch cannot do is said."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from dgpg.bridges import JointEnv
from dgpg.bridges.gym import Logits
from dgpg.bridges.sb3 import AgentsVecEnv, JointVecEnv
from dgpg.errors import ActionError

from . import same

QUICK: dict[str, Any] = {"n_steps": 8, "batch_size": 16, "n_epochs": 1, "seed": 0, "device": "cpu"}


@pytest.mark.parametrize("case", ["cloud", "power", "traffic"])
def test_every_domain_trains(case: str) -> None:
    name, settings = same.CASES[case]
    joint = JointVecEnv(name, settings, num_envs=2)
    PPO("MultiInputPolicy", joint, **QUICK).learn(16)
    rows = VecMonitor(AgentsVecEnv(name, settings, num_envs=2))
    model = PPO("MlpPolicy", rows, **QUICK).learn(8 * rows.num_envs)
    assert np.isfinite([episode["r"] for episode in model.ep_info_buffer]).all() and model.ep_info_buffer


def test_environments_of_gymnasium_train_too() -> None:
    """SB3 failed on the empty features of continuous choices: "cannot reshape array of size 0"."""
    power = gymnasium.wrappers.RescaleAction(JointEnv(*same.CASES["power"], seed=0), np.float32(-1), np.float32(1))
    PPO("MultiInputPolicy", power, **QUICK | {"batch_size": 8}).learn(16)
    PPO("MultiInputPolicy", Logits(JointEnv(*same.CASES["traffic"], seed=0)), **QUICK | {"batch_size": 8}).learn(16)


@pytest.mark.parametrize("make", [JointVecEnv, AgentsVecEnv])
def test_maskable_ppo_does_nothing_that_is_not_allowed(make: Any) -> None:
    env = make("cloud", {"num_agents": 5, "horizon": 8}, num_envs=2, seed=0)
    policy = "MultiInputPolicy" if make is JointVecEnv else "MlpPolicy"
    model = MaskablePPO(policy, env, **QUICK).learn(8 * env.num_envs)
    assert is_masking_supported(env)
    seen, wrong, free = env.reset(), 0, 0
    for _ in range(20):
        acts, _ = model.predict(seen, action_masks=get_action_masks(env))
        seen, _, _, infos = env.step(acts)
        wrong += sum(info["not_allowed"] for info in infos)
    for _ in range(20):
        acts, _ = model.predict(seen)
        seen, _, _, infos = env.step(acts)
        free += sum(info["not_allowed"] for info in infos)
    assert wrong == 0 < free


def test_masks_are_in_the_order_of_the_choices() -> None:
    env, alone = JointVecEnv("cloud", {"num_agents": 3}, seed=5), JointEnv("cloud", {"num_agents": 3}, seed=5)
    seen, _ = alone.reset()
    env.reset()
    mask = seen["mask"].astype(bool) | ~seen["mask"].any(-1, keepdims=True)
    assert np.array_equal(env.action_masks()[0], mask.reshape(-1)) and env.action_masks().dtype == bool
    assert np.array_equal(alone.action_masks(), mask.reshape(-1))
    rows = AgentsVecEnv("cloud", {"num_agents": 3}, seed=5)
    rows.reset()
    assert np.array_equal(rows.action_masks(), mask)


def test_a_models_seed_is_that_of_the_episodes() -> None:
    env = AgentsVecEnv("cloud", {"num_agents": 3}, num_envs=2)
    PPO("MlpPolicy", env, **QUICK)  # seeds its environments
    first = env.reset()
    assert np.array_equal(first, AgentsVecEnv("cloud", {"num_agents": 3}, num_envs=2, seed=0).reset())
    assert not np.array_equal(first[:3], first[3:])


def test_what_a_batch_cannot_do_is_said() -> None:
    env = JointVecEnv(*same.CASES["power"], num_envs=2)
    with pytest.raises(ActionError, match="horizon cannot be set"):
        env.set_attr("horizon", 3)
    with pytest.raises(ActionError, match="have action_masks and no other method"):
        env.env_method("render")
    with pytest.raises(ActionError, match="of choices alone"):
        env.env_method("action_masks")
