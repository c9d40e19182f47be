"""PPO of Stable-Baselines3 on the cloud domain, one policy for every dispatcher.

pip install 'dgpg[sb3]' dgpg-plugin-cloud
python sb3_ppo.py [STEPS]
"""

import sys

from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from dgpg.bridges.sb3 import AgentsVecEnv

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 40 * 512
env = VecMonitor(AgentsVecEnv("cloud", {"num_agents": 20}, num_envs=8))
env = VecNormalize(env, gamma=0.9)  # features and returns near one: without it nothing is learned
model = PPO("MlpPolicy", env, n_steps=64, batch_size=1280, n_epochs=2, gamma=0.9, learning_rate=6e-3, verbose=1, seed=0)
model.learn(steps * env.num_envs // 8)  # SB3 counts the steps of every agent
