"""The cheapest rule on the very arrivals that a training meets, iteration by iteration.

All that is random is drawn before an episode and for each environment apart, so environments of the training's seed
meet its arrivals whatever is decided in them.
"""

from __future__ import annotations

import torch

from dgpg.domain import Policy, SupportsOwnConfig, random
from dgpg.measuring.evaluate import Contestant, rules
from dgpg.runs import Plan


class Alongside:
    """A rule in environments of its own, as far as it was asked for."""

    def __init__(self, plan: Plan, rule: Contestant) -> None:
        self.name = rule.name
        self.costs: list[float] = []
        """Of iterations 1, 2, ..., an agent and step."""
        self._policy: Policy = rule.policy
        seed = random.derive(plan.run.seed, "train")  # as the training's shards: environment b draws from seed + b
        self._env = plan.domain.make_env(plan.config, plan.run.num_envs, torch.device(plan.run.device), seed)
        self._horizon = plan.run.train.horizon or self._env.horizon
        self._noise = random.Streams(random.derive(plan.run.seed, "alongside"), plan.run.num_envs)
        self._decision = self._env.reset()

    @torch.no_grad()
    def iterate(self) -> float:
        """The cost of one more iteration."""
        env, total = self._env, 0.0
        shape = (env.action_space.shape or ())[1:]
        noise = self._noise.uniform(self._horizon, env.num_agents, *shape).to(env.device)
        for noise_t in noise.unbind(1):
            step = env.step(self._policy.act(self._decision, noise_t))
            self._decision = step.decision
            total -= float(step.reward.double().mean()) / env.num_agents
        self.costs.append(total / self._horizon)
        return self.costs[-1]


def cheapest(plan: Plan) -> Alongside | None:
    """Of the rules that see what policies see, the one that the first iteration costs least; None if there is none."""
    found = rules(plan.domain, plan.config, plan.task.model, plan.task.env.device, plan.run.coordination.rounds)
    fair = [one for one in found if one.information == "same" and one.kind == "baseline"]
    among = [Alongside(plan, one) for one in fair if not isinstance(one.policy, SupportsOwnConfig)]
    return min(among, key=lambda one: one.iterate(), default=None)
