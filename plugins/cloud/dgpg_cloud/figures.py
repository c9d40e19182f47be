"""Figures of a policy beside the best rule of its information and its untrained self: use, waits, machines, jobs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dgpg.domain import Policy
from dgpg.errors import ConfigError
from dgpg.showing import COLOURS, blank, colour, save
from dgpg_cloud.config import Config
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.recording import Recording, record
from dgpg_cloud.replay import profile
from dgpg_cloud.workload import FloatArray

EPISODES = 8
"""Episodes that figures are of; single runs of jobs are those of the first."""
NAMES = ("vCPU", "memory", "GPU")
UNTRAINED = "untrained"
"""The policy before its training, as an evaluation names it."""
PATIENCE = (50, 95, 99)
"""Percentiles that are marked in the distribution of waits."""
LANES = 6
"""Machines whose jobs are shown one by one."""
LINES = 60
"""Jobs of a machine that are shown, the longest first."""
POINTS = 400
"""Points of a distribution."""
TYPES = 14
"""Types of machine that are told apart; those with the least money are added up."""


def draw(config: Config, policies: Mapping[str, Policy], folder: Path, seed: int) -> list[Path]:
    """`use.svg`, `waiting.svg`, `types.svg`, `machines.svg` and, of a trace, `durations.svg`.

    Of the policies, which come in the order of an evaluation's table, only those are played that are shown.

    Raises:
        ConfigError: `policies` has nothing beside the policy to draw.
    """
    name, *others = policies
    rules = [other for other in others if other != UNTRAINED]
    if not rules:
        raise ConfigError(f"policies = [{name!r}]: expected rules beside it: take them from domain.baselines(config)")
    instance, among = build(config), (name, rules[0], UNTRAINED)
    shown = {key: record(config, policies[key], EPISODES, seed) for key in among if key in policies}
    drawn = [
        use(folder / "use.svg", instance, shown),
        waiting(folder / "waiting.svg", instance, shown),
        types(folder / "types.svg", instance, shown),
        machines(folder / "machines.svg", instance, name, shown[name]),
    ]
    return drawn if instance.replay is None else [*drawn, durations(folder / "durations.svg", instance)]


def _styles(shown: Mapping[str, Recording]) -> dict[str, dict[str, Any]]:
    """Colour and label of each: the policy, the best rule, and the policy before its training."""
    shades = (colour(next(iter(shown))), COLOURS["baseline"], COLOURS["untrained"])
    return {name: {"color": shade, "label": name} for name, shade in zip(shown, shades, strict=False)}


def use(path: Path, instance: Instance, shown: Mapping[str, Recording]) -> Path:
    """Share of each capacity in use over the first episode; of a trace, what its jobs hold if none waits."""
    resources = instance.capacity.shape[1]
    figure, panels = blank(3.2 * (resources + 1), 3.2, columns=resources + 1, sharey=True)
    offered = _offered(instance, next(iter(shown.values())).starts[0])
    for r, axes in enumerate(panels):
        for name, style in _styles(shown).items():
            axes.plot(shown[name].use[:, 0, r], **style)
        if offered is not None:
            axes.plot(offered[:, r], color="black", linewidth=1, linestyle=":", label="of the trace, if none waited")
        axes.set(title=(*NAMES[:resources], "run slots")[r], xlabel=_clock(instance))
    panels[0].set(ylabel="share of capacity", ylim=(0, None))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return save(figure, path)


def _offered(instance: Instance, start: int | None) -> FloatArray | None:
    if instance.replay is None or start is None:
        return None
    load = profile(instance.replay, instance.pool, instance.fleet, start + instance.config.horizon)
    return load[start:]


def _clock(instance: Instance) -> str:
    return "step" if instance.replay is None else f"step of {instance.replay.step_s:g} s"


def waiting(path: Path, instance: Instance, shown: Mapping[str, Recording]) -> Path:
    """Jobs in buffers (dashed) and queues, mean of the episodes; and the share of jobs that wait longer than a time."""
    figure, (over_time, spread) = blank(10, 3.6, columns=2)
    unit, size = instance.unit
    for name, style in _styles(shown).items():
        one = shown[name]
        over_time.plot(one.queues.mean(1), **style)
        over_time.plot(one.buffers.mean(1), color=style["color"], linestyle="--", linewidth=1)
        wait = np.sort(one.wait) * size
        if len(wait):
            told = ", ".join(f"p{q} {np.percentile(wait, q):.3g}" for q in PATIENCE)
            label = f"{name}: mean {wait.mean():.3g}, {told} {unit}"
            few = len(wait) - np.unique(np.geomspace(1, len(wait), POINTS).astype(int))[::-1]  # all of the tail
            longer = np.maximum(1 - (few + 1) / len(wait), 0.5 / len(wait))
            spread.step(wait[few], longer, where="post", color=style["color"], label=label)
    over_time.set(xlabel=_clock(instance), ylabel="jobs waiting", ylim=(0, None))
    over_time.set_title("in queues, and in buffers (dashed)")
    spread.set(xlabel=f"wait, {unit}", ylabel="share of jobs that wait longer", yscale="log", ylim=(1e-4, 1))
    spread.legend(frameon=False, fontsize=7)
    over_time.legend(frameon=False, fontsize=8)
    return save(figure, path)


def types(path: Path, instance: Instance, shown: Mapping[str, Recording]) -> Path:
    """Jobs started and money by type of machine, the most money of the policy first."""
    table = np.concatenate([instance.capacity, instance.price[:, None]], 1)
    kinds, kind = np.unique(table, axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    money: dict[str, FloatArray] = {
        name: np.bincount(kind, one.on * instance.price, len(kinds)).astype(np.float64) for name, one in shown.items()
    }
    order = np.argsort(-next(iter(money.values())), kind="stable")
    labels = [_type(kinds[k], int((kind == k).sum())) for k in order[:TYPES]] + ["others"] * (len(order) > TYPES)
    figure, (jobs, cost) = blank(11, 0.9 + 0.42 * len(labels), columns=2, sharey=True)
    height = 0.8 / len(shown)
    for i, (name, style) in enumerate(_styles(shown).items()):
        started: FloatArray = np.bincount(kind, shown[name].placed, len(kinds)).astype(np.float64) / EPISODES
        at = np.arange(len(labels)) + (i - (len(shown) - 1) / 2) * height
        jobs.barh(at, _most(started[order]), height, **style)
        cost.barh(at, _most(money[name][order]), height, **style)
    jobs.set_yticks(np.arange(len(labels)), labels, fontsize=8)
    jobs.invert_yaxis()
    jobs.set(xlabel="jobs started an episode")
    cost.set(xlabel="USD per hour switched on")
    cost.legend(frameon=False, fontsize=8)
    return save(figure, path)


def _type(row: FloatArray, count: int) -> str:
    parts = [f"{row[0] / 1000:g} vCPU", f"{row[1] / 1024:.4g} GiB"]
    parts += [f"{row[2] / 1000:g} GPU"] if len(row) > 3 else []
    return f"{count} of {', '.join(parts)}, {row[-1]:.3g} USD/h"


def _most(values: FloatArray) -> FloatArray:
    """The first TYPES, and the sum of the others."""
    found: FloatArray = np.append(values[:TYPES], values[TYPES:].sum()) if len(values) > TYPES else values
    return found


def durations(path: Path, instance: Instance) -> Path:
    """Share of jobs and of work in jobs up to a run time: of the trace, and in whole steps."""
    played, pool = instance.replay, instance.pool
    assert played is not None  # synthetic jobs have no trace to be held against
    seconds = pool.duration[pool.first :]
    steps = played.base_steps[pool.first :] * played.step_s
    vcpu = pool.demand[pool.first :, 0]
    figure, panels = blank(10, 3.4, columns=2, sharey=True)
    told = ((seconds, "black", "trace"), (steps, COLOURS["policy"], f"steps of {played.step_s:g} s"))
    for axes, work in zip(panels, (False, True), strict=True):
        for time, shade, label in told:
            order = np.argsort(time, kind="stable")
            share = (vcpu * time if work else np.ones(len(time)))[order].cumsum()
            few = np.unique(np.linspace(0, len(order) - 1, POINTS).astype(int))
            axes.step(time[order][few] / 3600, (share / share[-1])[few], where="post", color=shade, label=label)
        axes.axvline(instance.config.horizon * played.step_s / 3600, color="#888888", linewidth=1, linestyle=":")
        axes.set(xscale="log", xlabel="run time, h (dotted: an episode)")
        axes.set_title("share of vCPU work" if work else "share of jobs")
    panels[0].legend(frameon=False)
    return save(figure, path)


def machines(path: Path, instance: Instance, name: str, one: Recording) -> Path:
    """What ran on a few machines in the first episode, a line a job; those with the most jobs."""
    ran, horizon = one.runs, instance.config.horizon
    busiest = np.argsort(-np.bincount(ran[:, 0], minlength=len(instance.price)), kind="stable")[:LANES]
    figure, panels = blank(10, 1.5 * len(busiest), rows=len(busiest), sharex=True)
    for axes, m in zip(panels, busiest, strict=True):
        own = ran[ran[:, 0] == m]
        own = own[np.argsort(own[:, 1] - own[:, 2], kind="stable")[:LINES]]
        own = own[np.argsort(own[:, 1], kind="stable")]
        vcpu = own[:, 3] / instance.capacity[m, 0]
        lane, top = np.zeros(len(own)), 0.0
        for i in range(len(own)):  # a few machines of one episode
            lane[i], top = top, top + vcpu[i]
        width = np.minimum(own[:, 2], horizon) - own[:, 1]
        axes.barh(lane + vcpu / 2, width, vcpu, own[:, 1], color=colour(name), edgecolor="white", linewidth=0.3)
        axes.set(ylim=(0, max(top, 1e-9)), xlim=(0, horizon), yticks=[])
        axes.set_ylabel(f"machine {m}", rotation=0, ha="right", va="center", fontsize=8)
    panels[0].set_title(f"{name}: jobs in the order of their start, as high as their share of the vCPUs", fontsize=10)
    panels[-1].set_xlabel(_clock(instance))
    return save(figure, path)
