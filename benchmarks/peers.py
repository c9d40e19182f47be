"""dgpg beside Stable-Baselines3, sb3-contrib and BenchMARL (whose loss is TorchRL's) on the cloud domain.

    python -m venv .peers
    .peers/bin/pip install -c constraints.txt -r benchmarks/peers-requirements.txt -e . -e plugins/cloud
    .peers/bin/python benchmarks/peers.py --seeds 3 --publish peers
    .peers/bin/python benchmarks/peers.py --seeds 2 --no-times --publish peers-costs   # on a machine that is not quiet

Everybody plays 8 episodes of 64 steps an iteration and takes 16 Adam steps on them, on one thread. One policy serves
all agents. Peers come through the bridges, with dgpg's discount, trace decay, clip range, entropy and learning rate
(`--tune` tries others, on other arrivals), networks of their own defaults, and normalised features and returns. They
see each agent's features and those of its choices as one vector. Contenders take turns, seed by seed. Costs are of the
stochastic policy on arrivals that nobody trained on, over h, the best same-information rule's. Times are of iterations,
without what it takes to start and to measure.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from common import ARRIVALS, TUNING_ARRIVALS, emit, episodes_for
from publishing import published
from torch import Tensor

from dgpg.domain import Decision, Policy
from dgpg.learning import Trainer
from dgpg.learning.algorithms import find
from dgpg.measuring import NetworkPolicy, episode_costs
from dgpg.runs import launch

ENVS, STEPS, ADAM_STEPS, PASSES, SLICES = 8, 64, 16, 2, 8
GAMMA, LAMBDA, CLIP, ENTROPY = 0.9, 0.9, 0.2, 0.001
RATE = 6e-3
"""Learning rate of peers: that of dgpg's actor. At 1e-3, without normalised features, none of them moved."""
QUALITIES = (1.0, 0.85)
SEEN = ("agents", "observation")


@dataclass
class Watch:
    """Times iterations, and stops the clock to measure the policy at marked ones."""

    marks: Sequence[int]
    measure: Callable[[Policy], float]
    seconds: list[float] = field(default_factory=list)
    cost: dict[int, float] = field(default_factory=dict)
    since: float = field(default_factory=time.perf_counter)

    def begin(self) -> None:
        """An iteration begins now."""
        self.since = time.perf_counter()

    def end(self, policy: Policy) -> None:
        """It is over, and the next one begins once the policy is measured."""
        self.seconds.append(time.perf_counter() - self.since)
        done = len(self.seconds)
        if done in self.marks:
            with torch.no_grad():
                self.cost[done] = self.measure(policy)
        self.begin()


