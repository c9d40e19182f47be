"""Pictures of a fleet beside the same cars as people: what each edge costs everybody, and how long trips take when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dgpg.domain import Environment, Policy, random
from dgpg.showing import blank, colour, held_against, rule_colours, save
from dgpg.showing.style import APART, FULLNESS
from dgpg_traffic.sumo.config import Config
from dgpg_traffic.sumo.day import Outcome
from dgpg_traffic.sumo.instance import Instance, build
from dgpg_traffic.sumo.network import Floats, Ints, shapes

HUMAN = "human"
DAYS = 5
"""Days that are drawn."""
SHOWN = ("aon", "best-response")
"""Rules beside the fleet and people."""
PARTS = 8
"""Of the day, by departures: as many drivers of the fleet in each."""
HALF = (25, 75)
"""Percentiles of days between which a band lies."""


@dataclass(frozen=True)
class Played:
    """Days of one policy."""

    choice: Ints
    """Of all drivers, `[D, n]`."""
    outcomes: tuple[Outcome, ...]


def draw(config: Config, env: Environment, policies: Mapping[str, Policy], folder: Path, seed: int) -> list[Path]:
    """`edges.svg` of the first policy and people, `day.svg` of some rules too, on SUMO seeds of their own.

    Raises:
        ConfigError: `policies` has no `human`, or nothing beside it.
    """
    name = held_against(policies, HUMAN)
    instance = build(config)
    played = {key: played_by(instance, env, policies[key], seed) for key in (name, HUMAN, *SHOWN) if key in policies}
    return [
        edges(folder / "edges.svg", instance, {key: played[key] for key in (name, HUMAN)}),
        day(folder / "day.svg", instance, played),
    ]


@torch.no_grad()
def played_by(instance: Instance, env: Environment, policy: Policy, seed: int) -> Played:
    """Days of a policy's routes; SUMO's seeds are the same for every policy."""
    decision = env.reset()
    noise = random.Streams(random.derive(seed, "policy"), 1).uniform(DAYS, len(instance.fleet))
    choice = np.repeat(instance.humans.choice[None], DAYS, 0)
    for d, one in enumerate(noise.unbind(1)):
        choice[d, instance.fleet] = policy.act(decision, one)[0].numpy()
    seeds = np.random.SeedSequence([seed, 6]).generate_state(DAYS) % 2**31
    return Played(choice, tuple(instance.days.play(c, int(s)) for c, s in zip(choice, seeds, strict=True)))


def lost(instance: Instance, played: Played) -> Floats:
    """Minutes a day that everybody together loses on each edge over its time without traffic, `[E]`."""
    network, everyone = instance.network, np.arange(played.choice.shape[1])
    total = np.zeros(len(network.edges))
    for choice, outcome in zip(played.choice, played.outcomes, strict=True):
        taken, there = instance.days.edges[everyone, choice], ~np.isnan(outcome.passed)
        np.add.at(total, taken[there], outcome.passed[there] - network.free_time[taken[there]])
    found: Floats = total / 60 / len(played.outcomes)
    return found


def by_part(instance: Instance, played: Played) -> Floats:
    """Mean minutes of the fleet in each part of the day, of each day, `[D, P]`; drivers are in the order they leave."""
    parts = np.array_split(instance.fleet, min(PARTS, len(instance.fleet)))
    return np.array([[one.minutes[part].mean() for part in parts] for one in played.outcomes])


def edges(path: Path, instance: Instance, played: Mapping[str, Played]) -> Path:
    """What is lost on each edge under people, under the policy, and the difference."""
    from matplotlib.collections import LineCollection

    name = next(iter(played))
    lines = shapes(instance.network)
    before, after = lost(instance, played[HUMAN]), lost(instance, played[name])
    apart = after - before
    top = max(float(np.percentile(before, 99)), 1e-3)
    reach = max(float(np.percentile(np.abs(apart), 99)), 1e-3)
    figure, panels = blank(14, 5.2, columns=3)
    told = [(HUMAN, before, FULLNESS, (0, top)), (name, after, FULLNESS, (0, top)),
            (f"{name} less {HUMAN}", apart, APART, (-reach, reach))]  # fmt: skip
    for axes, (title, values, shades, limits) in zip(panels, told, strict=True):
        order = np.argsort(np.abs(values), kind="stable")
        drawn = LineCollection([lines[e] for e in order], array=values[order], cmap=shades, linewidths=1.6)
        drawn.set_clim(*limits)
        axes.add_collection(drawn)
        axes.autoscale_view()
        axes.set(aspect="equal", title=f"{title}: {values.sum():.4g} minutes a day")
        axes.axis("off")
        figure.colorbar(drawn, ax=axes, location="bottom", aspect=30, label="minutes a day over those without traffic")
    figure.supxlabel(f"everybody on each edge, mean of {DAYS} days", fontsize=9, color="#555555")
    return save(figure, path)


def day(path: Path, instance: Instance, played: Mapping[str, Played]) -> Path:
    """Minutes of the fleet's trips over the day, and above the same cars as people."""
    figure, (plain, over) = blank(12, 4.2, columns=2)
    name, human = next(iter(played)), by_part(instance, played[HUMAN])
    parts = np.array_split(instance.days.depart[instance.fleet], human.shape[1])
    at = np.array([part.mean() / 60 for part in parts])
    others = rule_colours([key for key in played if key not in (name, HUMAN)], name)
    for key, one in played.items():
        shade = colour(name) if key == name else "#333333" if key == HUMAN else others[key]
        style: dict[str, Any] = {"color": shade, "marker": ".", "linestyle": "--" if key == HUMAN else "-"}
        for axes, values in ((plain, by_part(instance, one)), (over, by_part(instance, one) - human)):
            axes.plot(at, values.mean(0), label=key if axes is plain else None, **style)
            if key in (name, HUMAN):
                axes.fill_between(at, *np.percentile(values, HALF, axis=0), color=shade, alpha=0.18, linewidth=0)
    plain.set(xlabel="departure, minutes", ylabel="minutes", title="mean trip of the fleet")
    over.set(xlabel="departure, minutes", ylabel="minutes", title="above the same cars as people, the same days")
    figure.legend(loc="outside right center", frameon=False)
    note = f"lines: mean of {DAYS} days; bands: the middle half of them"
    figure.supxlabel(note, fontsize=9, color="#555555")
    return save(figure, path)
