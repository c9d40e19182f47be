"""IPPO of skrl on the cloud domain, one network for all: pip install skrl 'dgpg[pettingzoo]' dgpg-plugin-cloud."""

import sys

from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.multi_agents.torch.ippo import IPPO
from skrl.trainers.torch import SequentialTrainer
from skrl.utils.model_instantiators.torch import categorical_model, deterministic_model

from dgpg.bridges.pettingzoo import ParallelEnv

# skrl has no masks: a choice that they forbid leaves a job waiting.
env = wrap_env(ParallelEnv("cloud", {"num_agents": 20}, seed=0), wrapper="pettingzoo")
names, seen, acts = env.possible_agents, env.observation_spaces, env.action_spaces
spaces = {"observation_space": seen["agent_0"], "action_space": acts["agent_0"], "device": env.device}
net = {"network": [{"name": "net", "input": "OBSERVATIONS['observation']", "layers": [64, 64], "activations": "tanh"}]}
shared = {"policy": categorical_model(**spaces, **net, output="ACTIONS")}
shared["value"] = deterministic_model(**spaces, **net, output="ONE")
unset = ("learning_rate_scheduler", "observation_preprocessor", "state_preprocessor", "value_preprocessor")
nothing = {f"{name}_kwargs": {agent: {} for agent in names} for name in unset}  # skrl 2.1 refuses its own default
memories = {name: RandomMemory(memory_size=512, device=env.device) for name in names}
agents = IPPO(
    possible_agents=names, models=dict.fromkeys(names, shared), memories=memories, observation_spaces=seen,
    state_spaces=env.state_spaces, action_spaces=acts,
    cfg={"rollouts": 512, "learning_epochs": 2, "mini_batches": 8, **nothing},
)  # fmt: skip
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 40 * 512
SequentialTrainer(env=env, agents=agents, cfg={"timesteps": steps}).train()
