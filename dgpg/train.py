"""The only loop: rollout, guidance, advantage, update. Owns parameters, optimisers and random state."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dgpg import advantage as adv
from dgpg import contract, random
from dgpg.actions import kind_of
from dgpg.algorithms import Algorithm, Task, make_team
from dgpg.config import RunConfig
from dgpg.coordination import Team
from dgpg.errors import ConfigError, DivergenceError
from dgpg.losses import explained_variance
from dgpg.networks import make_critic, values
from dgpg.normalise import ValueNormaliser
from dgpg.rollout import collect
from dgpg.types import Guidance, Observation, Trajectory, flatten, map_tensors
from dgpg.update import JointBatch, PolicyBatch, Rows, ValueBatch, update_policy, update_value

Metrics = dict[str, float]


class Trainer:
    """State of a run; `iterate` takes it one iteration further."""

    def __init__(self, config: RunConfig, algorithm: Algorithm, task: Task) -> None:
        self.config, self.algorithm, self.task = config, algorithm, task
        train, env = config.train, task.env
        self.horizon = train.horizon or env.horizon
        self.decision = env.reset()
        contract.look_at_decision(self.decision, env)
        kind = kind_of(env.action_space, train.distribution)
        self.team = make_team(config, algorithm, task, kind, self.decision)
        self.kind, self.actor = kind, self.team.actor
        self.critic = make_critic(env, algorithm.critic, train.parameters, train.critic_hidden, config.seed)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), train.actor_lr, eps=1e-5)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), train.critic_lr, eps=1e-5)
        self.normaliser = ValueNormaliser().to(env.device)
        self.streams = random.Streams(random.derive(config.seed, "actions"), env.num_envs)
        self.shuffle = random.generator(random.derive(config.seed, "minibatches"))
        self.iteration, self.episodes, self.wall_s = 0, 0, 0.0
        self.coefficient = 0.0
        """Of the control variate, from the iteration before: one from the same actions would bias the gradient."""
        self.looked = False
        self._spent: dict[str, float] = {}

    def iterate(self) -> Metrics:
        """One iteration.

        Raises:
            DivergenceError: a loss is not finite; the trainer's state is then of no use.
        """
        start, self._spent = time.perf_counter(), {}
        train, iteration = self.config.train, self.iteration
        alpha = train.alpha.at(iteration, self.config.iterations) if self.algorithm.guided else 0.0
        self._anneal(iteration)
        with self._timed("rollout"):
            env = self.task.env
            noise = self.streams.uniform(self.horizon, env.num_agents, *self.kind.DRAWS).to(env.device)
            trajectory, self.decision = collect(env, self.team, self.decision, noise)
        self._look(trajectory)
        guidance = Guidance()
        if alpha > 0:
            with self._timed("guidance"):
                guidance = self.kind.guide(
                    train.estimator or self.kind.ESTIMATORS[0], self.task.model, self.task.mapping, trajectory,
                    train.gamma, train.guidance_scale == "influence",
                )  # fmt: skip
        with self._timed("update"):
            logged = self._learn(trajectory, guidance, alpha)
        self.iteration += 1
        self.episodes += int(trajectory.done.sum())
        self.wall_s += time.perf_counter() - start
        metrics = self._count(trajectory, alpha) | {name: float(value) for name, value in logged.items()}
        bad = [name for name, value in metrics.items() if not math.isfinite(value)]
        bad += [] if _all_finite(self.actor) and _all_finite(self.critic) else ["a parameter"]
        if bad:
            raise DivergenceError(f"iteration {self.iteration}: {', '.join(bad)} is not a finite number")
        return metrics

    def _look(self, trajectory: Trajectory) -> None:
        """Once, whether model and mapping keep to the shapes of the contract."""
        if self.looked:
            return
        first = map_tensors(lambda x: x[0], trajectory.decision)
        actions, state = self.kind.to_env(trajectory.actions[0]), trajectory.state[0]
        contract.look_at_model(self.task.model, self.task.mapping, first, actions, state)
        self.looked = True

    def _learn(self, trajectory: Trajectory, guidance: Guidance, alpha: float) -> dict[str, Tensor]:
        """Advantage and update."""
        train, active, u = self.config.train, trajectory.decision.observation.active, guidance.u
        if u is not None and train.alpha.guidance_alone:
            return self._follow(trajectory, u)
        if guidance.shaping is not None:
            trajectory = replace(trajectory, reward=trajectory.reward + alpha * guidance.shaping)
        learnt, advantage, explained = self._returns(trajectory)
        advantage = advantage.expand(active.shape)
        if guidance.baseline is not None:
            known, baseline = self.coefficient, guidance.baseline
            self.coefficient = adv.regress(advantage, baseline, active)
            advantage = advantage - alpha * known * baseline
        normal = adv.normalise(advantage, active, train.normalise)
        logged = {
            "explained_variance": explained,
            "return_part": (1 - alpha if u is not None else 1) * _size(normal, active),
            "guidance_part": alpha * (_size(u, active) if u is not None else torch.zeros(())),
        }
        if u is not None and u.dim() == normal.dim():
            normal, u = adv.mix(normal, u, alpha), None
        batch = policy_batch(self.team, trajectory, normal, u)
        logged |= update_policy(self.team, self.actor_optimiser, batch, alpha, train, self.shuffle)
        logged |= update_value(self.critic, self.critic_optimiser, learnt, train, self.shuffle)
        return logged

    def _follow(self, trajectory: Trajectory, u: Tensor) -> dict[str, Tensor]:
        """Update by guidance alone: no return, so no value of it."""
        train, active = self.config.train, trajectory.decision.observation.active
        logged = {"guidance_part": _size(u, active)}
        one_each = u.dim() == active.dim()
        advantage = u if one_each else torch.zeros_like(active, dtype=u.dtype)
        batch = policy_batch(self.team, trajectory, advantage, None if one_each else u)
        return logged | update_policy(self.team, self.actor_optimiser, batch, 1.0, train, self.shuffle)

    @torch.no_grad()
    def _returns(self, trajectory: Trajectory) -> tuple[ValueBatch, Tensor, Tensor]:
        """What the critic learns from, the advantage, and the share of the return's variance explained.

        The advantage is `[T, B, 1]` from a central critic, `[T, B, N]` from a local one.
        """
        train, local = self.config.train, self.algorithm.critic == "local"
        normal_t = values(self.critic, trajectory.decision.observation)
        value_t = self.normaliser.denormalise(normal_t)
        last = self._value(trajectory.last.observation)
        value_tp1 = torch.cat([value_t[1:], last.unsqueeze(0)])

        def column(x: Tensor) -> Tensor:
            return x.unsqueeze(-1) if local else x

        for t, final in trajectory.finals.items():
            value_tp1[t] = torch.where(column(trajectory.done[t]), self._value(final.observation), value_tp1[t])
        reward = column(trajectory.reward)
        if self.algorithm.reward == "local":
            if trajectory.local_reward is None:
                raise ConfigError(
                    f"algorithm {self.algorithm.name} needs each agent's own reward, "
                    f"which domain {self.config.domain} does not offer; use ippo"
                )
            reward = trajectory.local_reward
        reward = reward.expand(value_t.shape)
        done, end = column(trajectory.done), column(trajectory.terminated)
        advantage = adv.gae(reward, value_t, value_tp1, end, done, train.gamma, train.lambda_)
        target = advantage + value_t
        self.normaliser.update(target)
        every = torch.ones_like(target, dtype=torch.bool)
        columns = (self.critic.features(trajectory.decision.observation), normal_t, self.normaliser.normalise(target))
        batch = ValueBatch(*(self.critic.sharing.rows(x, every) for x in columns))
        explained = explained_variance(value_t, target)
        return batch, advantage if local else advantage.unsqueeze(-1), explained

    def _value(self, observation: Observation) -> Tensor:
        return self.normaliser.denormalise(values(self.critic, observation))

    def _anneal(self, iteration: int) -> None:
        train = self.config.train
        share = min(iteration / max(self.config.iterations - 1, 1), 1.0)
        left = 1 - (1 - train.lr_end) * share
        for optimiser, rate in (
            (self.actor_optimiser, train.actor_lr),
            (self.critic_optimiser, train.critic_lr),
        ):
            for group in optimiser.param_groups:
                group["lr"] = rate * left

    def _count(self, trajectory: Trajectory, alpha: float) -> Metrics:
        env, steps = self.task.env, self.iteration * self.horizon * self.task.env.num_envs
        adam = self.iteration * self.config.train.epochs * self.config.train.minibatches
        total = sum(self._spent.values())
        return {
            "iteration": self.iteration,
            "episodes": self.episodes,
            "env_steps": steps,
            "agent_steps": steps * env.num_agents,
            "updates": adam,
            "wall_s": self.wall_s,
            "cost": float(-trajectory.reward.mean()) / env.num_agents,
            "alpha": alpha,
        } | {f"share_{name}": self._spent.get(name, 0.0) / total for name in ("rollout", "guidance", "update")}

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self.task.env.device.type == "cuda":
            torch.cuda.synchronize()
        self._spent[name] = time.perf_counter() - start

    def _modules(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {
            "actor": self.actor,
            "critic": self.critic,
            "actor_optimiser": self.actor_optimiser,
            "critic_optimiser": self.critic_optimiser,
            "normaliser": self.normaliser,
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next iteration depends on."""
        return {name: part.state_dict() for name, part in self._modules().items()} | {
            "streams": self.streams.state_dict(),
            "shuffle": self.shuffle.get_state(),
            "env": self.task.env.state_dict(),
            "counters": {"iteration": self.iteration, "episodes": self.episodes, "wall_s": self.wall_s},
            "coefficient": self.coefficient,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned, bit for bit."""
        for name, part in self._modules().items():
            part.load_state_dict(state[name])
        self.streams.load_state_dict(state["streams"])
        self.shuffle.set_state(state["shuffle"].cpu())
        self.decision = self.task.env.load_state_dict(state["env"])
        self.coefficient = state["coefficient"]
        counters = state["counters"]
        self.iteration, self.episodes = counters["iteration"], counters["episodes"]
        self.wall_s = counters["wall_s"]


def _all_finite(module: nn.Module) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in module.parameters())


def _size(signal: Tensor, active: Tensor) -> Tensor:
    """Mean absolute size of a signal where agents act, to see what alpha weighs."""
    return signal[active].abs().mean() if bool(active.any()) else torch.zeros(())


def policy_batch(team: Team, trajectory: Trajectory, advantage: Tensor, u: Tensor | None) -> PolicyBatch | JointBatch:
    """What a policy is updated from: rows of agents, or, where these hear of each other, moments `[T * B, N, ...]`."""
    told = Rows(trajectory.actions, trajectory.policy, advantage, u, trajectory.decision.observation.active)
    if team.rounds is not None:
        return JointBatch(flatten(trajectory.decision), flatten(told))
    observation, active = trajectory.decision.observation, told.active

    def rows(x: Tensor) -> Tensor:
        return team.actor.sharing.rows(x, active)

    agent, choices = team.actor.features(rows(observation.agent), rows(observation.choices))
    return PolicyBatch(agent, choices, rows(observation.mask), map_tensors(rows, told))
