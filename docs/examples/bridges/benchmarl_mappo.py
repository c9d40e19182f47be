"""MAPPO of BenchMARL on the cloud domain. pip install 'dgpg[benchmarl]' dgpg-plugin-cloud

python benchmarl_mappo.py [ITERATIONS]
"""

import sys

from benchmarl.algorithms import MappoConfig
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models.mlp import MlpConfig

from dgpg.bridges.benchmarl import DomainTask

config = ExperimentConfig.get_from_yaml()
config.max_n_frames, config.max_n_iters = None, int(sys.argv[1]) if len(sys.argv) > 1 else 40
config.on_policy_n_envs_per_worker, config.on_policy_collected_frames_per_batch = 8, 512  # an episode is of 64 steps
config.on_policy_minibatch_size, config.on_policy_n_minibatch_iters = 64, 2
config.evaluation, config.loggers, config.lr = False, ["csv"], 3e-4
Experiment(
    task=DomainTask("cloud", {"num_agents": 20}), algorithm_config=MappoConfig.get_from_yaml(),
    model_config=MlpConfig.get_from_yaml(), critic_model_config=MlpConfig.get_from_yaml(), seed=0, config=config,
).run()  # fmt: skip
