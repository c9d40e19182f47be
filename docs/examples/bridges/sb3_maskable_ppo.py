"""MaskablePPO of sb3-contrib on the cloud domain, choosing for all dispatchers at once.

pip install 'dgpg[sb3]' dgpg-plugin-cloud
python sb3_maskable_ppo.py [STEPS]
"""

import sys

from sb3_contrib import MaskablePPO
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from dgpg.bridges.sb3 import JointVecEnv

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 40 * 512
env = VecMonitor(JointVecEnv("cloud", {"num_agents": 20}, num_envs=8))
env = VecNormalize(env, gamma=0.9, norm_obs_keys=["agent", "choices", "central"])  # near one
model = MaskablePPO("MultiInputPolicy", env, n_steps=64, batch_size=64, n_epochs=2, gamma=0.9, verbose=1, seed=0)
model.learn(steps)
