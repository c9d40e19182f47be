"""Pictures of a policy beside the optimum: how full the roads are, also hour by hour, and how long a trip takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from dgpg.domain import Policy
from dgpg.showing import COLOURS, blank, colour, held_against, rule_colours, save
from dgpg.showing.figures import Axes
from dgpg.showing.maps import MOVING, moving, placed
from dgpg.showing.style import APART, FAINT, FULLNESS, STREET
from dgpg_traffic.arrays import BoolArray, FloatArray
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM, USER_EQUILIBRIUM
from dgpg_traffic.config import Config
from dgpg_traffic.instance import build
from dgpg_traffic.judge.replay import Replay, replay
from dgpg_traffic.network.network import Network

OPTIMUM = SYSTEM_OPTIMUM.name
DAYS = 8
"""Episodes that are drawn."""
TOO_SLOW = 1.5
"""Rules whose trips take this many times the optimum's are left out of the day: they would flatten it."""
WIDEST = 0.035
"""Of a link, share of the map's longer side; less where links are short."""
NARROW = 0.016
"""The least that the widest band may be, where links are very short."""
HALF = (25, 75)
"""Percentiles of days between which a band lies."""
SEEN = 1e-3
"""Difference, share of the largest value, below which colours and widths stay faint: it is rounding."""
ASIDE = 0.004
"""Of a street's two directions from its middle in a moving picture, share of the map's longer side."""
WIDTH = 46
"""Letters of a title in a panel's width."""
COLOUR = {OPTIMUM: COLOURS["oracle"], USER_EQUILIBRIUM.name: "#333333"}
"""Of rows that every figure has; the policy's is that of its algorithm."""


def draw(config: Config, policies: Mapping[str, Policy], folder: Path, seed: int) -> list[Path]:
    """`roads.svg`, `day.svg` and, of days of several periods, `roads_day.moving.json`, which pages show.

    The first is of the first policy and the optimum, the second of the other rules too, the last of the policy.

    Raises:
        ConfigError: `policies` has no `system-optimum`, or nothing beside it.
    """
    name = held_against(policies, OPTIMUM)
    instance = build(config)
    network, shade = instance.network, FLOW if instance.meaningless else LOADING
    replays = {key: replay(config, policy, DAYS, seed) for key, policy in policies.items()}
    drawn = [
        roads(folder / "roads.svg", network, {key: replays[key] for key in (name, OPTIMUM)}, shade),
        day(folder / "day.svg", replays, network.cost_name),
    ]
    if len(np.unique(replays[name].period)) > 1:
        drawn.append(hours(folder / f"roads_day{MOVING}", network, name, replays[name], shade))
    return drawn


@dataclass(frozen=True)
class Shade:
    """What the colour of a link stands for."""

    of: Callable[[Replay], FloatArray]
    """Of each link, `[L]`."""
    label: str
    full: float | None
    """Marked in the colour bar."""


def roads(path: Path, network: Network, replays: Mapping[str, Replay], shade: Shade | None = None) -> Path:
    """Flow over capacity of each link, or another `shade`, under two policies, means of all periods; the difference."""
    shade = shade or LOADING
    (name, shown), (_, best) = replays.items()
    place, note = placed(network.place, network.tail, network.head)
    drawn = streets(network)
    figure, panels = blank(14, 2.3 + 4.3 * float(place[:, 1].max()), columns=3)
    figure.get_layout_engine().set(h_pad=0.3)  # maps keep their proportions, and would push titles over the edge
    flows, loads = ([of(x)[drawn] for x in (shown, best)] for of in (mean_flow, shade.of))
    most, top = (max(float(x.max()) for x in both) for both in (flows, loads))
    trips = [float(x.travel_time.mean()) for x in (shown, best)]
    for axes, flow, load in zip(panels, flows, loads, strict=False):
        colours = _links(axes, network, place, load, flow / max(most, 1e-9), FULLNESS, (0.0, top))
    bar = figure.colorbar(colours, ax=panels[:2], location="bottom", shrink=0.5, aspect=40, label=shade.label)
    if shade.full is not None and top > shade.full:
        bar.ax.axvline(shade.full, color="black", linewidth=1.5)
    moved, apart = np.abs(flows[0] - flows[1]), loads[0] - loads[1]
    reach = max(float(np.abs(apart).max()), SEEN * top, 1e-9)
    colours = _links(
        panels[2], network, place, apart, moved / max(moved.max(), SEEN * most, 1e-9), APART, (-reach, reach)
    )
    bar = figure.colorbar(colours, ax=panels[2], location="bottom", aspect=20, label=f"difference in {shade.label}")
    bar.ax.locator_params(nbins=5)
    over = 100 * (trips[0] / trips[1] - 1) if trips[1] > 0 else 0.0
    panels[0].set_title(_title(name, f"mean {network.cost_name} {trips[0]:.4g}, {over:+.2g} %"))
    panels[1].set_title(_title(OPTIMUM, f"mean {network.cost_name} {trips[1]:.4g}"))
    panels[2].set_title(_title(f"{name} less {OPTIMUM}", f"widest: {_rounded(float(moved.max()))} vehicles a period"))
    caption = f"{network.name}, mean of {DAYS} days; directions at the right of their street, as wide as their flow"
    faint = "; connectors of zones are faint, without their flow" if not drawn.all() else ""
    figure.supxlabel(f"{caption}{faint}{note}", fontsize=9, color="#555555")
    return save(figure, path)


