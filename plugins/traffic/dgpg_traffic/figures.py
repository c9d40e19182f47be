"""Figures of a policy beside the optimum: how full the roads are, and how long a trip takes over the day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from scipy.sparse.csgraph import shortest_path

from dgpg.domain import Policy
from dgpg.showing import COLOURS, blank, colour, held_against, rule_colours, save
from dgpg.showing.figures import Axes
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
NARROW = 0.012
"""The least that the widest band may be, where links are very short."""
SEEN = 1e-3
"""Difference, share of the largest value, below which colours and widths stay faint: it is rounding."""
WIDTH = 46
"""Letters of a title in a panel's width."""
UNLOADED = "#d0d0d0"
COLOUR = {OPTIMUM: COLOURS["oracle"], USER_EQUILIBRIUM.name: "#333333"}
"""Of rows that every figure has; the policy's is that of its algorithm."""


def draw(config: Config, policies: Mapping[str, Policy], folder: Path, seed: int) -> list[Path]:
    """`roads.svg` and `day.svg`: the first policy, the optimum, and in the second the other rules.

    Raises:
        ConfigError: `policies` has no `system-optimum`, or nothing beside it.
    """
    name = held_against(policies, OPTIMUM)
    instance = build(config)
    network, shade = instance.network, FLOW if instance.meaningless else LOADING
    replays = {key: replay(config, policy, DAYS, seed) for key, policy in policies.items()}
    return [
        roads(folder / "roads.svg", network, {key: replays[key] for key in (name, OPTIMUM)}, shade),
        day(folder / "day.svg", replays, network.cost_name),
    ]


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
    place, note = places(network)
    drawn = streets(network)
    figure, panels = blank(14, 2.3 + 4.3 * float(place[:, 1].max()), columns=3)
    figure.get_layout_engine().set(h_pad=0.3)  # maps keep their proportions, and would push titles over the edge
    flows, loads = ([of(x)[drawn] for x in (shown, best)] for of in (mean_flow, shade.of))
    most, top = (max(float(x.max()) for x in both) for both in (flows, loads))
    trips = [float(x.travel_time.mean()) for x in (shown, best)]
    for axes, flow, load in zip(panels, flows, loads, strict=False):
        colours = _links(axes, network, place, load, flow / max(most, 1e-9), "viridis_r", (0.0, top))
    bar = figure.colorbar(colours, ax=panels[:2], location="bottom", shrink=0.5, aspect=40, label=shade.label)
    if shade.full is not None and top > shade.full:
        bar.ax.axvline(shade.full, color="black", linewidth=1.5)
    moved, apart = np.abs(flows[0] - flows[1]), loads[0] - loads[1]
    reach = max(float(np.abs(apart).max()), SEEN * top, 1e-9)
    colours = _links(
        panels[2], network, place, apart, moved / max(moved.max(), SEEN * most, 1e-9), "RdBu_r", (-reach, reach)
    )
    bar = figure.colorbar(colours, ax=panels[2], location="bottom", aspect=20, label=f"difference in {shade.label}")
    bar.ax.locator_params(nbins=5)
    over = 100 * (trips[0] / trips[1] - 1) if trips[1] > 0 else 0.0
    panels[0].set_title(_title(name, f"mean {network.cost_name} {trips[0]:.4g}, {over:+.2g} %"))
    panels[1].set_title(_title(OPTIMUM, f"mean {network.cost_name} {trips[1]:.4g}"))
    panels[2].set_title(_title(f"{name} less {OPTIMUM}", f"widest: {_rounded(float(moved.max()))} vehicles a period"))
    caption = f"{network.name}, mean of {DAYS} days; directions at the right of their street, as wide as their flow"
    left_out = "; connectors of zones are not drawn" if not drawn.all() else ""
    figure.supxlabel(f"{caption}{left_out}{note}", fontsize=9, color="#555555")
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


