"""Agent-steps a second of the simulator and of whole training iterations, share of guidance, peak memory.

python benchmarks/throughput.py --agents 50 200 1500
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import torch
from common import emit
from publishing import published

from dgpg.learning import Trainer
from dgpg.learning.algorithms import find
from dgpg.runs import launch, machine


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Median wall time of one call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def simulator(plan: launch.Plan) -> tuple[float, float]:
    """Agent-steps/s of the machines alone (place, start, charge, release) and with features, one thread."""
    torch.set_num_threads(1)
    env = plan.task.env
    rule = next(r for r in plan.domain.baselines(plan.config) if r.name == "least-requested")
    noise = torch.zeros(env.num_envs, env.num_agents)
    dynamics, steps = 0.0, 0.0
    decision = env.reset()
    for _ in range(env.horizon - 1):
        actions = rule.act(decision, noise)
        start = time.perf_counter()
        env.advance(actions)
        middle = time.perf_counter()
        env.decision = decision = env.observe()
        end = time.perf_counter()
        dynamics, steps = dynamics + middle - start, steps + end - start
    count = env.num_envs * env.num_agents * (env.horizon - 1)
    return count / dynamics, count / steps


def main() -> None:
    """Print one line for each number of agents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, nargs="+", default=[50, 200, 1500])
    parser.add_argument("--algorithms", nargs="+", default=["dg-pg", "mappo", "ippo", "ippo-local"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parameters", choices=("shared", "independent"), default="shared")
    args = parser.parse_args()
    for agents in args.agents:
        plan = launch.resolve("cloud", {"settings": {"num_agents": agents}, "device": "cpu"})
        alone, features = simulator(plan)
        print(f"N = {agents}: simulator {alone:,.0f} agent-steps/s, with features {features:,.0f}", flush=True)
        for algorithm in args.algorithms:
            values = {"algorithm": algorithm, "device": "cpu", "train": {"parameters": args.parameters}}
            plan = launch.resolve("cloud", {**values, "settings": {"num_agents": agents}})
            torch.set_num_threads(plan.run.train.threads or 1)
            machine.keep_memory()
            trainer = Trainer(plan.run, find(algorithm), plan.task)
            metrics = trainer.iterate()
            seconds = median_seconds(trainer.iterate, args.repeats)
            metrics = trainer.iterate()
            rate = plan.run.num_envs * trainer.horizon * agents / seconds
            shares = ", ".join(f"{s} {metrics[f'share_{s}']:.0%}" for s in ("rollout", "guidance", "update"))
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            emit(
                {
                    "agents": agents,
                    "algorithm": algorithm,
                    "simulator": alone,
                    "with features": features,
                    "iteration": rate,
                }
            )
            print(
                f"  {algorithm:<11} {rate:,.0f} agent-steps/s ({shares}), {plan.run.train.threads} threads, "
                f"peak memory of this process {memory:.2f} GiB",
                flush=True,
            )


if __name__ == "__main__":
    published(main)