def streets(network: Network) -> BoolArray:
    """Links that are roads and no connectors of zones that may not be crossed, `[L]`; all, if there are no others."""
    found: BoolArray = network.through[network.tail] & network.through[network.head]
    return found if found.any() else ~found


def _title(first: str, second: str) -> str:
    """Two lines, broken where they are wider than a panel."""
    return "\n".join(line for text in (first, second) for line in wrap(text, WIDTH))


def _rounded(x: float) -> str:
    """Whole vehicles, or three digits of few."""
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def mean_flow(shown: Replay) -> FloatArray:
    """Vehicles a period, mean over periods and days, `[L]`."""
    found: FloatArray = shown.flow.mean((0, 1))
    return found


def loading(shown: Replay) -> FloatArray:
    """Flow over capacity, mean over periods and days, `[L]`."""
    found: FloatArray = (shown.flow / shown.capacity).mean((0, 1))
    return found


LOADING = Shade(loading, "flow over capacity", 1.0)
FLOW = Shade(mean_flow, "flow, vehicles a period", None)
"""Where capacities mean nothing."""


def bands(network: Network, place: FloatArray, share: FloatArray) -> FloatArray:
    """Corners of each street's band, `[S, 4, 2]`, at the right of the line between its nodes: traffic keeps right.

    Args:
        network: the links, S of which are `streets`.
        place: of nodes, `[V, 2]`.
        share: width of each band, share of the widest, `[S]`.
    """
    drawn = streets(network)
    start, end = place[network.tail[drawn]], place[network.head[drawn]]
    along = end - start
    size = np.linalg.norm(along, axis=-1, keepdims=True)
    right = np.stack([along[:, 1], -along[:, 0]], -1) / np.maximum(size, 1e-9)
    aside = min(WIDEST, max(0.25 * float(np.median(size)), NARROW)) * share[:, None] * right
    return np.stack([start, end, end + aside, start + aside], 1)


def _links(
    axes: Axes, network: Network, place: FloatArray, load: FloatArray, share: FloatArray, colours: str,
    limits: tuple[float, float],
) -> Any:  # fmt: skip
    """Every street as a band on its grey line, connectors as faint lines; what a colour bar needs."""
    from matplotlib.collections import LineCollection, PolyCollection

    drawn = streets(network)
    lines = place[np.stack([network.tail, network.head], 1)]
    axes.add_collection(LineCollection(list(lines[~drawn]), colors=FAINT, linewidths=0.5, zorder=0.5))
    axes.add_collection(LineCollection(list(lines[drawn]), colors=STREET, linewidths=0.6, zorder=1))
    order = np.argsort(share, kind="stable")  # the widest on top where bands meet
    corners = bands(network, place, share)[order]
    shade = PolyCollection(list(corners), array=load[order], cmap=colours, edgecolors="face", linewidths=0.1, zorder=2)
    shade.set_clim(*limits)
    axes.add_collection(shade)
    low, high = lines[drawn].min((0, 1)), lines[drawn].max((0, 1))
    axes.set(aspect="equal", xlim=(low[0] - 0.05, high[0] + 0.05), ylim=(low[1] - 0.05, high[1] + 0.05))
    axes.axis("off")
    return shade


