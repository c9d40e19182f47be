"""Noise of each agent's gradient against the number of agents, at a fixed policy under common random numbers.

    python benchmarks/signal_to_noise.py --draws 1000 --figure docs/figures/signal_to_noise.png

Cloud domain, preset `waiting`. The policy is trained briefly at N = 50; one set of weights serves every N. In states
of an episode all agents draw their actions anew many times, arrivals the same; returns have their mean in the state
taken off. A gradient is that of the policy's last layer: of an agent's own weights (independent), or the mean over
agents (shared). SNR^2 = |E g|^2 / tr Cov g, sums over agents and states; |E g|^2 is debiased by tr Cov / draws.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from common import FOLLOWING, emit
from publishing import published
from scipy.stats import linregress, t
from torch import Tensor

from dgpg.domain import random
from dgpg.learning import Task, Trainer, guidance
from dgpg.learning.actions import CATEGORICAL as categorical
from dgpg.learning.algorithms import find
from dgpg.learning.networks import ScoringActor
from dgpg.runs import launch, machine

HORIZONS = (1, 16)
GAMMA = 0.95
MIXES = (0.5, 0.9)
SETTINGS = {"num_agents": 50, "preset": "waiting", "candidates": 5}
"""Five candidates, so that N = 5 has as many choices, and as many dispatchers a machine, as the others."""
MODEL = "cloud.capacity"
"""The model that the published figures were measured with; `cloud.headroom` came later."""


@dataclass(frozen=True)
class Draws:
    """M joint actions in each of S states."""

    features: Tensor
    """Last layer's inputs, `[S, N, K, D]`."""
    probability: Tensor
    """pi_i(k), `[S, N, K]`; zero where an agent has nothing to decide."""
    actions: Tensor
    """`[M, S, N]`."""
    returns: Mapping[int, Tensor]
    """By horizon, `[M, S]`."""
    shaped: Mapping[int, Tensor]
    """The same with potential-based shaping."""
    exact: Tensor
    """u_i(k) centred, `[M, S, N, K]`."""
    linear: Tensor
    """The paper's -<grad phi, z_i(a_i)>, `[M, S, N]`."""
    rest: Tensor
    """-(phi(x) - phi(x^)), `[M, S]`."""


def trained(seed: int) -> ScoringActor:
    """A policy that has learned for five iterations at N = 50."""
    plan = launch.resolve(
        "cloud",
        {"iterations": 5, "seed": seed, "settings": SETTINGS, "device": "cpu", "model": MODEL, "train": FOLLOWING},
    )
    trainer = Trainer(plan.run, find("dg-pg"), plan.task)
    for _ in range(5):
        trainer.iterate()
    return trainer.actor


