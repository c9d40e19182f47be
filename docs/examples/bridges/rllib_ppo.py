"""PPO of RLlib on the cloud domain, one policy for every dispatcher.

pip install 'ray[rllib]' 'dgpg[pettingzoo]' dgpg-plugin-cloud
python rllib_ppo.py [ITERATIONS]
"""

import sys

from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.env_to_module import FlattenObservations
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
from ray.tune import register_env

from dgpg.bridges.pettingzoo import ParallelEnv

# Masks are among the features, and a choice that they forbid leaves a job waiting: RLlib's own masking wants a module.
register_env("cloud", lambda settings: ParallelPettingZooEnv(ParallelEnv("cloud", dict(settings))))
config = (
    PPOConfig()
    .environment("cloud", env_config={"num_agents": 20})
    .env_runners(num_env_runners=0, env_to_module_connector=lambda *_, **__: FlattenObservations(multi_agent=True))
    .multi_agent(policies={"dispatcher"}, policy_mapping_fn=lambda *_, **__: "dispatcher")
    .training(train_batch_size_per_learner=512, minibatch_size=512, num_epochs=2)
)
algorithm = config.build_algo()
for iteration in range(int(sys.argv[1]) if len(sys.argv) > 1 else 40):
    print(iteration, algorithm.train()["env_runners"]["episode_return_mean"] / 20, flush=True)  # of one agent