class Choosing:
    """Policy of probabilities `[B, N, K]` that a function makes of a decision; the noise draws by their running sum."""

    def __init__(self, probabilities: Callable[[Decision], Tensor]) -> None:
        self.probabilities = probabilities

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Choices `[B, N]`."""
        below = self.probabilities(decision).double().cumsum(-1)
        return (below / below[..., -1:] <= noise.unsqueeze(-1)).sum(-1).clamp(max=below.shape[-1] - 1)


Contender = Callable[[Mapping[str, Any], int, float, Watch], None]
"""Trains in settings, with a seed and a learning rate, until all marks are measured."""


def ours(algorithm: str) -> Contender:
    """`dgpg train cloud --algorithm ALGORITHM`."""

    def run(settings: Mapping[str, Any], seed: int, rate: float, watch: Watch) -> None:
        values = {"algorithm": algorithm, "settings": settings, "device": "cpu", "seed": seed}
        plan = launch.resolve("cloud", {**values, "iterations": max(watch.marks), "train": {"threads": 1}})
        assert plan.run.num_envs == ENVS and plan.run.train.epochs * plan.run.train.minibatches == ADAM_STEPS
        trainer = Trainer(plan.run, find(algorithm), plan.task)
        policy = NetworkPolicy(trainer.team, "stochastic")
        watch.begin()
        for _ in range(max(watch.marks)):
            trainer.iterate()
            watch.end(policy)

    return run


def stable_baselines(masked: bool) -> Contender:
    """PPO, or MaskablePPO, with one policy for every agent (`AgentsVecEnv`)."""

    def run(settings: Mapping[str, Any], seed: int, rate: float, watch: Watch) -> None:
        from sb3_contrib import MaskablePPO
        from stable_baselines3 import PPO
        from stable_baselines3.common.vec_env import VecNormalize

        from dgpg.bridges.actions import any_where_idle
        from dgpg.bridges.sb3 import AgentsVecEnv
        from dgpg.bridges.seeing import vectors

        env = VecNormalize(AgentsVecEnv("cloud", settings, ENVS), gamma=GAMMA)
        model = (MaskablePPO if masked else PPO)(
            "MlpPolicy", env, seed=seed, device="cpu", n_steps=STEPS, n_epochs=PASSES, learning_rate=rate,
            batch_size=STEPS * env.num_envs // SLICES, gamma=GAMMA, gae_lambda=LAMBDA, clip_range=CLIP,
            ent_coef=ENTROPY,
        )  # fmt: skip

        def probabilities(decision: Decision) -> Tensor:
            seen = decision.observation
            mask = any_where_idle(seen.mask)
            extra = {"action_masks": mask.flatten(0, 1).numpy()} if masked else {}
            rows = env.normalize_obs(vectors(seen).flatten(0, 1).numpy())
            found = model.policy.get_distribution(torch.as_tensor(rows, dtype=torch.float32), **extra)
            probs: Tensor = found.distribution.probs
            return probs.view(mask.shape)

        watch.begin()
        for iteration in range(max(watch.marks)):
            model.learn(STEPS * env.num_envs, reset_num_timesteps=iteration == 0)
            watch.end(Choosing(probabilities))

    return run


def benchmarl(settings: Mapping[str, Any], seed: int, rate: float, watch: Watch) -> None:
    """MAPPO of BenchMARL: TorchRL's collector, loss and estimator."""
    from benchmarl.algorithms import MappoConfig
    from benchmarl.experiment import Callback, Experiment, ExperimentConfig
    from benchmarl.models.mlp import MlpConfig
    from tensordict import TensorDict
    from torchrl.envs import ObservationNorm, RewardScaling

    from dgpg.bridges.actions import any_where_idle
    from dgpg.bridges.benchmarl import DomainTask
    from dgpg.bridges.seeing import vectors
    from dgpg.bridges.torchrl import TorchEnv

    # What SB3 does as it goes: features and returns near one, by random play.
    played = TorchEnv("cloud", settings, ENVS, seed=TUNING_ARRIVALS).rollout(STEPS)
    norm = {
        key: (played[key].flatten(0, -2).mean(0), played[key].flatten(0, -2).std(0) + 1e-3) for key in (SEEN, "state")
    }
    scale = (1 - GAMMA) / -played["next", "agents", "reward"].mean().item()

    class Normalised(DomainTask):
        def get_env_transforms(self, env: Any) -> list[Any]:
            of = [ObservationNorm(*norm[key], in_keys=[key], standard_normal=True) for key in norm]
            return [*of, RewardScaling(0.0, scale, in_keys=[("agents", "reward")])]

        def __reduce__(self) -> tuple[type, tuple[()]]:
            return object, ()

    class Watching(Callback):
        def on_train_end(self, training_td: Any, group: str) -> None:
            watch.end(Choosing(probabilities))

        def __reduce__(self) -> tuple[type, tuple[()]]:
            return object, ()  # BenchMARL keeps a copy of what it was called with

    def probabilities(decision: Decision) -> Tensor:
        seen = decision.observation
        loc, deviation = norm[SEEN]
        agents = {"observation": (vectors(seen) - loc) / deviation, "action_mask": any_where_idle(seen.mask)}
        moment = TensorDict({"agents": TensorDict(agents, seen.mask.shape[:2])}, seen.mask.shape[:1])
        probs: Tensor = experiment.group_policies["agents"].get_dist(moment).probs
        return probs

    config, algorithm = ExperimentConfig.get_from_yaml(), MappoConfig.get_from_yaml()
    config.max_n_frames, config.max_n_iters, config.lr, config.gamma = None, max(watch.marks), rate, GAMMA
    config.on_policy_n_envs_per_worker, config.on_policy_collected_frames_per_batch = ENVS, ENVS * STEPS
    config.on_policy_minibatch_size, config.on_policy_n_minibatch_iters = ENVS * STEPS // SLICES, PASSES
    config.evaluation, config.loggers, config.create_json = False, [], False
    algorithm.lmbda, algorithm.clip_epsilon, algorithm.entropy_coef = LAMBDA, CLIP, ENTROPY
    with tempfile.TemporaryDirectory() as folder:
        config.save_folder = folder
        experiment = Experiment(
            task=Normalised("cloud", settings), algorithm_config=algorithm, model_config=MlpConfig.get_from_yaml(),
            critic_model_config=MlpConfig.get_from_yaml(), seed=seed, config=config, callbacks=[Watching()],
        )  # fmt: skip
        watch.begin()
        experiment.run()