def places(network: Network) -> tuple[FloatArray, str]:
    """Where nodes are drawn, `[V, 2]`, within a unit square, and what to say of it.

    Without coordinates they are laid out so that distances are about the numbers of links between nodes (classical
    scaling, W. S. Torgerson, Psychometrika 17, 1952).
    """
    place, note = np.array(network.place), ""
    if not np.isfinite(place).all():
        joined = np.zeros((network.num_nodes, network.num_nodes))
        joined[network.tail, network.head] = 1
        hops = shortest_path(joined, directed=False, unweighted=True)
        hops[~np.isfinite(hops)] = network.num_nodes
        centred = hops**2 - (hops**2).mean(0)
        values, vectors = np.linalg.eigh(-(centred - centred.mean(1, keepdims=True)) / 2)
        place = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
        place *= np.sign(place[np.abs(place).argmax(0), [0, 1]])  # an eigenvector's sign is anybody's
        note = "; it has no coordinates, nodes are placed by the links between them"
    span = float(np.ptp(place, 0).max()) or 1.0
    found: FloatArray = (place - place.min(0)) / span
    return found, note


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
    """Every street as a band on its grey line; what a colour bar needs."""
    from matplotlib.collections import LineCollection, PolyCollection

    drawn = streets(network)
    lines = place[np.stack([network.tail, network.head], 1)[drawn]]
    axes.add_collection(LineCollection(list(lines), colors=UNLOADED, linewidths=0.8, zorder=1))
    order = np.argsort(share, kind="stable")  # the widest on top where bands meet
    corners = bands(network, place, share)[order]
    shade = PolyCollection(
        list(corners), array=load[order], cmap=colours, edgecolors="#808080", linewidths=0.25, zorder=2
    )
    shade.set_clim(*limits)
    axes.add_collection(shade)
    ends = np.unique(np.concatenate([network.tail[drawn], network.head[drawn]]))
    # Crossings cover what is drawn where they are many.
    axes.scatter(*place[ends].T, s=min(8.0, 200.0 / len(ends)), color="#333333", linewidths=0, zorder=1.5)
    wide, high = place[ends].max(0)
    low = place[ends].min(0)
    axes.set(aspect="equal", xlim=(low[0] - 0.05, wide + 0.05), ylim=(low[1] - 0.05, high + 0.05))
    axes.axis("off")
    return shade


def day(path: Path, replays: Mapping[str, Replay], cost: str = "travel time") -> Path:
    """Travel time, or another `cost`, of a vehicle by the period of the day, and how far it is above the optimum's."""
    figure, (plain, over) = blank(12, 4.2, columns=2)
    best, kept = by_period(replays[OPTIMUM]), shown_rules(replays)
    first = kept[0]
    others = rule_colours([name for name in kept[1:] if name not in COLOUR], first)
    for name in kept:
        time = by_period(replays[name])
        shade = colour(name) if name == first else COLOUR.get(name) or others[name]
        style: dict[str, Any] = {"color": shade, "zorder": 3 if name == first else 2}
        hours = 24 * (np.arange(len(time)) + 0.5) / len(time)
        if len(time) == 1:  # a day of one period is a line across it, not a dot
            hours, time, optimum = np.array([0.0, 24.0]), np.repeat(time, 2), np.repeat(best, 2)
        else:
            style["marker"], optimum = ".", best
        style["linestyle"] = "--" if name in COLOUR else "-"
        plain.plot(hours, time, label=f"{name} (knows all demand)" if name in COLOUR else name, **style)
        over.plot(hours, 100 * (time / optimum - 1), **style)
    plain.set(ylabel=f"{cost}, the network's unit of time", title=f"{cost} of a vehicle that enters")
    over.set(ylabel="%", title=f"above {OPTIMUM}")
    for axes in (plain, over):
        axes.set(xlabel="hour of the day", xlim=(0, 24), xticks=range(0, 25, 4))
    figure.legend(loc="outside right center", frameon=False)
    left_out = [name for name in replays if name not in kept]
    if left_out:
        note = f"left out, more than {TOO_SLOW:g} times the optimum's time: {', '.join(left_out)}"
        figure.supxlabel(note, fontsize=9, color="#555555")
    return save(figure, path)


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