def hours(path: Path, network: Network, name: str, shown: Replay, shade: Shade) -> Path:
    """The load of each street in each period of the day, mean of the days, as a moving picture."""
    place, note = placed(network.place, network.tail, network.head)
    drawn = streets(network)
    load = np.stack([shade.of(_of_period(shown, t))[drawn] for t in np.unique(shown.period)])
    full = 1.0 if shade.full is not None else max(float(load.max()), 1e-9)
    label = shade.label if shade.full is not None else f"{shade.label}, share of the largest"
    title = f"{name} on {network.name}, hour by hour, mean of {DAYS} days{note}"
    ends = place[np.stack([network.tail, network.head], 1)[drawn]]
    along = ends[:, 1] - ends[:, 0]
    right = np.stack([along[:, 1], -along[:, 0]], -1) / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
    return moving(path, ends + ASIDE * right[:, None], load / full, _clock(len(load)), label, title)


def _clock(periods: int) -> list[str]:
    """When each period of a day begins."""
    return [f"{1440 * k // periods // 60:02d}:{1440 * k // periods % 60:02d}" for k in range(periods)]


def _of_period(shown: Replay, period: int) -> Replay:
    """One period of every day, as a replay of one step, `[1, E, ...]`."""
    at = (shown.period == period).argmax(0)[None]
    each = np.arange(at.shape[1])[None]
    return Replay(*(getattr(shown, field.name)[at, each] for field in fields(Replay)))


def day(path: Path, replays: Mapping[str, Replay], cost: str = "travel time") -> Path:
    """Travel time, or another `cost`, of a vehicle by the period of the day, and how far it is above the optimum's.

    Lines are means of the days; bands, of the policy and the optimum, hold the middle half of them.
    """
    figure, (plain, over) = blank(12, 4.2, columns=2)
    best, kept = by_period(replays[OPTIMUM]), shown_rules(replays)
    first = kept[0]
    others = rule_colours([name for name in kept[1:] if name not in COLOUR], first)
    for name in kept:
        shade = colour(name) if name == first else COLOUR.get(name) or others[name]
        style: dict[str, Any] = {"color": shade, "zorder": 3 if name == first else 2}
        style |= {"linestyle": "--" if name in COLOUR else "-", "marker": "" if len(best) == 1 else "."}
        label = f"{name} (knows all demand)" if name in COLOUR else name
        plain.plot(*_across(by_period(replays[name])), label=label, **style)
        over.plot(*_across(100 * (by_period(replays[name]) / best - 1)), **style)
        if name in (first, OPTIMUM):
            days, optimum = by_day(replays[name]), by_day(replays[OPTIMUM])
            for axes, values in ((plain, days), (over, 100 * (days / optimum - 1))):
                low, high = (_across(end) for end in np.percentile(values, HALF, axis=1))
                axes.fill_between(*low, high[1], color=shade, alpha=0.18, linewidth=0, zorder=1)
    plain.set(ylabel=f"{cost}, the network's unit of time", title=f"{cost} of a vehicle that enters")
    over.set(ylabel="%", title=f"above {OPTIMUM}")
    for axes in (plain, over):
        axes.set(xlabel="hour of the day", xlim=(0, 24), xticks=range(0, 25, 4))
    figure.legend(loc="outside right center", frameon=False)
    note = f"lines: mean of {replays[first].period.shape[1]} days; bands: the middle half of them"
    left_out = [name for name in replays if name not in kept]
    if left_out:
        note += f"; left out, more than {TOO_SLOW:g} times the optimum's time: {', '.join(left_out)}"
    figure.supxlabel(note, fontsize=9, color="#555555")
    return save(figure, path)


def _across(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Hours in the middle of the periods, and values; a day of one period is a line across it, not a dot."""
    if len(values) == 1:
        return np.array([0.0, 24.0]), np.repeat(values, 2)
    return 24 * (np.arange(len(values)) + 0.5) / len(values), values


def shown_rules(replays: Mapping[str, Replay]) -> list[str]:
    """The policy, the oracles, and the rules whose trips do not take `TOO_SLOW` times the optimum's."""
    most = TOO_SLOW * replays[OPTIMUM].travel_time.mean()
    first = next(iter(replays))
    return [name for name, x in replays.items() if name == first or name in COLOUR or x.travel_time.mean() <= most]


def by_period(shown: Replay) -> FloatArray:
    """Mean travel time of a vehicle in each period of the day, `[T]`."""
    total = np.bincount(shown.period.reshape(-1), shown.travel_time.reshape(-1))
    mean: FloatArray = total / np.bincount(shown.period.reshape(-1))
    return mean


def by_day(shown: Replay) -> FloatArray:
    """Travel time of a vehicle in each period of each day, `[T, E]`, from the first period of a day on."""
    order = np.argsort(shown.period, 0, kind="stable")
    time: FloatArray = np.take_along_axis(shown.travel_time, order, 0)
    return time
