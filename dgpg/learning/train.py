"""Step 5 of 5, the only loop: rollout, guidance, advantage, update. Owns parameters, optimisers and random state."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dgpg.domain import SupportsFit, contract, random
from dgpg.domain.types import map_tensors
from dgpg.errors import DivergenceError, OverflowingError
from dgpg.learning import advantage as adv
from dgpg.learning.actions import kind_of
from dgpg.learning.algorithms import Algorithm, Task, make_blocks, make_estimator, make_team
from dgpg.learning.config import RunConfig
from dgpg.learning.estimators import Estimator
from dgpg.learning.estimators.estimator import size
from dgpg.learning.returns import Returns, Unasked
from dgpg.learning.rollout import collect
from dgpg.learning.trajectory import Trajectory
from dgpg.learning.update import policy_batch, update_policy

Metrics = dict[str, float]
LARGEST = 1e15
"""Rewards from here on have squares near the end of float32."""


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
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), train.actor_lr, eps=1e-5)
        self.estimator, self.unguided = make_estimator(config, algorithm, kind)
        alone = self.estimator.ALONE and train.alpha.guidance_alone
        self.blocks = make_blocks(config, algorithm, task, self.estimator, self.decision)
        self.returns = (Unasked if alone else Returns)(config, algorithm, task)
        self.critic = self.returns.critic
        self.streams = random.Streams(random.derive(config.seed, "actions"), env.num_envs)
        self.shuffle = random.generator(random.derive(config.seed, "minibatches"))
        self.iteration, self.episodes, self.wall_s = 0, 0, 0.0
        self.known = 0.0
        """What the estimator learned of the return in the iteration before."""
        self.looked = False
        self.unsaved: str | None = None
        """Why the environments cannot be saved, if they cannot: a run of them is not resumed."""
        self._spent: dict[str, float] = {}

    def iterate(self) -> Metrics:
        """One iteration.

        Raises:
            DivergenceError: a loss is not finite; the trainer's state is then of no use.
        """
        start, self._spent = time.perf_counter(), {}
        train, iteration = self.config.train, self.iteration
        alpha = train.alpha.at(iteration, self.config.iterations) if self.algorithm.guided else 0.0
        estimator = self.estimator if alpha > 0 else self.unguided
        self._anneal(iteration)
        with self._timed("rollout"):
            env = self.task.env
            noise = self.streams.uniform(self.horizon, env.num_agents, *self.kind.DRAWS).to(env.device)
            trajectory, self.decision = collect(env, self.team, self.decision, noise)
        self._look(trajectory)
        with self._timed("guidance"):
            fitted = self._fit(trajectory)
            of_blocks = self.blocks.learn(trajectory) if self.blocks and alpha > 0 else {}
            model = self.blocks.model if self.blocks else self.task.model
            signal = estimator.signal(model, self.task.mapping, trajectory)
        with self._timed("update"):
            logged = fitted | of_blocks | self._learn(trajectory, estimator, signal, alpha)
        self.iteration += 1
        self.episodes += int(trajectory.done.sum())
        self.wall_s += time.perf_counter() - start
        metrics = self._count(trajectory, alpha) | {name: float(value) for name, value in logged.items()}
        bad = [name for name, value in metrics.items() if not math.isfinite(value)]
        bad += [] if _all_finite(self.actor) and _all_finite(self.critic) else ["a parameter"]
        if bad:
            raise self._diverged(bad, trajectory)
        return metrics

    def _diverged(self, bad: list[str], trajectory: Trajectory) -> DivergenceError:
        """Whose fault it is: before any update it is the environment's, where rewards are too large or no numbers."""
        said = f"iteration {self.iteration}: {', '.join(bad)} is not a finite number"
        largest = float(trajectory.reward.abs().max())
        if self.iteration > 1 or largest < LARGEST:  # nan is not
            return DivergenceError(said)
        return OverflowingError(f"{said}: rewards are up to {largest:.2g} in size before the policy changed at all")

    def _look(self, trajectory: Trajectory) -> None:
        """Once, whether model and mapping keep to the shapes of the contract."""
        if self.looked:
            return
        first = map_tensors(lambda x: x[0], trajectory.decision)
        actions, state = self.kind.to_env(trajectory.actions[0]), trajectory.state[0]
        contract.look_at_model(self.task.model, self.task.mapping, first, actions, state)
        self.looked = True

    def _fit(self, trajectory: Trajectory) -> dict[str, Any]:
        """Let a model that is fitted take in the iteration."""
        if not (self.algorithm.guided and isinstance(self.task.model, SupportsFit)):
            return {}
        with torch.no_grad():
            return dict(self.task.model.fit(trajectory.experience(self.kind.to_env)))

    def _learn(self, trajectory: Trajectory, estimator: Estimator, signal: Tensor, alpha: float) -> dict[str, Tensor]:
        """Advantage and update."""
        train, active = self.config.train, trajectory.decision.observation.active
        trajectory = replace(trajectory, reward=estimator.reward(trajectory.reward, signal, alpha))
        estimate = self.returns.estimate(trajectory)
        advantage, self.known = estimator.correct(estimate.advantage, signal, active, alpha, self.known)
        normal = adv.normalise(advantage, active, train.normalise)
        weight, guidance_part = estimator.parts(signal, active, alpha)
        logged = {"return_part": weight * size(normal, active), "guidance_part": guidance_part}
        batch = policy_batch(self.team, trajectory, estimator.mix(normal, signal, alpha), estimator.direction(signal))
        logged |= update_policy(self.team, self.actor_optimiser, batch, estimator, alpha, train, self.shuffle)
        return estimate.logged | logged | self.returns.learn(estimate, self.shuffle)

    def _anneal(self, iteration: int) -> None:
        train = self.config.train
        share = min(iteration / max(self.config.iterations - 1, 1), 1.0)
        left = 1 - (1 - train.lr_end) * share
        for optimiser, rate in (
            (self.actor_optimiser, train.actor_lr),
            (self.returns.optimiser, train.critic_lr),
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
            "critic_optimiser": self.returns.optimiser,
            "normaliser": self.returns.normaliser,
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next iteration depends on."""
        return {name: part.state_dict() for name, part in self._modules().items()} | {
            "streams": self.streams.state_dict(),
            "shuffle": self.shuffle.get_state(),
            "env": None if self.unsaved else self.task.env.state_dict(),
            "unsaved": self.unsaved,
            "counters": {"iteration": self.iteration, "episodes": self.episodes, "wall_s": self.wall_s},
            "coefficient": self.known,
            "blocks": self.blocks.state_dict() if self.blocks else {},
            "model": self.task.model.state_dict() if isinstance(self.task.model, SupportsFit) else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned, bit for bit."""
        for name, part in self._modules().items():
            part.load_state_dict(state[name])
        self.streams.load_state_dict(state["streams"])
        self.shuffle.set_state(state["shuffle"].cpu())
        self.decision = self.task.env.load_state_dict(state["env"])
        self.known = state["coefficient"]
        if self.blocks:
            self.blocks.load_state_dict(state["blocks"])
        if isinstance(self.task.model, SupportsFit):
            self.task.model.load_state_dict(state["model"])
        counters = state["counters"]
        self.iteration, self.episodes = counters["iteration"], counters["episodes"]
        self.wall_s = counters["wall_s"]


def _all_finite(module: nn.Module) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in module.parameters())