@torch.no_grad()
def collect(task: Task, actor: ScoringActor, count: int, seed: int) -> Draws:
    """Draw, replay and measure in the states at a quarter of the episode."""
    env = task.env
    chance = random.Streams(random.derive(seed, "signal"), env.num_envs)

    def act(decision, noise):  # type: ignore[no-untyped-def]
        logs = categorical.parameters(actor.outputs(decision.observation), decision.observation.mask)
        return categorical.sample(logs, noise)

    decision = env.reset()
    for _ in range(env.horizon // 4):
        decision = env.step(act(decision, chance.uniform(env.num_agents))).decision
    saved, seen, context = env.state_dict(), decision.observation, decision.context
    logs = categorical.parameters(actor.outputs(seen), seen.mask)
    probability = logs.exp() * seen.active.unsqueeze(-1)
    influence, base = task.mapping.influence(seen, context), task.mapping.base_state(context)
    found: dict[str, list[Tensor]] = {name: [] for name in ("actions", "exact", "linear", "rest")}
    returns: dict[int, list[Tensor]] = {h: [] for h in HORIZONS}
    shaped: dict[int, list[Tensor]] = {h: [] for h in HORIZONS}
    phi = task.model.potential(base, context)
    for _ in range(count):
        noise = chance.uniform(max(HORIZONS), env.num_agents)
        env.load_state_dict(saved)
        actions = categorical.sample(logs, noise[:, 0])
        step = env.step(actions)
        total = step.reward.double()
        rise = guidance.marginal_potential(task.model, step.state, context, influence, actions, seen.active)
        mean = (rise * probability).sum(-1, keepdim=True)
        first = guidance.linear_potential(task.model, step.state, context, influence)
        found["actions"].append(actions)
        found["exact"].append((mean - rise) * (probability > 0))
        found["linear"].append(-categorical.log_prob(first, actions) * seen.active)
        found["rest"].append(-guidance.unexpected(task.model, step.state, base, context, influence, probability))
        for h in range(1, max(HORIZONS) + 1):
            if h in HORIZONS:
                after = task.model.potential(task.mapping.base_state(step.decision.context), step.decision.context)
                returns[h].append(total)
                shaped[h].append(total + phi - GAMMA**h * after)
            if h < max(HORIZONS):
                step = env.step(act(step.decision, noise[:, h]))
                total = total + GAMMA**h * step.reward
    return Draws(
        features=actor.hidden(*actor.features(seen.agent, seen.choices)),
        probability=probability,
        returns={h: torch.stack(x) for h, x in returns.items()},
        shaped={h: torch.stack(x) for h, x in shaped.items()},
        **{name: torch.stack(x) for name, x in found.items()},
    )


def advantages(draws: Draws, horizon: int) -> dict[str, Tensor]:
    """By form, the advantage of the drawn action `[M, S, N]`, or of every choice `[M, S, N, K]`."""
    active = draws.probability.sum(-1) > 0
    agents = active.shape[-1]

    def column(x: Tensor) -> Tensor:
        return (x - x.mean(0)).float().unsqueeze(-1).expand(-1, -1, agents)

    def unit(x: Tensor, weight: Tensor) -> Tensor:
        return x / ((x.square() * weight).sum() / (weight.sum() * len(x))).sqrt()

    own = draws.exact.gather(-1, draws.actions.unsqueeze(-1)).squeeze(-1)
    total = column(draws.returns[horizon])
    baseline = column(draws.rest) - own
    coefficient = float((total * baseline)[:, active].sum() / baseline.square()[:, active].sum())
    normal = unit(total, active)
    every = unit(draws.exact, draws.probability)
    linear = draws.linear - draws.linear[:, active].mean()
    forms = {
        "mappo, sum of rewards": total,
        "mappo, mean of rewards": total / agents,
        "mappo, normalised": normal,
        "control variate": total - coefficient * baseline,
        "potential-based": column(draws.shaped[horizon]),
        "first order": unit(linear, active),
        "exact": unit(own, active),
        "all action": every,
    }
    for alpha in MIXES:
        drawn = every.gather(-1, draws.actions.unsqueeze(-1)).squeeze(-1)
        forms[f"exact, alpha {alpha}"] = (1 - alpha) * normal + alpha * drawn
    return forms


def measure(draws: Draws, advantage: Tensor) -> dict[str, float]:
    """tr Cov and SNR^2 of agents' own and of shared last-layer weights."""
    probability, count = draws.probability, len(draws.actions)
    active = probability.sum(-1) > 0
    own_sum, own_square, all_sum, all_square = 0.0, 0.0, 0.0, 0.0
    for actions, a in zip(draws.actions, advantage, strict=True):
        if a.dim() == 3:
            logits = probability * (a - (probability * a).sum(-1, keepdim=True))
        else:
            taken = torch.nn.functional.one_hot(actions, probability.shape[-1]) * active.unsqueeze(-1)
            logits = (taken - probability) * a.unsqueeze(-1)
        own = torch.einsum("snk,snkd->snd", logits, draws.features).double()
        shared = own.sum(1) / active.sum(1, keepdim=True).clamp(min=1)
        own_sum, own_square = own_sum + own, own_square + own.square().sum(-1)
        all_sum, all_square = all_sum + shared, all_square + shared.square().sum(-1)
    result = {}
    for name, total, square in (("independent", own_sum, own_square), ("shared", all_sum, all_square)):
        mean = (total / count).square().sum(-1)
        covariance = (square / count - mean) * count / (count - 1)
        signal = (mean - covariance / count).sum()
        result[f"{name} trace"] = float(covariance.sum() / (active.sum() if name == "independent" else len(mean)))
        result[f"{name} snr2"] = float(signal / covariance.sum())
    return result


def slope(agents: list[int], values: list[float]) -> tuple[float, float]:
    """Slope in log-log and half of its 95 % interval; NaN where a value is not positive (no signal found)."""
    if min(values) <= 0 or len(agents) < 3:
        return float("nan"), float("nan")
    fit = linregress(np.log(agents), np.log(values))
    return float(fit.slope), float(t.ppf(0.975, len(agents) - 2) * fit.stderr)


def draw_figure(cells: list[dict[str, object]], path: Path) -> None:
    """SNR^2 of one-step gradients over N, independent and shared parameters."""
    import matplotlib.pyplot as plt

    shown = ("mappo, normalised", "control variate", "first order", "exact", "all action")
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for axis, kind in zip(axes, ("independent", "shared"), strict=True):
        for form in shown:
            rows = [c for c in cells if c["form"] == form and c["horizon"] == 1]
            axis.plot([c["agents"] for c in rows], [c[f"{kind} snr2"] for c in rows], marker="o", ms=3, label=form)
        axis.set(xscale="log", yscale="log", xlabel="agents N", title=f"{kind} parameters")
    axes[0].set_ylabel("SNR² of the gradient, one draw")
    axes[1].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main() -> None:
    """One JSON line a cell, then the table of slopes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, nargs="+", default=[5, 10, 20, 50, 100, 200, 500, 1000])
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--rows", type=int, default=4000, help="states times agents, at 4 to 64 states")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path, default=None)
    args = parser.parse_args()
    torch.set_num_threads(1)
    machine.keep_memory()
    actor, cells = trained(args.seed), []
    for agents in args.agents:
        states = min(max(args.rows // agents, 4), 64)
        settings = SETTINGS | {"num_agents": agents}
        plan = launch.resolve(
            "cloud", {"settings": settings, "num_envs": states, "device": "cpu", "seed": args.seed, "model": MODEL}
        )
        draws = collect(plan.task, actor, args.draws, args.seed)
        for horizon in HORIZONS:
            for form, advantage in advantages(draws, horizon).items():
                cell = {"agents": agents, "horizon": horizon, "form": form, **measure(draws, advantage)}
                cells.append(cell)
                emit(cell)
    print_slopes(args.agents, cells)
    if args.figure:
        draw_figure(cells, args.figure)


def print_slopes(agents: list[int], cells: list[dict[str, object]]) -> None:
    """Slopes over N with intervals, as a table for docs/results/signal-to-noise.md."""
    forms = list(dict.fromkeys(str(cell["form"]) for cell in cells))
    for horizon in HORIZONS:
        print(f"\n### Returns over {horizon} step{'s' * (horizon > 1)}\n", file=sys.stderr)
        columns = [f"{kind} {what}" for kind in ("independent", "shared") for what in ("trace", "snr2")]
        print("| form | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1), file=sys.stderr)
        for form in forms:
            rows = [c for c in cells if c["form"] == form and c["horizon"] == horizon]
            fits = [slope(agents, [float(str(c[name])) for c in rows]) for name in columns]
            print(f"| {form} | " + " | ".join(f"{s:+.2f} ± {e:.2f}" for s, e in fits) + " |", file=sys.stderr)
    print(json.dumps({"done": True}))


if __name__ == "__main__":
    published(main)
