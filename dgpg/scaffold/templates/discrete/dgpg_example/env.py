"""The system: jobs queue at servers."""

from __future__ import annotations

import torch
from gymnasium import spaces
from torch import Tensor

from dgpg.domain import Decision, Episodes, Memory, Observation, Outcome, observations

from .config import Config


def service(config: Config) -> Tensor:
    """Work that each server does in a step, `[K]`: so much that all jobs together load them by `config.load`."""
    speeds = torch.tensor(config.speeds)
    return speeds * (config.num_agents / config.load / speeds.sum())


class Env(Episodes):
    """A job's size is exponential with mean 1; a server works off `service` a step, what is left is its backlog."""

    def __init__(self, config: Config, num_envs: int, device: torch.device, seed: int) -> None:
        agents, servers = config.num_agents, len(config.speeds)
        super().__init__(
            num_envs=num_envs, num_agents=agents, horizon=config.horizon, device=device, seed=seed,
            observation_space=observations(agents, servers, features=1, of_choices=2, central=servers),
            action_space=spaces.MultiDiscrete([servers] * agents),
            cost_unit="work x steps that it waits",
        )  # fmt: skip
        self.service = service(config).to(device)
        self.num_blocks = servers

    def begin(self) -> Memory:
        """Empty servers, and the jobs of all steps to come: drawn here, no policy can change them."""
        # One more than there are steps: agents also look at the moment after the last.
        uniform = self.streams.uniform(self.horizon + 1, self.num_agents).to(self.device)
        return {"jobs": -torch.log1p(-uniform), "backlog": uniform.new_zeros(self.num_envs, len(self.service))}

    def observe(self) -> Decision:
        """A client sees its job and the servers' backlogs, not what the others are about to send."""
        size, backlog = self.memory["jobs"][:, self.t], self.memory["backlog"]
        drain = (backlog / self.service).unsqueeze(1).expand(-1, self.num_agents, -1)
        observation = Observation(
            agent=size.unsqueeze(-1),
            choices=torch.stack([drain, size.unsqueeze(-1) / self.service], -1),
            mask=torch.ones_like(drain, dtype=torch.bool),
            central=backlog / self.service,
        )
        return Decision(observation, {"size": size, "backlog": backlog})

    def advance(self, actions: Tensor) -> Outcome:
        """x is the work at each server once the jobs are there; on average it waits for half of itself."""
        work = self.memory["backlog"].scatter_add(1, actions, self.memory["jobs"][:, self.t])
        cost = work.square() / (2 * self.service)
        left = (work - self.service).clamp(min=0)
        memory = {**self.memory, "backlog": left}
        return Outcome(reward=-cost.sum(-1), state=work.unsqueeze(-1), memory=memory, block_cost=cost)
