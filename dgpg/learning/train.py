"""Step 5 of 5, the only loop: rollout, guidance, advantage, update. Owns parameters, optimisers and random state.

What there is of each shard (`dgpg.learning.shards`) is a `Part`; all parts of a process share its networks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dgpg.domain import Decision, SupportsFit, contract, random
from dgpg.domain.types import map_tensors
from dgpg.errors import DivergenceError, OverflowingError
from dgpg.learning import advantage as adv
from dgpg.learning.actions import kind_of
from dgpg.learning.algorithms import Algorithm
from dgpg.learning.blocks import Memory
from dgpg.learning.config import RunConfig
from dgpg.learning.estimators import Estimator
from dgpg.learning.estimators.estimator import size
from dgpg.learning.grounds import grounds
from dgpg.learning.parts import Task, make_blocks, make_estimator, make_memory, make_team
from dgpg.learning.returns import Returns, Unasked
from dgpg.learning.rollout import collect
from dgpg.learning.shards import Shard, Shards, environments, mean
from dgpg.learning.trajectory import Trajectory
from dgpg.learning.update import policy_batch, update_policy

Metrics = dict[str, float]
LARGEST = 1e15
"""Rewards from here on have squares near the end of float32."""


@dataclass
class Part:
    """One shard: where it is, and its chance."""

    at: int
    """Among those of this process."""
    decision: Decision
    streams: random.Streams
    shuffle: torch.Generator
    seen: Memory | None

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next iteration depends on beside environments."""
        return {
            "streams": self.streams.state_dict(),
            "shuffle": self.shuffle.get_state(),
            "seen": self.seen.state_dict() if self.seen else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned, bit for bit."""
        self.streams.load_state_dict(state["streams"])
        self.shuffle.set_state(state["shuffle"].cpu())
        if self.seen:
            self.seen.load_state_dict(state["seen"])


class Trainer:
    """State of a run; `iterate` takes it one iteration further.

    Args:
        config: the run.
        algorithm: its parts.
        task: what there is to learn, with the environments of the shards that this process holds.
        shards: which they are; all by default.
    """

    def __init__(self, config: RunConfig, algorithm: Algorithm, task: Task, shards: Shards | None = None) -> None:
        self.config, self.algorithm, self.task = config, algorithm, task
        self.shards = shards or Shards(config.train.shards)
        train, env = config.train, task.env
        self.horizon = train.horizon or env.horizon
        sizes = [len(self._environments(number)) for number in self.shards.mine]
        self.grounds = grounds(task.envs, sizes)
        decisions = self.grounds.reset()
        contract.look_at_decision(decisions[0], env, sizes[0])
        kind = kind_of(env.action_space, train.distribution)
        self.team = make_team(config, algorithm, task, kind, decisions[0])
        self.kind, self.actor = kind, self.team.actor
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), train.actor_lr, eps=1e-5)
        self.estimator, self.unguided = make_estimator(config, algorithm, kind)
        alone = self.estimator.ALONE and train.alpha.guidance_alone
        self.blocks = make_blocks(config, algorithm, task, self.estimator, decisions[0])
        self.returns = (Unasked if alone else Returns)(config, algorithm, task, decisions[0])
        self.critic = self.returns.critic
        self.parts = [self._part(at, decision) for at, decision in enumerate(decisions)]
        self.iteration, self.episodes, self.wall_s = 0, 0, 0.0
        self.known = 0.0
        """What the estimator learned of the return in the iteration before."""
        self.looked = False
        self.unsaved: str | None = None
        """Why the environments cannot be saved, if they cannot: a run of them is not resumed."""
        self._spent: dict[str, float] = {}

    def _environments(self, number: int) -> range:
        return environments(number, self.shards.count, self.config.num_envs)

    def _part(self, at: int, decision: Decision) -> Part:
        """As in a batch, environment b has a stream of its own whatever shard it is in."""
        seed, number = self.config.seed, self.shards.mine[at]
        own = self._environments(number)
        streams = random.Streams(random.derive(seed, "actions") + own.start, len(own))
        shuffle = random.generator(random.derive(seed, "minibatches") + number)
        return Part(at, decision, streams, shuffle, make_memory(self.config, number) if self.blocks else None)

    def stand(self, decisions: Sequence[Decision]) -> None:
        """Where each shard is."""
        for held, decision in zip(self.parts, decisions, strict=True):
            held.decision = decision

    @property
    def decision(self) -> Decision:
        """Where the first shard is."""
        return self.parts[0].decision

    def iterate(self) -> Metrics:
        """One iteration.

        Raises:
            DivergenceError: a loss is not finite; the trainer's state is then of no use.
        """
        start, self._spent = time.perf_counter(), {}
        alpha = self.config.train.alpha.at(self.iteration, self.config.iterations) if self.algorithm.guided else 0.0
        estimator, each = self.estimator if alpha > 0 else self.unguided, self.shards.each
        self._anneal(self.iteration)
        with self._timed("rollout"):
            trajectories = each(self._collect, self.parts)
        self._look(trajectories[0])
        with self._timed("guidance"):
            fitted = self._fit(trajectories)
            of_blocks = each(self._value, self.parts, trajectories)[0] if self.blocks and alpha > 0 else {}
            model = self.blocks.model if self.blocks else self.task.model
            signals = each(lambda shard, x: estimator.signal(model, self.task.mapping, x, shard), trajectories)
        with self._timed("update"):
            learned = each(partial(self._learn, estimator, alpha), self.parts, trajectories, signals)
        reward, episodes, largest = each(_outcome, trajectories)[0]
        self.iteration += 1
        self.episodes += episodes
        self.wall_s += time.perf_counter() - start
        logged = fitted | of_blocks | learned[0]
        metrics = self._count(reward, alpha) | {name: float(value) for name, value in logged.items()}
        bad = [name for name, value in metrics.items() if not math.isfinite(value)]
        bad += [] if _all_finite(self.actor) and _all_finite(self.critic) else ["a parameter"]
        if bad:
            raise self._diverged(bad, largest)
        return metrics

    def _collect(self, shard: Shard, part: Part) -> Trajectory:
        """Step 1, in one shard."""
        env = self.task.env
        noise = part.streams.uniform(self.horizon, env.num_agents, *self.kind.DRAWS).to(env.device)
        trajectory, part.decision = collect(env, self.team, part.decision, noise, shard, self.grounds, part.at)
        return trajectory

    def _value(self, shard: Shard, part: Part, trajectory: Trajectory) -> dict[str, Tensor]:
        """What blocks cost, before step 2."""
        assert self.blocks is not None and part.seen is not None
        return self.blocks.learn(trajectory, part.seen, shard)

    def _diverged(self, bad: list[str], largest: float) -> DivergenceError:
        """Whose fault it is: before any update it is the environment's, where rewards are too large or no numbers."""
        said = f"iteration {self.iteration}: {', '.join(bad)} is not a finite number"
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

    def _fit(self, trajectories: list[Trajectory]) -> dict[str, Any]:
        """Let a model that is fitted take in the iteration; it asks for all of it, so there is one shard."""
        if not (self.algorithm.guided and isinstance(self.task.model, SupportsFit)):
            return {}
        (trajectory,) = trajectories
        with torch.no_grad():
            return dict(self.task.model.fit(trajectory.experience(self.kind.to_env)))

    def _learn(
        self, estimator: Estimator, alpha: float, shard: Shard, part: Part, trajectory: Trajectory, signal: Tensor
    ) -> dict[str, Tensor]:
        """Advantage and update: steps 3 and 4."""
        train, active = self.config.train, trajectory.decision.observation.active
        trajectory = replace(trajectory, reward=estimator.reward(trajectory.reward, signal, alpha))
        estimate = self.returns.estimate(trajectory, shard)
        advantage, known = estimator.correct(estimate.advantage, signal, active, alpha, self.known, shard)
        normal = adv.normalise(advantage, active, train.normalise, shard)
        weight, guidance_part = estimator.parts(signal, active, alpha, shard)
        logged = {"return_part": weight * size(normal, active, shard), "guidance_part": guidance_part}
        batch = policy_batch(self.team, trajectory, estimator.mix(normal, signal, alpha), estimator.direction(signal))
        logged |= update_policy(self.team, self.actor_optimiser, batch, estimator, alpha, train, part.shuffle, shard)
        self.known = known
        return estimate.logged | logged | self.returns.learn(estimate, part.shuffle, shard)

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

    def _count(self, reward: float, alpha: float) -> Metrics:
        env, steps = self.task.env, self.iteration * self.horizon * self.config.num_envs
        adam = self.iteration * self.config.train.epochs * self.config.train.minibatches
        total = sum(self._spent.values())
        return {
            "iteration": self.iteration,
            "episodes": self.episodes,
            "env_steps": steps,
            "agent_steps": steps * env.num_agents,
            "updates": adam,
            "wall_s": self.wall_s,
            "cost": -reward / env.num_agents,
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
        """Everything that the next iteration depends on; of the shards of other processes nothing."""
        return {name: part.state_dict() for name, part in self._modules().items()} | {
            "unsaved": self.unsaved,
            "counters": {"iteration": self.iteration, "episodes": self.episodes, "wall_s": self.wall_s},
            "coefficient": self.known,
            "blocks": self.blocks.state_dict() if self.blocks else {},
            "model": self.task.model.state_dict() if isinstance(self.task.model, SupportsFit) else {},
            "shards": [] if self.unsaved else self._shards(),
        }

    def _shards(self) -> list[dict[str, Any]]:
        envs = self.grounds.state_dicts()
        return [{"env": env, **part.state_dict()} for env, part in zip(envs, self.parts, strict=True)]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned, bit for bit; `shards` are those of all processes."""
        state = of_before(state)
        for name, part in self._modules().items():
            part.load_state_dict(state[name])
        self.known = state["coefficient"]
        if self.blocks:
            self.blocks.load_state_dict(state["blocks"])
        if isinstance(self.task.model, SupportsFit):
            self.task.model.load_state_dict(state["model"])
        mine = [state["shards"][number] for number in self.shards.mine]
        for held, shard in zip(self.parts, mine, strict=True):
            held.load_state_dict(shard)
        self.stand(self.grounds.load_state_dicts([shard["env"] for shard in mine]))
        counters = state["counters"]
        self.iteration, self.episodes = counters["iteration"], counters["episodes"]
        self.wall_s = counters["wall_s"]


def of_before(state: dict[str, Any]) -> dict[str, Any]:
    """A state from before there were shards is that of the only one."""
    if "shards" in state:
        return state
    alone = {name: state[name] for name in ("env", "streams", "shuffle")} | {"seen": state.get("blocks", {})}
    return {**state, "shards": [alone]}


def _outcome(shard: Shard, trajectory: Trajectory) -> tuple[float, int, float]:
    """Mean reward of a step, episodes that ended, and the largest reward in size."""
    reward = trajectory.reward
    largest = torch.stack(shard.every(reward.abs().max())).max()
    ended = shard.total(trajectory.done.sum())
    return float(mean(reward, (0, 1), shard)), int(ended), float(largest)


def _all_finite(module: nn.Module) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in module.parameters())