CONTENDERS: Mapping[str, Contender] = {
    "dg-pg": ours("dg-pg"),
    "mappo": ours("mappo"),
    "sb3-ppo": stable_baselines(masked=False),
    "sb3-maskable-ppo": stable_baselines(masked=True),
    "benchmarl-mappo": benchmarl,
}


def reached(watch: Watch, quality: float, h: float, times: bool) -> dict[str, Any]:
    """Updates, and seconds, to the first mark at which the cost is at most `quality` times h; "never" if none."""
    mark = next((mark for mark, cost in watch.cost.items() if cost <= quality * h), None)
    found: dict[str, Any] = {f"updates to {quality:g} h": "never" if mark is None else mark * ADAM_STEPS}
    if times:
        found[f"s to {quality:g} h"] = "never" if mark is None else sum(watch.seconds[:mark])
    return found


def main() -> None:
    """Print one JSON line a run, then one a contender, with ratios to dgpg's mappo of the same seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--marks", type=int, nargs="+", default=[2, 4, 6, 8, 10, 15, 20, 25, 30, 40])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-times", action="store_true", help="leave out what depends on the machine's load")
    parser.add_argument("--tune", type=float, nargs="+", help="learning rates to try, on other arrivals")
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = {"num_agents": args.agents}
    arrivals = TUNING_ARRIVALS if args.tune else ARRIVALS
    seconds: dict[str, list[float]] = {name: [] for name in args.contenders}
    plan = launch.resolve("cloud", {"settings": settings, "device": "cpu"})

    def measure(policy: Policy) -> float:
        episodes = episodes_for(args.agents)
        return float(episode_costs(plan.domain, plan.config, policy, episodes, arrivals, torch.device("cpu")).mean())

    h = min(measure(rule) for rule in plan.domain.baselines(plan.config) if rule.information == "same")  # type: ignore[attr-defined]

    for seed in range(args.seeds):
        for name in args.contenders:
            for rate in args.tune or [RATE]:
                watch = Watch(args.marks, measure)
                CONTENDERS[name](settings, seed, rate, watch)
                seconds[name].append(statistics.median(watch.seconds))
                told = {"agents": args.agents, "contender": name, "seed": seed}
                told |= {"learning rate": rate} if args.tune else {}
                told |= {"over h": {mark: cost / h for mark, cost in watch.cost.items()}}
                for quality in QUALITIES:
                    told |= reached(watch, quality, h, not args.no_times)
                if not args.no_times:
                    told |= {"s an iteration": seconds[name][-1]}
                    if "mappo" in seconds and len(seconds["mappo"]) > seed:
                        told |= {"times dgpg's mappo": seconds[name][-1] / seconds["mappo"][seed]}
                emit(told)


if __name__ == "__main__":
    published(main)
